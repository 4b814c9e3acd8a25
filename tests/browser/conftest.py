"""Chromium for the tests of the page, and a sandbox with a small test app.

All tests share one browser and one event loop; each has a fresh sandbox and a fresh browser context.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from bot.sandbox import Limits, Sandbox
from tests.browser.sample_app import ChattyApp
from tests.deadlines import DEADLINE_SCALE, WAIT_TIMEOUT

SIZE = {"width": 1280, "height": 800}
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
COMMANDS = (
    {"command": "/chats", "description": "Your chats", "usage_hint": "[words | new | help]"},
)
SHORTCUTS = (
    {
        "type": "message",
        "callback_id": "ask",
        "name": "Ask about this",
        "description": "Starts a chat",
    },
    {"type": "global", "callback_id": "new", "name": "New chat", "description": "Starts a chat"},
)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser's executable: $BOBBIN_CHROMIUM, or the first one found."""
    wanted = os.environ.get("BOBBIN_CHROMIUM")
    found = wanted or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found and Path(found).exists():
        return found
    reason = f"no Chromium: {wanted or 'none of ' + ', '.join(NAMES)} found; set BOBBIN_CHROMIUM"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(chromium_path: str) -> AsyncIterator[Browser]:
    expect.set_options(timeout=WAIT_TIMEOUT * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """The browser's errors and warnings (scripts, policy, missing files); must be empty at the end of a test."""
    received: list[str] = []
    yield received
    assert received == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, complaints: list[str]) -> AsyncIterator[Page]:
    """An empty page of 1280×800."""
    context = await chromium.new_context(viewport=SIZE, locale="en-US", timezone_id="UTC")  # type: ignore[arg-type]
    context.set_default_timeout(WAIT_TIMEOUT * 1000)
    fresh = await context.new_page()
    fresh.on("pageerror", lambda error: complaints.append(str(error)))

    def on_message(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    fresh.on("console", on_message)
    yield fresh
    await context.close()


@pytest.fixture
def deadline_scale() -> float:
    """How much longer than Slack the workspace waits for the app."""
    return DEADLINE_SCALE


@pytest_asyncio.fixture(loop_scope="session")
async def slack(deadline_scale: float) -> AsyncIterator[Sandbox]:
    """A workspace without an app."""
    limits = Limits().with_deadlines_scaled(deadline_scale)
    async with Sandbox(limits=limits, commands=COMMANDS, shortcuts=SHORTCUTS) as sandbox:
        yield sandbox


@pytest_asyncio.fixture(loop_scope="session")
async def app(slack: Sandbox) -> AsyncIterator[ChattyApp]:
    """The test app, connected to the workspace."""
    async with ChattyApp(slack) as chatty:
        yield chatty
