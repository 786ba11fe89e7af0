"""A real Chromium for tests of pages, and tabs of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab import provide
from lab_machine import Unavailable

# Debian's packages, each with a program of its name. The first is Chromium without the windows
# around its pages, as Playwright has it: a tab takes less than half of the processor.
BROWSERS = ("chromium-headless-shell", "chromium")


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, installed where that was asked for; a test without it is skipped."""
    from playwright.sync_api import sync_playwright

    program = _provided()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def _provided() -> str:
    """The program of the first browser that there is, or can be had."""
    reasons = []
    for package in BROWSERS:
        program = f"/usr/bin/{package}"
        try:
            provide({package: program})
        except Unavailable as why:
            reasons.append(str(why))
        else:
            return program
    pytest.skip("; ".join(reasons))


@contextmanager
def watched_tab(browser: Any, address: str, seconds: float) -> Iterator[Any]:
    """A tab at an address, patient for so long; what its policy or code complains of fails."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(seconds * 1000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(f"{error.message} {error.stack}"))
    page.goto(address)
    try:
        yield page
    finally:
        context.close()
    assert complaints == []
