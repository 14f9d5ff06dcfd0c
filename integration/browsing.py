"""A real browser for the tests: headless Chromium."""

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

import harness

_CHROMIUM = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=900,1000"
)


def start_browser(profile):
    """Start Chromium with an empty profile in the directory of that name."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in _CHROMIUM.split():
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(harness.DEADLINE)
    return driver


def click(browser, selector):
    """Click what the CSS selector finds, and wait for the page that follows."""
    element = browser.find_element(By.CSS_SELECTOR, selector)
    element.click()
    # Between two pages chromedriver may say that the node "does not belong to the document"
    # as an error of no kind of its own; the next question is answered as it should be.
    waiting = WebDriverWait(browser, harness.DEADLINE, ignored_exceptions=[WebDriverException])
    waiting.until(staleness_of(element))


def text(browser, selector="body"):
    return browser.find_element(By.CSS_SELECTOR, selector).text
