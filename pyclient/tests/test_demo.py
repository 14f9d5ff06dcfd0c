"""The demo through a worker, and with what visitors may type."""

from __future__ import annotations

import json

import pytest

from alforja import demo


@pytest.fixture
def browser(serve):
    return serve(demo.create_publisher)


def whoami(browser):
    return json.loads(browser.get("/whoami").text)


def test_looking_stores_nothing(browser):
    page = browser.get("/")
    assert page.status == 200 and "a passer-by" in page.text and "none yet" in page.text
    assert browser.get("/plain").text == "no session here\n"
    assert browser.gateway.states == {} and browser.cookie is None


def test_login_and_logout(browser):
    answer = browser.post("/login", name=" Sancho ")
    assert (answer.status, answer.header("Location")) == (302, "http://localhost/")
    assert whoami(browser)["user"] == "Sancho"
    page = browser.get("/").text
    assert "Sancho" in page and browser.cookie[:4] in page and browser.cookie not in page
    assert browser.post("/logoutfail").status == 500
    assert whoami(browser)["user"] == "Sancho"
    browser.post("/logout")
    assert browser.gateway.states == {}
    assert whoami(browser)["user"] is None


def test_login_changes_the_id(browser):
    browser.post("/keep")
    planted = browser.cookie
    browser.post("/login", name="Sancho")
    assert list(browser.gateway.states) == [browser.cookie] != [planted]


def test_login_without_a_name(browser):
    browser.post("/login", name=" ")
    assert browser.gateway.states == {}


def test_counting(browser):
    browser.post("/increment")
    browser.get("/increment")
    assert browser.get("/counter?ms=1").text == "3"
    failed = browser.post("/incrementfail")
    assert failed.status == 500 and "Nothing that it did" in failed.text
    assert whoami(browser)["counter"] == 3


def test_keep(browser):
    browser.post("/keep")
    assert len(browser.gateway.states) == 1


@pytest.mark.parametrize("page", ["/attributes", "/dict"])
def test_attributes_and_items(browser, page):
    browser.post(page, name="beast", value="donkey")
    assert "<tr><td>beast</td><td>donkey</td></tr>" in browser.get("/").text
    browser.post(page, name="beast", value="")
    assert "donkey" not in browser.get("/").text


def test_what_is_typed_is_escaped(browser):
    evil = "<script>\"&'"
    browser.post("/login", name=evil)
    browser.post("/attributes", name=evil, value=evil)
    browser.post("/dict", name=evil, value=evil)
    page = browser.get("/").text
    assert "<script>" not in page and page.count("&lt;script&gt;") == 5


def test_logout_of_a_session_without_items(browser):
    """session3's manager takes an empty DictSession for none."""
    browser.post("/keep")
    browser.post("/logout")
    assert browser.gateway.states == {}
