"""The whole product in a separate process, and what people do with it in the browser."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from playwright.async_api import FilePayload, Locator, Page, expect

from tests.browser.steps import thread_messages
from tests.deadlines import WAIT_TIMEOUT

ROOT = Path(__file__).parents[2]


@dataclass
class Product:
    """A running `bobbin sandbox` with the chats of `data`. An async context manager."""

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    url: str = ""
    process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        return self.data.with_suffix(".log").read_text()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def start(self) -> None:
        """Start it, and wait until it prints the page's URL."""
        with self.data.with_suffix(".log").open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.browser.sandbox_process",
                str(self.data),
                cwd=self.data.parent,  # where there is no .env
                env={**os.environ, **self.settings, "PYTHONPATH": str(ROOT)},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        try:
            self.url = await asyncio.wait_for(self._address(), WAIT_TIMEOUT)
        except BaseException:
            await self.end()
            raise

    async def _address(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        if line := await self.process.stdout.readline():
            return line.decode().strip()
        raise AssertionError(f"it did not start:\n{self.log}")

    async def __aexit__(self, *_: object) -> None:
        assert await self.end() == 0, self.log

    async def end(self) -> int:
        """End it by SIGTERM; return its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


async def visit(
    page: Page, product: Product, user: str = "U0ALICE", channel: str = "C0GENERAL"
) -> None:
    """Open the workspace as one of its users, in a channel."""
    await page.goto(f"{product.url}/#user={user}&channel={channel}")
    await expect(page.get_by_role("textbox", name="Message #")).to_be_visible()


async def act_as(page: Page, name: str) -> None:
    """Continue as another person in the same channel."""
    await page.get_by_role("button", name="Acting as").click()
    await page.get_by_role("menuitemradio", name=name).click()
    await expect(page.get_by_role("button", name=f"Acting as {name}")).to_be_visible()


async def ask(page: Page, text: str) -> Locator:
    """Mention Bobbin by keyboard, and open the thread in which the menu appears. Returns the menu."""
    await page.get_by_role("textbox", name="Message #").press_sequentially("@bob")
    await expect(page.get_by_role("option", name=re.compile("Bobbin"))).to_have_attribute(
        "aria-selected", "true"
    )
    await page.keyboard.press("Enter")
    await page.keyboard.type(text)
    await page.keyboard.press("Enter")
    asked = page.get_by_role("main").get_by_role("article").filter(has_text=text)
    await asked.get_by_role("button", name=re.compile(r"^\d+ repl")).click()
    menu = thread_messages(page).get_by_role("combobox").first
    await expect(menu).to_be_visible()
    return menu


async def choose(page: Page, menu: Locator, model: str) -> None:
    """Type a few letters of a model's name into the menu, and Enter."""
    await menu.press_sequentially(model)
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")


async def reply(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Reply…")
    await box.fill(text)
    await box.press("Enter")


async def attach(page: Page, name: str, mime: str, data: bytes) -> None:
    """Add a file to the message that is being written in the channel."""
    pane = page.get_by_role("main")
    await pane.get_by_test_id("file-input").set_input_files(
        FilePayload(name=name, mimeType=mime, buffer=data)
    )
    await expect(pane.get_by_role("button", name=f"Remove {name}")).to_be_visible()


async def open_home(page: Page) -> Locator:
    """The app's Home tab."""
    await page.get_by_role("navigation").get_by_role("button", name="Bobbin").click()
    await page.get_by_role("tab", name="Home").click()
    home = page.get_by_test_id("home")
    await expect(home).to_be_visible()
    return home


async def list_chats(page: Page, said: str = "", channel: str = "general") -> Locator:
    """Type `/chats` in a channel. Returns the list that appears."""
    box = page.get_by_role("textbox", name=f"Message #{channel}")
    await box.fill(f"/chats {said}".strip())
    await box.press("Escape")  # the suggestions
    await box.press("Enter")
    shown = page.get_by_test_id("ephemeral").last
    await expect(shown).to_be_visible()
    return shown


def answers(page: Page) -> Locator:
    """The completed answers in the open thread."""
    return thread_messages(page).filter(has=page.get_by_role("button", name="Good answer"))


async def answered(page: Page, count: int) -> Locator:
    """Wait until `count` answers of the open thread are complete. Returns the last one."""
    await expect(answers(page)).to_have_count(count)
    return answers(page).last


async def watch_growing(page: Page) -> None:
    """Record every state of the answer that is being written in the open thread."""
    await page.evaluate(
        """() => {
          window.states = [];
          new MutationObserver(() => {
            const text = document.querySelector('.thread-pane .markdown.growing')?.textContent;
            if (text && text !== window.states.at(-1)) window.states.push(text);
          }).observe(document.body, { childList: true, subtree: true, characterData: true });
        }"""
    )


async def states(page: Page) -> list[str]:
    noted: list[str] = await page.evaluate("() => window.states")
    return noted
