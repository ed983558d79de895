"""A real browser: Debian's Chromium under Selenium, with what it complained of and what it asked the network for."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
HERE = ("127.0.0.1", "localhost")

#: Seconds that anything may take before a test gives up.
PATIENCE = 30


def missing() -> str:
    """What is not installed; empty when a browser can be driven."""
    return " and ".join(Path(one).name for one in (CHROMIUM, DRIVER) if not shutil.which(one))


class Browser:
    """One window, a desk's unless told otherwise, on one console."""

    def __init__(self, driver: webdriver.Chrome, base: str) -> None:
        self.driver, self.base = driver, base

    def open(self, path: str) -> None:
        """Load a page and wait until its script has run."""
        self.driver.get(self.base + path)
        self.wait("return document.readyState === 'complete'")

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """A window of so many CSS pixels, under a light or a dark system."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def wait(self, script: str) -> Any:
        """Until a script gives something true."""
        return WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(lambda driver: driver.execute_script(script))

    def find(self, css: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css: str = "main") -> str:
        return str(self.find(css).text)

    def press(self, *keys: str) -> None:
        """Keys, as the whole page gets them."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def tabbed_through(self, most: int = 80) -> list[dict[str, str]]:
        """What the tabulator key reaches from the page's top on, in order."""
        self.run("document.activeElement.blur(); window.scrollTo(0, 0)")
        reached = []
        for _ in range(most):
            self.press(Keys.TAB)
            script = (
                "const a = document.activeElement; return {tag: a.tagName, name: a.name || '', href: a.getAttribute('href') || ''}"
            )
            reached.append(self.run(script))
        return reached

    def complaints(self) -> list[str]:
        """Errors of scripts, of the policy, of addresses that gave nothing; since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def asked_for(self) -> list[str]:
        """Every address that was requested since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]

    def strangers(self) -> list[str]:
        """Those of them that are not this machine's."""
        return [
            url
            for url in self.asked_for()
            if urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).hostname not in HERE
        ]

    def violations(self) -> list[str]:
        """What axe-core finds serious or critical, with the first place of each."""
        self.driver.execute_script(AXE)
        found = self.driver.execute_async_script("const done = arguments[0]; axe.run(document).then(done)")
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    def sideways(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def keep(self, name: str) -> Path:
        """A picture of the whole page, kept for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        height = min(int(self.run("return document.documentElement.scrollHeight")), 6000)
        width = int(self.run("return window.innerWidth"))
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        path = SCREENSHOTS / f"{name}.png"
        self.driver.save_screenshot(str(path))
        return path


@contextmanager
def browser(base: str, folder: Path) -> Iterator[Browser]:
    """Started with a profile of its own in ``folder``; gone at the end."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    flags = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--no-proxy-server", f"--user-data-dir={folder}", "--hide-scrollbars"]
    for flag in [*flags, *(["--no-sandbox"] if os.geteuid() == 0 else [])]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver, base)
    finally:
        driver.quit()
