"""Text from models, people and names is shown as text: none of its scripts runs in a real browser."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from playwright.async_api import Page, Request, expect

from tests.api.conftest import Api, client
from tests.browser.steps import open_workspace, thread_messages
from tests.handlers.world import World
from tests.security.text_sources import (
    hostile_token,
    models_with_hostile_name,
    write_from_every_source,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

RUN = "window.ran=(window.ran||0)+1"
SCRIPTS = " ".join(
    (
        f"<script>{RUN}</script> <img src=x onerror={RUN}> <svg onload={RUN}> <details open ontoggle={RUN}>",
        f"<iframe srcdoc='<script>parent.ran=1</script>'> <math><mtext><style><img src=x onerror={RUN}>",
        f"<a href='javascript:{RUN}'>a</a> [b](javascript:{RUN}) [c](JaVaScRiPt:{RUN}) [d](vbscript:{RUN})",
        f"[e](data:text/html,<script>{RUN}</script>) [f](java&#115;cript:{RUN}) ![g](javascript:{RUN})",
        f'<javascript:{RUN}> <https://x.example/"onmouseover="{RUN}|h> "\'><b onmouseover={RUN}>',
        "<style>*{display:none}</style> <form action=//evil.example> <base href=//evil.example>",
    )
)
LINKS = "[...document.querySelectorAll('a[href]')].map(a => a.protocol).filter(p => !/^(https?|mailto):$/.test(p))"
HANDLERS = "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on'))"
FOREIGN = "document.querySelectorAll('iframe, object, embed, base, form, script:not([src^=\"/static/\"])').length"


async def test_no_text_source_runs_a_script_on_any_surface(
    tmp_path: Path, log: io.StringIO, page: Page, complaints: list[str]
) -> None:
    """Threads, lists, the Home tab, modals, ephemeral messages and the traffic inspector."""
    beyond: list[str] = []

    def note(request: Request) -> None:
        if "127.0.0.1" not in request.url and not request.url.startswith(("data:", "blob:")):
            beyond.append(request.url)

    page.on("request", note)
    page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
    async with World(tmp_path, log, models=models_with_hostile_name(SCRIPTS)) as world:
        token = await hostile_token(world, SCRIPTS)
        async with client(world, token) as http:
            thread = await write_from_every_source(world, Api(http, token), SCRIPTS)
        world.allow_redelivery()
        await open_workspace(page, world.slack, thread=thread)
        await expect(thread_messages(page).filter(has_text="answer").first).to_contain_text(
            "<script>"
        )
        await safe(page)
        for link in await page.locator(".thread-pane a").all():
            await link.hover()
        await page.get_by_role("button", name="Traffic").click()
        entries = page.get_by_test_id("traffic-entry").filter(has_text="chat.")
        await entries.first.get_by_role("button").click()
        await safe(page)
        await page.get_by_role("navigation").get_by_role("button", name="Bobbin").click()
        await page.get_by_role("tab", name="Home").click()
        await expect(page.get_by_test_id("home")).to_contain_text("title <script>")
        await safe(page)
        await page.goto("about:blank")
    assert beyond == []


async def safe(page: Page) -> None:
    assert await page.evaluate("window.ran") is None
    assert await page.evaluate(LINKS) == []
    assert await page.evaluate(HANDLERS) == []
    assert await page.evaluate(FOREIGN) == 0
