"""Slacks that differ: older ones, emulators, a proxy in between. Their limitations are learned, and the answer
arrives.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot import strings
from bot.config.chats import StreamMode
from bot.sandbox.limits import Limits
from handlers.rate_limits.slack_rates import POST, UPDATE
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import MOVIE
from tests.handlers.world import World, elements
from tests.slow import slow_after

TEXT = "One, two, three, and that is all of it."
LONG = " ".join(f"Sentence number {number} of a long text." for number in range(400))
OPTIONAL = [
    "assistant.threads.setStatus",
    "agents.sessions.rename",
    "reactions.add",
    "chat.startStream",
]
"""Methods that an answer does not need."""


@pytest.mark.parametrize("status", slow_after(2, [404, 400, 405, 410, 501, 403, 451]))
async def test_an_unsupported_method_is_remembered(world: World, status: int) -> None:
    """Or that a proxy blocks: it is called once, without waiting for a timeout, and then not again."""
    for method in OPTIONAL:
        world.slack.faults.add(method, "status", status=status, times=-1)
    world.reply_to({"Say it.": TEXT})
    for nth in range(2):
        thread = await world.start("Say it.")
        assert await world.answered(thread) == [TEXT], nth
    await world.idle()
    assert {method: len(world.slack.calls_of(method)) for method in OPTIONAL[:2]} == dict.fromkeys(
        OPTIONAL[:2], 1
    )
    assert len(world.slack.calls_of("chat.startStream")) == 1


@pytest.mark.parametrize(
    "blocked",
    [
        {UPDATE: {"times": 6}},
        {POST: {"after_effect": True}, "conversations.replies": {"times": 2}},
    ],
    ids=["edits", "posts and searches"],
)
async def test_a_proxys_page_that_passes_loses_nothing(
    worlds: WorldFactory, blocked: dict[str, dict[str, Any]]
) -> None:
    """The answer stands as it would have otherwise: it is not given up, and nothing is posted twice."""
    async with worlds(limits=Limits(rates=False), bobbin_stream=StreamMode.EDIT) as world:
        world.reply_to({"Say it.": TEXT})
        pages = [
            world.slack.faults.add(method, "status", status=403, **details)
            for method, details in blocked.items()
        ]
        thread = await world.start("Say it.")
        assert await world.answered(thread) == [TEXT]
        (answer,) = world.answers(thread)
        assert elements(answer, "feedback")
        assert {row["status"] for row in world.ended(thread)} == {"done"}
        await world.until(lambda: not any(page.times for page in pages), "all pages")
        await world.idle()
        assert len(world.slack.calls_of(POST)) == 2, "the menu and the answer"


async def test_without_ephemeral_messages_people_get_direct_messages(world: World) -> None:
    """They get a direct message, whose buttons work; in a conversation with Bobbin, the notice is posted right
    there.
    """
    world.slack.faults.add("chat.postEphemeral", "status", status=403, times=-1)
    thread = await world.start("A question.")
    await world.answered(thread)
    await world.idle()
    await world.execute("UPDATE chats SET message_count = 100")
    await world.slack.conversations.say("alice", "general", "One too many.", thread)
    direct = world.slack.workspace.dm("alice")
    (notice,) = await world.until(lambda: world.slack.workspace.messages(direct), "the notice")
    assert notice.latest.fallback == strings.CHAT_FULL.format(count=100)

    await world.slack.interactions.press("alice", notice, "new_chat")
    dialog = await world.until(lambda: world.slack.views.modal("alice"), "the dialog")
    assert dialog is not None
    assert "One too many." in json.dumps(dialog.blocks)

    bobs = world.slack.workspace.dm("bob")
    await world.slack.conversations.say("bob", bobs, "", files=[MOVIE])
    said = world.slack.bot_user.id
    await world.until(
        lambda: [
            each
            for each in world.slack.workspace.messages(bobs)
            if each.user == said and MOVIE.name in each.text
        ],
        "what is wrong with the file",
    )


@pytest.mark.parametrize("text", slow_after(1, [LONG, TEXT]), ids=["long", "short"])
@pytest.mark.parametrize("blocks", [True, False], ids=["markdown block", "plain sections"])
async def test_where_markdown_text_is_refused_the_answer_comes_as_blocks(
    worlds: WorldFactory, text: str, blocks: bool
) -> None:
    limits = Limits(rates=False, native_streams=False, markdown_text=False, markdown_blocks=blocks)
    async with worlds(limits=limits, bobbin_stream=StreamMode.EDIT) as world:
        world.forgive("no_text", "invalid_blocks")
        world.reply_to({"Say it.": text})
        thread = await world.start("Say it.")
        await world.answered(thread)
        shown = [
            block["text"] if block["type"] == "markdown" else block["text"]["text"]
            for message in world.answers(thread)
            for block in message.blocks
            if block["type"] in ("markdown", "section")
        ]
        assert " ".join("".join(shown).split()) == text
        assert {row["status"] for row in world.ended(thread)} == {"done"}


@pytest.mark.parametrize("blocks", [True, False], ids=["markdown block", "plain sections"])
async def test_markdown_text_that_is_unknown_is_tried_once_in_a_workspace(
    worlds: WorldFactory, blocks: bool
) -> None:
    limits = Limits(rates=False, native_streams=False, markdown_text=False, markdown_blocks=blocks)
    async with worlds(limits=limits, bobbin_stream=StreamMode.EDIT) as world:
        world.forgive("no_text", "invalid_blocks")
        world.reply_to({"Say it.": TEXT, "Again.": TEXT}, rate=40)
        thread = await world.start("Say it.")
        await world.answered(thread)
        await world.slack.conversations.say("alice", "general", "Again.", thread)
        await world.answered(thread, 2)
        refused = [call.method for call in world.slack.refusals if call.error == "no_text"]
        assert refused == ["chat.postMessage"]
