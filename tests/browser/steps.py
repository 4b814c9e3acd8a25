"""Steps that several tests of the page take."""

from __future__ import annotations

import re

from playwright.async_api import Locator, Page, expect

from bot.sandbox import Sandbox


async def open_workspace(
    page: Page, slack: Sandbox, user: str = "alice", channel: str = "general", thread: str = ""
) -> None:
    """Open the page as `user` in a channel, with a thread at its side if given."""
    place = slack.workspace.channel_for(slack.workspace.user(user).id, channel)
    where = f"#user={slack.workspace.user(user).id}&channel={place.id}" + (
        f"&thread={thread}" if thread else ""
    )
    await page.goto(f"{slack.url}/{where}")
    await expect(page.get_by_role("textbox", name="Message ")).to_be_visible()


def composer(page: Page, channel: str) -> Locator:
    return page.get_by_role("textbox", name=f"Message #{channel}")


async def mention(page: Page, text: str, channel: str = "general") -> None:
    """Mention the app as a person types it: `@`, a few letters, Enter, the text, Enter."""
    box = composer(page, channel)
    await box.press_sequentially("@bobb")
    await expect(page.get_by_role("option")).to_have_count(1)
    await box.press("Enter")
    await expect(box).to_have_value("@Bobbin ")
    await box.press_sequentially(text)
    await box.press("Enter")


async def open_thread(page: Page) -> None:
    """Open the newest thread that has replies."""
    await page.get_by_role("main").get_by_role("button", name=re.compile(r"^\d+ repl")).last.click()
    await expect(page.get_by_role("complementary", name="Thread")).to_be_visible()


def thread_messages(page: Page) -> Locator:
    return page.locator(".thread-pane article.message")
