"""The shop of examples/strangler on its way from Python to Go, with a customer who notices nothing."""

import pickle
import subprocess
import sys

import pytest
from selenium.webdriver.common.by import By

import harness
from browsing import click, text
from harness import Gateway

SHOP = harness.TREE / "examples" / "strangler"


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    path = tmp_path_factory.mktemp("bin") / "strangler"
    subprocess.run(
        ["go", "build", "-race", "-o", path, "./examples/strangler"], cwd=harness.TREE, check=True
    )
    return path


class Shop(Gateway):
    """The program at one step of the way."""

    def __init__(self, tmp, binary, address, step):
        super().__init__(tmp, name=f"step{step}")
        self.argv = [
            str(binary), f"-step={step}", "--http", address, f"-store={self.sessions}",
            f"-python={harness.PYTHON}",
        ]  # fmt: skip
        self.cwd = harness.TREE


def configured(tmp, binary, address):
    """Step 3 by alforja.toml, but for its paths and the address."""
    text = (SHOP / "alforja.toml").read_text()
    for theirs, ours in {".venv/bin/python": harness.PYTHON, ".demo/strangler": binary}.items():
        assert theirs in text
        text = text.replace(theirs, str(ours))
    config = tmp / "alforja.toml"
    config.write_text(text)
    gateway = Gateway(tmp, "--config", config, listen=("--http", address))
    gateway.cwd = harness.TREE
    return gateway


@pytest.fixture
def at_step(run, tmp_path, binary):
    """Have the shop at that step, at the same address and with the same sessions as before."""
    address, running = f"localhost:{harness.free_port()}", []

    def go(step):
        for shop in running:
            shop.stop()
            assert not [pid for pid in shop.workers().values() if harness.alive(pid)]
        if step == "alforja.toml":
            shop = configured(tmp_path, binary, address)
        else:
            shop = Shop(tmp_path, binary, address, step)
        running[:] = [run(shop)]
        shop.url = f"http://{address}"
        return shop

    return go


def stored(shop, monkeypatch):
    """The one session of the store, as Python unpickles it."""
    monkeypatch.syspath_prepend(str(SHOP / "python"))
    monkeypatch.delitem(sys.modules, "shop", raising=False)  # another test's shop
    [path] = shop.sessions.iterdir()
    return pickle.loads(path.read_bytes())


def pictures(browser, shop):
    """What the customer sees of each page; the checkout's form is not sent."""
    seen = {}
    for page in ("/catalogue/", "/cart/", "/checkout/", "/login"):
        browser.get(shop.url + page)
        seen[page] = (text(browser), browser.get_screenshot_as_png())
    return seen


def fill_in(browser, form="form", **fields):
    for name, value in fields.items():
        field = browser.find_element(By.CSS_SELECTOR, f"{form} [name={name}]")
        field.clear()
        field.send_keys(value)


def test_a_customer_notices_nothing(at_step, browser, monkeypatch):
    shop = at_step(1)
    browser.get(shop.url)
    click(browser, "#add-helmet")
    browser.back()
    click(browser, "#add-helmet")
    browser.back()
    click(browser, "#add-saddlebags")
    click(browser, "a[href='/login']")
    fill_in(browser, name="Doña <Dulcinea>")
    click(browser, "#login")
    assert "Cart (3)\nDoña <Dulcinea>\nLog out" in text(browser)
    first = pictures(browser, shop)
    assert "112.75" in first["/cart/"][0]

    for step in (2, 3, "alforja.toml", 4, 5):
        shop = at_step(step)
        for page, (words, picture) in pictures(browser, shop).items():
            assert (step, page, words) == (step, page, first[page][0])
            assert picture == first[page][1], (step, page)
        browser.get(shop.url + "/catalogue/")
        click(browser, "#add-lance")
        assert text(browser, "#total") == "132.25"
        assert type(stored(shop, monkeypatch).cart.lines[-1]).__module__ == "shop"
        fill_in(browser, "form:has(#set-lance)", count="0")
        click(browser, "#set-lance")
        assert text(browser, "#total") == "112.75"

    assert not shop.workers()  # Go alone
    browser.get(shop.url + "/checkout/")
    fill_in(browser, street="El Toboso 1")
    click(browser, "#order")
    assert "Order 1 goes to Doña <Dulcinea>, El Toboso 1." in text(browser)
    click(browser, "header button")
    assert "Cart (0)\nLog in" in text(browser)
    assert not list(shop.sessions.iterdir())


@pytest.mark.parametrize(("shown", "sent"), [(3, 4), (4, 3)], ids=["python to go", "go to python"])
def test_a_form_of_one_half_is_for_the_other(at_step, browser, monkeypatch, shown, sent):
    """The checkout moves, or moves back, while the customer is filling in the form."""
    shop = at_step(shown)
    browser.get(shop.url)
    click(browser, "#add-lance")
    click(browser, "a[href='/checkout/']")
    fill_in(browser, name="Sancho", street="Barataria")
    [token] = stored(shop, monkeypatch)._form_tokens
    shop = at_step(sent)
    click(browser, "#order")
    assert "Order 1 goes to Sancho, Barataria." in text(browser)
    assert stored(shop, monkeypatch)._form_tokens == []

    # Once only: the half that has made the token does not take it again.
    shop = at_step(shown)
    browser.get(shop.url)
    click(browser, "#add-lance")
    click(browser, "a[href='/checkout/']")
    browser.execute_script("document.querySelector('[name=_form_id]').value = arguments[0]", token)
    fill_in(browser, name="Sancho", street="Barataria")
    click(browser, "#order")
    assert browser.find_element(By.CLASS_NAME, "errornotice")
    [order] = stored(shop, monkeypatch).orders
    assert (type(order).__name__, order.number, order.cents) == ("Order", 1, 1950)
