"""The whole product in a browser, as after `make run`: the first things a newcomer does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.product import (
    Product,
    act_as,
    answered,
    answers,
    ask,
    choose,
    reply,
    states,
    visit,
    watch_growing,
)
from tests.browser.steps import composer, thread_messages

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """`bobbin sandbox`, without keys: the demo models answer."""
    async with Product(tmp_path_factory.mktemp("product") / "chats.sqlite3") as running:
        yield running


@pytest.mark.slow
async def test_a_chat_from_the_first_mention_to_the_list_of_chats(
    product: Product, page: Page
) -> None:
    """Mention, choose, watch, find it again."""
    await visit(page, product)
    menu = await ask(page, "show me a table and some code, please")
    await watch_growing(page)
    await choose(page, menu, "rich")

    header, answer = thread_messages(page).nth(1), thread_messages(page).nth(2)
    await expect(header).to_contain_text("New conversation")
    await expect(header).to_contain_text("Demo: Markdown (rich) · started by @Alice Archer")
    await expect(menu).to_have_count(0)
    await answered(page, 1)
    noted = await states(page)
    assert len(set(noted)) >= 3
    assert len(noted[0]) < len(noted[1]) < len(noted[-1])
    await expect(answer).to_contain_text("a scripted demo model and not a real AI")
    await expect(answer.get_by_role("cell", name="Heron")).to_be_visible()
    await expect(answer.locator("pre code")).to_contain_text("def fibonacci")
    await expect(answer).to_contain_text(
        re.compile(r"Demo: Markdown \(rich\) · [\d.]+ s · \d+ tokens")
    )
    await expect(header).to_contain_text("Show me a table and some code")

    await page.get_by_role("button", name="Close thread").click()
    await composer(page, "general").fill("/chats")
    await composer(page, "general").press("Enter")
    listed = page.get_by_test_id("ephemeral")
    await expect(listed).to_contain_text("Only visible to you")
    await expect(listed).to_contain_text("2 messages")
    await listed.get_by_role("link", name="Show me a table and some code").click()
    await expect(answers(page)).to_have_count(1)

    await page.reload()
    await expect(answers(page)).to_have_count(1)
    await expect(header).to_contain_text("Show me a table and some code")
    assert "fibonacci" not in product.log
    assert "some code" not in product.log


@pytest.mark.slow
async def test_several_people_take_part_in_one_chat(product: Product, page: Page) -> None:
    """Only the person who asked can choose; others get an ephemeral message that says so. Then all take part."""
    await visit(page, product, channel="C0RANDOM")
    menu = await ask(page, "who may choose?")
    await act_as(page, "Bob Brown")
    await choose(page, menu, "eye")
    note = page.get_by_test_id("ephemeral")
    await expect(note).to_contain_text("Only @Alice Archer can pick a model here")
    await act_as(page, "Alice Archer")
    await expect(note).to_have_count(0)
    await choose(page, menu, "quick")
    await answered(page, 1)

    await reply(page, "My name is Ada.")
    await expect(await answered(page, 2)).to_contain_text("Pleased to meet you, Ada.")
    await act_as(page, "Bob Brown")
    await reply(page, "What did she say?")
    await expect(await answered(page, 3)).to_contain_text("message 5 of this chat")


@pytest.mark.slow
async def test_a_tool_waits_for_allow_or_deny(product: Product, page: Page) -> None:
    """The demo's notice board gets the note that was allowed, and not the one that was denied."""
    await visit(page, product, channel="C0RANDOM")
    await choose(page, await ask(page, "add a note: tea at four"), "toolsmith")
    question = thread_messages(page).filter(has_text="board/add_note")
    await expect(question).to_contain_text("tea at four")
    await question.get_by_role("button", name="Allow once").click()
    await expect(await answered(page, 1)).to_contain_text("Pinned to the board: tea at four")
    await expect(page.get_by_role("button", name="Allow once")).to_have_count(0)

    await reply(page, "add a note: no tea at all")
    await page.get_by_role("button", name="Deny").click()
    await expect(await answered(page, 2)).to_contain_text("not allowed this call")
    await reply(page, "What is on the board?")
    board = await answered(page, 3)
    await expect(board).to_contain_text("1. tea at four")
    await expect(board).not_to_contain_text("no tea")


@pytest.mark.slow
async def test_stop_keeps_what_was_written(product: Product, page: Page) -> None:
    """With the chat's button and with Slack's own; the chat continues afterwards."""
    await visit(page, product, channel="C0RANDOM")
    await choose(page, await ask(page, "tell me a very long story"), "story")
    await expect(page.locator(".thread-pane .growing")).to_contain_text("Once, in a town")
    await thread_messages(page).get_by_role("button", name="Stop", exact=True).click()
    stopped = thread_messages(page).filter(has_text="Once, in a town")
    await expect(stopped.locator("em").last).to_have_text("stopped")
    await expect(page.locator(".thread-pane .growing")).to_have_count(0)

    await reply(page, "now tell it again")
    growing = page.locator(".thread-pane .growing")
    await expect(growing).to_be_visible()
    await page.get_by_role("button", name="Stop responding").click()
    await expect(growing).to_have_count(0)
    await expect(page.get_by_role("button", name="Stop responding")).to_have_count(0)
    await expect(thread_messages(page).last.locator("em").last).to_have_text("stopped")
    await expect(page.get_by_test_id("status")).to_have_count(0)


@pytest.mark.slow
async def test_retry_answers_in_the_same_place(product: Product, page: Page) -> None:
    """A broken-off answer stays readable, with the reason and a Retry button."""
    await visit(page, product)
    await choose(page, await ask(page, "can you fail for me?"), "fails")
    retry = page.get_by_role("button", name="Retry")
    failed = thread_messages(page).filter(has=retry)
    await expect(failed).to_contain_text("broke off before the answer was complete")
    await expect(failed).to_contain_text("I am Fails, a scripted demo model")
    count, thread = await thread_messages(page).count(), await failed.get_attribute("data-ts")
    await retry.click()
    mended = await answered(page, 1)
    await expect(mended).to_contain_text("This time I did not fail")
    await expect(mended).to_have_attribute("data-ts", str(thread))
    await expect(retry).to_have_count(0)
    assert await thread_messages(page).count() == count


@pytest.mark.slow
async def test_a_direct_message_starts_a_chat(product: Product, page: Page) -> None:
    """No mention is needed, and the thread opens by itself."""
    await visit(page, product, user="U0CAROL")
    await page.get_by_role("navigation").get_by_role("button", name="Bobbin").click()
    box = page.get_by_role("textbox", name="Message Bobbin")
    await box.fill("are we alone?")
    await box.press("Enter")
    await thread_messages(page).get_by_role("button", name=re.compile("^Start with Demo: ")).click()
    await expect(await answered(page, 1)).to_contain_text("You asked: “are we alone?”")


@pytest.mark.slow
async def test_bobbin_can_be_added_to_a_channel(product: Product, page: Page) -> None:
    """In a channel without Bobbin the page says so, and how to add it."""
    await visit(page, product, channel="C0WATERCOOLER")
    await page.get_by_role("button", name="Add Bobbin").click()
    await expect(page.get_by_role("button", name="Mention Bobbin")).to_be_visible()
    await expect(await ask(page, "are you here now?")).to_be_visible()


@pytest.mark.slow
async def test_chats_survive_a_restart(product: Product, page: Page) -> None:
    """So do their messages, the list of chats and the usual model."""
    await visit(page, product, user="U0DAN")
    await choose(page, await ask(page, "how do tides work?"), "eye")
    await answered(page, 1)
    await page.goto("about:blank")
    assert await product.end() == 0
    await product.start()
    await visit(page, product, user="U0DAN")
    asked = page.get_by_role("main").get_by_role("article").filter(has_text="how do tides work?")
    await expect(asked).to_be_visible()
    await composer(page, "general").fill("/chats")
    await composer(page, "general").press("Enter")
    await page.get_by_test_id("ephemeral").get_by_role("link", name="How do tides work").click()
    await answered(page, 1)
    await expect(await ask(page, "and the moon?")).to_have_value("Demo: Eye (sees images)")
