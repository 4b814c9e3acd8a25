"""The whole product in a browser, beyond the first mention: Home, modals, images, search, the limit, lists."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Page, expect

from tests.browser.product import (
    Product,
    answered,
    answers,
    ask,
    attach,
    choose,
    list_chats,
    open_home,
    reply,
    visit,
)
from tests.browser.steps import composer, thread_messages

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """`bobbin sandbox`, without keys; a chat holds four messages."""
    data = tmp_path_factory.mktemp("product") / "chats.sqlite3"
    async with Product(data, {"BOBBIN_MAX_MESSAGES": "4"}) as running:
        yield running


@pytest.mark.slow
async def test_the_home_tab_starts_lists_and_searches_chats_and_stays_up_to_date(
    product: Product, page: Page
) -> None:
    await visit(page, product)
    home = await open_home(page)
    await expect(home).to_contain_text("You have no chats yet")
    await home.get_by_role("button", name="New chat").click()
    dialog = page.get_by_role("dialog", name="New chat")
    await dialog.get_by_role("textbox", name="First message").fill("   ")
    await dialog.get_by_role("button", name="Start").click()
    await expect(dialog).to_contain_text("Write what you would like to ask.")
    await dialog.get_by_role("textbox", name="First message").fill("how do lighthouses work?")
    await dialog.get_by_role("button", name="Start").click()
    await expect(dialog).to_have_count(0)

    link = home.get_by_role("link", name="How do lighthouses work")
    await expect(link).to_be_visible()
    await expect(home).to_contain_text("1 chat")
    search = home.get_by_role("textbox", name="Find chats")
    await search.fill("submarines")
    await search.press("Enter")
    await expect(home).to_contain_text("None of your chats contains “submarines”.")
    await home.get_by_role("button", name="Show all").click()
    await link.click()
    await expect(answers(page)).to_have_count(1)


@pytest.mark.slow
async def test_a_persons_own_model_answers_without_a_menu(product: Product, page: Page) -> None:
    await visit(page, product, user="U0DAN")
    home = await open_home(page)
    always = home.get_by_role("checkbox", name="Always use it")
    await choose(page, home.get_by_role("combobox").first, "eye")
    await expect(home.get_by_role("combobox").first).to_have_value("Demo: Eye (sees images)")
    await always.check()
    await expect(always).to_be_checked()

    await visit(page, product, user="U0DAN", channel="C0RANDOM")
    written = io.BytesIO()
    Image.new("RGB", (640, 400), "teal").save(written, "PNG")
    await attach(page, "sea.png", "image/png", written.getvalue())
    await composer(page, "random").fill("@Bobbin what is on this picture?")
    await page.get_by_role("main").get_by_role("button", name="Send now").click()
    await page.get_by_role("main").get_by_role("button", name=re.compile(r"^\d+ repl")).last.click()
    await expect(await answered(page, 1)).to_contain_text("640 × 400 pixels")
    await expect(thread_messages(page).nth(1)).to_contain_text("You always use this model.")


@pytest.mark.slow
async def test_a_full_chat_offers_a_new_chat(product: Product, page: Page) -> None:
    await visit(page, product, user="U0CAROL")
    await choose(page, await ask(page, "the first of two"), "quick")
    await expect(await answered(page, 1)).to_contain_text("2 messages left")
    await reply(page, "the second of two")
    await expect(await answered(page, 2)).to_contain_text("this chat is full")
    await reply(page, "one too many")
    note = page.get_by_test_id("ephemeral")
    await expect(note).to_contain_text("This chat is full: it has reached its 4 messages.")
    await note.get_by_role("button", name="New chat", exact=True).click()
    dialog = page.get_by_role("dialog", name="New chat")
    await expect(dialog.get_by_role("combobox").first).to_have_value("Demo: Quick")
    await dialog.get_by_role("textbox", name="First message").fill("so here I begin anew")
    await dialog.get_by_role("button", name="Start").click()
    await expect(page.get_by_role("main").get_by_text("so here I begin anew")).to_be_visible()


@pytest.mark.slow
async def test_a_chat_list_searches_and_stays_up_to_date(product: Product, page: Page) -> None:
    await visit(page, product, user="U0BOB")
    await choose(page, await ask(page, "what is a sextant for?"), "quick")
    await answered(page, 1)
    nothing = await list_chats(page, "submarines")
    await expect(nothing).to_contain_text("None of your chats contains “submarines”.")
    listed = await list_chats(page)
    await expect(listed.get_by_role("link")).to_have_text([re.compile("sextant")])
    await listed.get_by_role("button", name="Refresh").click()

    await reply(page, "and an astrolabe?")
    await answered(page, 2)
    await expect(listed).to_contain_text("4 messages")


@pytest.mark.slow
async def test_a_message_shortcut_asks_about_the_message(product: Product, page: Page) -> None:
    """With the message's menu; the answer appears in its thread."""
    await visit(page, product, user="U0BOB", channel="C0RANDOM")
    await composer(page, "random").fill("The ferry leaves at noon.")
    await composer(page, "random").press("Enter")
    message = (
        page.get_by_role("main").get_by_role("article").filter(has_text="The ferry leaves at noon.")
    )
    await message.hover()
    await message.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Ask Bobbin about this").click()
    dialog = page.get_by_role("dialog", name="Ask Bobbin about this")
    text = dialog.get_by_role("textbox", name="First message")
    await expect(dialog.locator("blockquote")).to_have_text("The ferry leaves at noon.")
    await expect(text).to_have_value("")
    await expect(text).to_be_focused()
    await page.keyboard.type("When is that?")
    await dialog.get_by_role("button", name="Start").click()
    await message.get_by_role("button", name=re.compile(r"^\d+ repl")).click()
    await answered(page, 1)


@pytest.mark.slow
async def test_a_forward_to_the_app_shows_the_message_and_is_a_question(
    product: Product, page: Page
) -> None:
    await visit(page, product, user="U0DAN", channel="C0RANDOM")
    await composer(page, "random").fill("Why is the sea salty?")
    await composer(page, "random").press("Enter")
    message = page.get_by_role("article").filter(has_text="Why is the sea salty?")
    await message.hover()
    await message.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Forward to the app").click()

    await page.get_by_role("navigation").get_by_text("Bobbin", exact=True).first.click()
    forwarded = page.get_by_role("main").get_by_role("article").filter(has_text="Dan Diaz").last
    await expect(forwarded.locator("blockquote")).to_contain_text("Why is the sea salty?")


@pytest.mark.slow
async def test_a_picture_that_a_model_makes_opens_large_and_closes_by_keyboard(
    product: Product, page: Page
) -> None:
    await visit(page, product)
    await choose(page, await ask(page, "Paint a lighthouse"), "Painter")
    picture = thread_messages(page).get_by_role("button", name="Open picture: A picture that")
    await expect(picture.locator("img")).to_be_visible()
    await picture.focus()
    await page.keyboard.press("Enter")
    viewer = page.get_by_role("dialog", name="A picture that Demo: Painter (draws) made")
    await expect(viewer.get_by_role("img")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(viewer).to_have_count(0)
    await expect(picture).to_be_focused()
