"""Apps as strangers write them, with Bolt for Python and Bolt for JavaScript, over Socket Mode and HTTP."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bot.sandbox import Limits, Message, Sandbox, View
from bot.sandbox.app_manifest import AppManifest
from tests.deadlines import DEADLINE_SCALE, WAIT_TIMEOUT
from tests.services import free_port

APPS = Path(__file__).parent / "apps"
MANIFEST = AppManifest.read(APPS / "manifest.yaml")
LIMITS = Limits.off().with_deadlines_scaled(DEADLINE_SCALE)
"""Without rate limits: these people act faster than real ones, and the app does not try again."""


def javascript() -> list[str]:
    """The command that runs the app in JavaScript. Skips where Node or Bolt is missing, but not in CI."""
    node = shutil.which("node")
    if node is None or not (APPS / "node_modules/@slack/bolt").is_dir():
        why = "no Node, or no Bolt for JavaScript: npm ci --prefix tests/sandbox/apps"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    return [str(node), "bolt_javascript.js"]


COMMANDS: dict[str, Callable[[], list[str]]] = {
    "python": lambda: [sys.executable, "bolt_python.py"],
    "javascript": javascript,
}


@asynccontextmanager
async def running(command: list[str], slack: Sandbox, port: int | None) -> AsyncIterator[None]:
    """The app as a process of its own, with the settings that `bobbin sandbox --without-bot` prints."""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_SIGNING_SECRET": slack.signing_secret,
    }
    if port is not None:
        environment["PORT"] = str(port)
    process = await asyncio.create_subprocess_exec(*command, cwd=APPS, env=environment)
    try:
        await asyncio.wait_for(slack.dispatcher.transport.wait_until_open(), WAIT_TIMEOUT)
        yield
        assert process.returncode is None, "the app has ended"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.fixture(
    params=[(language, way) for language in COMMANDS for way in ("socket", "http")],
    ids=lambda param: "-".join(param),
)
async def slack(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """A workspace with the running app."""
    language, way = request.param
    command = COMMANDS[language]()
    port = free_port() if way == "http" else None
    url = f"http://127.0.0.1:{port}"
    async with Sandbox(
        limits=replace(LIMITS, challenge_interval=0.1),
        scopes=MANIFEST.scopes,
        events=MANIFEST.events,
        commands=MANIFEST.commands,
        shortcuts=MANIFEST.shortcuts,
        features=MANIFEST.features,
        bot_name=MANIFEST.name,
        request_url=MANIFEST.request_urls(url) if port else None,
        on_challenge=(lambda problem: None) if port else None,
    ) as sandbox:
        async with running(command, sandbox, port):
            yield sandbox
        assert sandbox.refusals == []


async def reply(slack: Sandbox, channel: str, root: str) -> Message:
    return await slack.until(lambda: slack.workspace.thread(channel, root)[1])


async def top_modal(slack: Sandbox, title: str, count: int = 1) -> View:
    """Alice's topmost modal, once it has this title and so many are open."""

    def found() -> View:
        stack = slack.workspace.open_modals("U0ALICE")
        if len(stack) != count or stack[-1].definition["title"]["text"] != title:
            raise LookupError(f"{[view.definition['title'] for view in stack]} are open")
        return stack[-1]

    return await slack.until(found)


async def test_the_app_does_in_the_sandbox_what_it_does_in_slack(slack: Sandbox) -> None:
    """Every feature that its listeners use, one after the other, in one run of the app."""
    await messages(slack)
    await commands(slack)
    await dialogs(slack)
    await shortcuts(slack)
    await home_and_direct_messages(slack)


async def messages(slack: Sandbox) -> None:
    said = await slack.conversations.say("alice", "general", "hello there")
    (greeting, *_) = await slack.until(
        lambda: [each for each in slack.workspace.messages("general") if each.bot_id]
    )
    assert greeting.text == "Hey <@U0ALICE>!"
    await slack.interactions.press("bob", greeting, "wave")
    assert (await reply(slack, "general", greeting.ts)).text == "In the thread"
    await slack.until(lambda: greeting.text == "<@U0BOB> waved")

    asked = await slack.conversations.say("alice", "general", "@ticket_desk are you there?")
    assert (await reply(slack, "general", asked)).text == "You called, Alice Archer?"

    await slack.conversations.react("bob", "general", said, "eyes")
    assert (await reply(slack, "general", said)).text == "eyes counted"

    await slack.conversations.say("alice", "general", "the report please")
    (shared, *_) = await slack.until(
        lambda: [each for each in slack.workspace.messages("general") if each.files]
    )
    assert shared.text == "Here it is"
    assert slack.workspace.files[shared.files[0]].content == b"a,b\n1,2\n"


async def commands(slack: Sandbox) -> None:
    await slack.interactions.command("alice", "random", "/ticket", "count")
    await slack.until(
        lambda: slack.workspace.messages("random") and slack.workspace.ephemerals("alice", "random")
    )
    assert [each.text for each in slack.workspace.messages("random")] == ["There are 3 tickets"]
    assert [each.text for each in slack.workspace.ephemerals("alice", "random")] == ["Only for you"]


async def dialogs(slack: Sandbox) -> None:
    await slack.interactions.command("alice", "general", "/ticket", "Wet paint")
    modal = await top_modal(slack, "New ticket")
    offered = await slack.interactions.menu("alice", modal, "assignee", "love")
    assert [each["text"]["text"] for each in offered["options"]] == ["Ada Lovelace"]

    await slack.interactions.press("alice", modal, "help")
    await top_modal(slack, "Help", 2)
    await slack.views.close("alice")
    await slack.interactions.press("alice", modal, "example")
    await slack.until(lambda: modal.blocks[0]["element"]["initial_value"] == "An example")

    assert await slack.views.submit("alice", {"title": "Wet"}) == {"title": "Say a little more"}
    assert await slack.views.submit("alice", {"title": "show me"}) == {}
    await top_modal(slack, "Help")
    await slack.views.close("alice")


async def shortcuts(slack: Sandbox) -> None:
    ts = await slack.conversations.say("alice", "general", "The door is stuck")
    await slack.interactions.shortcut(
        "alice", "ticket_from_message", slack.workspace.message("general", ts)
    )
    modal = await top_modal(slack, "New ticket")
    assert modal.blocks[0]["element"]["initial_value"] == "The door is stuck"
    await slack.views.close("alice")

    await slack.interactions.shortcut("alice", "new_ticket")
    await top_modal(slack, "New ticket")
    chosen = {"text": {"type": "plain_text", "text": "Ada Lovelace"}, "value": "Ada"}
    await slack.views.submit(
        "alice", {"title": "Squeaky chair", "assignee": {"assignee": {"selected_option": chosen}}}
    )
    direct = slack.workspace.dm("alice")
    message = await slack.until(lambda: slack.workspace.messages(direct)[0])
    assert message.text == "Opened “Squeaky chair” for Ada"


async def home_and_direct_messages(slack: Sandbox) -> None:
    await slack.views.open_home("bob")
    home = await slack.until(lambda: slack.views.home("bob"))
    assert home is not None
    assert home.blocks[0]["text"]["text"] == "Tickets of <@U0BOB>"
    direct = slack.workspace.dm("bob")
    await slack.conversations.say("bob", direct, "hello")
    await slack.until(lambda: [each.bot_id for each in slack.workspace.messages(direct)][1])
