"""Real Chromium for tests of pages, and a page that tells of every trouble."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


def chromium() -> Iterator[Browser]:
    """Give a browser for as long as a fixture lasts."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed: the page is not tried in a real browser")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield launched
        launched.close()


def opened(browser: Browser, url: str, patience_ms: int, **options: object) -> Iterator[Page]:
    """Give a page that fails the test if it breaks its own policy, throws, or asks elsewhere."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(patience_ms)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "console",
        lambda message: troubles.append(message.text) if "Policy" in message.text else None,
    )
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((url, "blob:"))
            else troubles.append(f"asked {request.url}")
        ),
    )
    page.goto(url)
    yield page
    context.close()
    assert troubles == []
