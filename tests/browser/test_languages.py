"""The page in two languages: Bobbin's texts follow the language that a person has chosen in Slack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.browser.product import Product, open_home, visit
from tests.browser.steps import thread_messages
from tests.deadlines import WAIT_TIMEOUT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ERIKA = "U0ERIKA"


@pytest_asyncio.fixture(loop_scope="session")
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    async with Product(tmp_path / "chats.sqlite3") as running:
        yield running


async def home_that_says(page: Page, product: Product, text: str) -> Locator:
    """Erika's Home tab, opened until it says this: the language is asked for beside the first visit."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while text not in await (home := await open_home(page)).inner_text():
            await visit(page, product, user=ERIKA)
    return home


@pytest.mark.slow
async def test_a_person_reads_german_and_then_japanese(product: Product, page: Page) -> None:
    await visit(page, product, user=ERIKA)
    home = await home_that_says(page, product, "Du hast noch keine Chats")
    await home.get_by_role("button", name="Neuer Chat").click()
    dialog = page.get_by_role("dialog", name="Neuer Chat")
    await dialog.get_by_role("textbox", name="Erste Nachricht").fill("Wie entstehen Gezeiten?")
    await dialog.get_by_role("button", name="Beginnen").click()
    await expect(dialog).to_have_count(0)
    await home.get_by_role("link", name="Gezeiten").first.click()
    another = thread_messages(page).get_by_role("combobox", name="Anderes Modell fragen")
    await expect(another).to_be_visible()
    await expect(page.get_by_text("begonnen von").first).to_be_visible()

    await page.get_by_role("button", name="Language: Deutsch").click()
    await page.get_by_role("menuitemradio", name="日本語").click()
    home = await home_that_says(page, product, "あなたのモデル")
    await expect(home.get_by_role("button", name="新しいチャット")).to_be_visible()
    await visit(page, product)
    await expect(await open_home(page)).to_contain_text("You have no chats yet")
