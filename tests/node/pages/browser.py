"""Chromium without a window, from Debian's packages, driven by selenium."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peers.process import Missing, program

_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # as root in a container there is none
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)

_PATIENCE = 20.0  # seconds for a page


class Browser:
    """One tab, with everything that it asked for and complained of."""

    def __init__(self, driver: Any, address: str, screenshots: Path) -> None:
        self.driver = driver
        self.address = address
        self.screenshots = screenshots

    def open(self, path: str) -> None:
        """Go to a page of the node."""
        self.driver.get(f"{self.address}{path}")

    def follow(self, text: str) -> None:
        """Follow the last link that says this."""
        self._leave(self.driver.find_elements("link text", text)[-1])

    def text(self, selector: str = "main") -> str:
        """What can be read in a part of the page."""
        return str(self.driver.find_element("css selector", selector).text)

    def texts(self, selector: str) -> list[str]:
        """The same of several parts."""
        return [str(found.text) for found in self.driver.find_elements("css selector", selector)]

    def fill(self, selector: str, value: str) -> None:
        """Type into a field."""
        field = self.driver.find_element("css selector", selector)
        field.clear()
        field.send_keys(value)

    def press(self, selector: str) -> None:
        """Press what leads to another page."""
        self._leave(self.driver.find_element("css selector", selector))

    def _leave(self, element: Any) -> None:
        """Click, and wait for the page after this one: the driver does not always do so."""
        self.driver.execute_script("window.left = true")
        element.click()
        self.until("!window.left && document.readyState === 'complete'")

    def until(self, condition: str) -> None:
        """Wait for something in the page."""
        end = time.monotonic() + _PATIENCE
        while not self.run(condition):
            assert time.monotonic() < end, f"it never came to {condition}"
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self.driver.execute_script(f"return {script}")

    def look(self, *, dark: bool = False, width: int = 1280, height: int = 900) -> None:
        """Choose the colours and the size that pages are shown in."""
        colours = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": colours})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page for who wants to look at it."""
        whole = {"format": "png", "captureBeyondViewport": True}
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", whole)
        (self.screenshots / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))

    def complaints(self) -> list[str]:
        """What the console says since it was last asked."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def strangers(self) -> set[str]:
        """The addresses off the node that were asked for since the last time."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [
            str(message["params"]["request"]["url"])
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        home = urlsplit(self.address).netloc
        # What it draws its own buttons with is written into their addresses.
        return {url for url in urls if urlsplit(url).netloc != home and not url.startswith("data:")}


@contextmanager
def opened(address: str, screenshots: Path) -> Iterator[Browser]:
    """A browser for the node at an address; Missing where there is none on this machine."""
    chromium, driver = program("chromium", "chromium"), program("chromedriver", "chromium-driver")
    try:
        from selenium.webdriver import Chrome, ChromeOptions, ChromeService
    except ImportError:
        raise Missing("selenium", "python3-selenium, or: pip install selenium") from None
    folder = Path(os.environ.get("QA_FETCH_SCREENSHOTS") or screenshots)
    folder.mkdir(parents=True, exist_ok=True)
    options = ChromeOptions()
    options.binary_location = chromium
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = Chrome(options=options, service=ChromeService(executable_path=driver))
    try:
        running.set_page_load_timeout(30)
        yield Browser(running, address, folder)
    finally:
        running.quit()
