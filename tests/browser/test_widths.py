"""The page on a phone, a tablet and a desktop, using only the keyboard."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.product import Product, answered, ask, choose, visit
from tests.browser.steps import composer, thread_messages

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SIZES: dict[str, ViewportSize] = {
    "phone": {"width": 390, "height": 780},
    "tablet": {"width": 800, "height": 800},
    "desk": {"width": 1440, "height": 900},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """`bobbin sandbox`, without keys."""
    async with Product(tmp_path_factory.mktemp("product") / "chats.sqlite3") as running:
        yield running


async def fits(page: Page) -> bool:
    """Whether nothing is cut off at the right."""
    scrolled: bool = await page.evaluate(
        "() => document.documentElement.scrollWidth <= innerWidth && "
        "[...document.querySelectorAll('.pane-head button, .composer button, .topbar button')]"
        ".filter(each => each.checkVisibility())"
        ".every(each => each.getBoundingClientRect().right <= innerWidth + 1)"
    )
    return scrolled


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
async def test_a_first_chat_works_at_every_width(product: Product, page: Page, size: str) -> None:
    """The suggestions can be dismissed permanently; choosing from the menu leaves the focus in the reply field."""
    await page.set_viewport_size(SIZES[size])
    await visit(page, product)
    tips = page.get_by_role("region", name="What to try")
    await expect(tips.get_by_role("listitem").first).to_contain_text("how do tides work?")
    await page.get_by_role("button", name="Close what to try").press("Enter")
    await expect(tips).to_have_count(0)
    await expect(composer(page, "general")).to_be_focused()
    await page.reload()
    await expect(composer(page, "general")).to_be_visible()
    await expect(tips).to_have_count(0)
    assert await fits(page)

    menu = await ask(page, f"show me a table on a {size}")
    await choose(page, menu, "rich")
    box = page.get_by_role("textbox", name="Reply…")
    await expect(box).to_be_focused()
    await answered(page, 1)
    assert await fits(page)
    if size == "phone":
        pane = await page.get_by_role("complementary", name="Thread").bounding_box()
        assert pane == {"x": 0, "y": 0, **SIZES[size]}

    await page.get_by_role("log", name="Thread").evaluate("list => { list.scrollTop = 0 }")
    await expect(page.get_by_role("button", name="Latest messages")).to_be_visible()
    await page.keyboard.type(f"And on another {size}?")
    await page.keyboard.press("Enter")
    # The page is busy, so that it learns of the answer together with the question.
    await page.evaluate("() => { const end = Date.now() + 1_500; while (Date.now() < end); }")
    said = thread_messages(page).filter(has_text=f"And on another {size}?").first
    await expect(said).to_be_visible()
    await expect(page.get_by_role("button", name="Latest messages")).to_have_count(0)
    await answered(page, 2)
    await page.get_by_role("button", name="Close thread").press("Enter")
    await expect(composer(page, "general")).to_be_focused()
    await page.get_by_role("button", name="Traffic").press("Enter")
    await page.get_by_role("button", name="Close traffic").press("Enter")
    await expect(page.get_by_role("button", name="Traffic")).to_be_focused()


@pytest.mark.slow
async def test_channels_are_in_a_drawer_on_a_phone(product: Product, page: Page) -> None:
    await page.set_viewport_size(SIZES["phone"])
    await visit(page, product)
    opener = page.get_by_role("button", name="Show channels")
    random = page.get_by_role("navigation").get_by_role("button", name="random")
    await expect(random).to_be_hidden()
    await opener.press("Enter")
    await expect(random).to_be_visible()
    await expect(page.locator(".sidebar :focus")).to_have_count(1)
    behind = page.locator(":is(.topbar, .centre) :focus")
    for _ in range(20):  # past its end, too
        await page.keyboard.press("Tab")
        await expect(behind).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(random).to_be_hidden()
    await expect(opener).to_be_focused()
    await opener.press("Enter")
    await random.press("Enter")
    await expect(composer(page, "random")).to_be_focused()
    await expect(random).to_be_hidden()


@pytest.mark.slow
async def test_everything_is_reached_by_tab_and_shows_that_it_has_the_focus(
    product: Product, page: Page
) -> None:
    await page.set_viewport_size(SIZES["desk"])
    await visit(page, product)
    unseen: list[str] = []
    reached: set[str] = set()
    await page.evaluate("() => document.activeElement.blur()")
    for _ in range(60):
        await page.keyboard.press("Tab")
        name, marked = await page.evaluate(
            """() => {
              const element = document.activeElement, style = getComputedStyle(element);
              if (element === document.body) return ['', true];
              const around = getComputedStyle(element.closest('.composer') ?? element);
              const marked = style.outlineStyle !== 'none' || style.boxShadow !== 'none' || around.boxShadow !== 'none'
                || around.outlineStyle !== 'none';
              return [element.getAttribute('aria-label') ?? element.textContent.trim(), marked];
            }"""
        )
        reached.add(name)
        if not marked and name:
            unseen.append(name)
    assert unseen == []
    for name in (
        "general",
        "random",
        "New direct message",
        "Close what to try",
        "Message #general",
    ):
        assert name in reached
