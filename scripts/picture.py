"""`make picture`: takes the pictures of the sandbox: docs/images/sandbox.png and docs/images/streaming.webp.

Needs Chromium and a font with emoji.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import tempfile
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from PIL import Image
from playwright.async_api import Page, ViewportSize, async_playwright, expect

from tests.browser.product import Product, answered, visit
from tests.browser.steps import thread_messages

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WINDOW: ViewportSize = {"width": 1280, "height": 800}
FILM = (1024, 640)
FRAME_MS = 120
"""Milliseconds between two frames, as closely as screenshots allow."""
LAST_MS = 4000
MAX_SIZE = 1_500_000
"""Bytes, so that the README loads fast."""
QUESTION = "Which birds are worth a look? A table would be nice."


@dataclass
class Film:
    """Screenshots of a page with their times, without repeated ones."""

    page: Page
    frames: list[tuple[float, bytes]] = field(default_factory=list)

    async def shot(self) -> None:
        frame = await self.page.screenshot()
        if not self.frames or frame != self.frames[-1][1]:
            self.frames.append((time.monotonic(), frame))

    async def during(self, action: Awaitable[object]) -> None:
        """Film until the action is done."""
        doing = asyncio.ensure_future(action)
        while not doing.done():
            await self.shot()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(doing), FRAME_MS / 1000)
        await self.shot()
        await doing

    def save(self, path: Path) -> None:
        pictures = [_scaled(data) for _, data in self.frames]
        times = [at for at, _ in self.frames]
        lasting = [round(1000 * (after - at)) for at, after in pairwise(times)] + [LAST_MS]
        pictures[0].save(
            path,
            save_all=True,
            append_images=pictures[1:],
            duration=lasting,
            loop=0,
            quality=70,
            method=6,
        )


def _scaled(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB").resize(FILM, Image.Resampling.LANCZOS)


async def ask(page: Page) -> None:
    """Type at a person's speed."""
    box = page.get_by_role("textbox", name="Message #general")
    await box.press_sequentially("@bobb", delay=120)
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await box.press_sequentially(QUESTION, delay=25)
    await asyncio.sleep(0.4)
    await page.keyboard.press("Enter")
    await page.get_by_role("main").get_by_role("button", name="1 reply").click()
    await page.mouse.move(640, 400)
    menu = thread_messages(page).get_by_role("combobox")
    await expect(menu).to_be_visible()
    await asyncio.sleep(1)
    await menu.click()
    await asyncio.sleep(1.2)
    await menu.press_sequentially("mark", delay=150)
    await expect(page.get_by_role("option")).to_have_count(1)
    await asyncio.sleep(0.6)
    await page.keyboard.press("Enter")
    await page.mouse.move(640, 400)


async def make_film(page: Page, product: Product) -> Film:
    await visit(page, product)
    film = Film(page)
    await film.during(ask(page))
    await film.during(answered(page, 1))
    await film.during(expect(thread_messages(page).nth(1)).not_to_contain_text("New conversation"))
    return film


async def make_still(page: Page, product: Product, path: Path) -> None:
    """Take a screenshot in the middle of an answer, where every element is visible."""
    await visit(page, product, channel="C0RANDOM")
    box = page.get_by_role("textbox", name="Message #random")
    await box.fill(f"@Bobbin {QUESTION}")
    await box.press("Enter")
    await page.get_by_role("main").get_by_role("button", name="1 reply").click()
    menu = thread_messages(page).get_by_role("combobox")
    await menu.press_sequentially("mark")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await page.mouse.move(640, 400)
    await expect(page.locator(".thread-pane .growing pre code")).to_contain_text(
        "while", timeout=20_000
    )
    await page.screenshot(path=path)


async def main() -> None:
    expect.set_options(
        timeout=60_000
    )  # a busy machine needs longer for an answer than the default allows
    IMAGES.mkdir(parents=True, exist_ok=True)
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Product(Path(folder) / "chats.sqlite3") as product,
            async_playwright() as playwright,
        ):
            browser = await playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox"]
            )
            film = await make_film(await browser.new_page(viewport=WINDOW), product)
            film.save(IMAGES / "streaming.webp")
            sharp = await browser.new_page(viewport=WINDOW, device_scale_factor=2)
            await make_still(sharp, product, IMAGES / "sandbox.png")
            await browser.close()
    for picture in sorted(IMAGES.iterdir()):
        size = picture.stat().st_size
        print(
            f"{picture.name}: {size:,} bytes"
            + (", too large for a README" if size > MAX_SIZE else "")
        )


if __name__ == "__main__":
    asyncio.run(main())
