"""`Continue in a new chat`: a new thread in the same place that begins with a summary of the old chat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from bot import strings
from bot.chats.prompt_turns import CONTINUED
from bot.chats.summarizer import SUMMARY_INSTRUCTION
from bot.sandbox.models.scripts import Fault, ModelScript, text_of, words
from bot.sandbox.state.records import Ephemeral, Message
from bot.sandbox.user_actions.conversations import Upload
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import NOTES, sent_text
from tests.handlers.test_dialogs import field, field_values, wait_for_dialog
from tests.handlers.world import World, elements
from tests.slow import slow_after

SUMMARY = "Alice counts apples <!channel> and has two."


def summarising(script: ModelScript) -> Any:
    def answering(asked: Any) -> ModelScript | None:
        return script if text_of(asked.messages[0]) == SUMMARY_INSTRUCTION else None

    return answering


async def full_chat(
    world: World, more: str = "And how many *pears*?", files: Sequence[Upload] = ()
) -> tuple[str, Ephemeral]:
    """A chat of two messages that is full; its thread, and the notice to alice, who said more."""
    thread = await world.start("How many apples?")
    await world.answered(thread)
    await world.slack.conversations.say("alice", "general", more, thread, files)
    await world.until(lambda: world.whispers("alice"), "the notice")
    await world.idle()
    return thread, world.slack.workspace.ephemerals("alice", "general")[-1]


def continued(world: World) -> list[Message]:
    """The messages that begin the threads of continuations."""
    messages = world.slack.workspace.channel("general").messages.values()
    return [m for m in messages if m.user == world.slack.bot_user.id and m.thread_ts is None]


async def test_a_full_chat_continues_in_one_new_thread(worlds: WorldFactory) -> None:
    """However often, by whomever, and from which message the button is pressed."""
    async with worlds(bobbin_max_messages=2) as world:
        world.models.answer_with("*", summarising(ModelScript(words(SUMMARY))))
        thread, notice = await full_chat(world)
        assert notice.text == "This chat is full: it has reached its 2 messages."
        world.slack.faults.copies = 2
        press = world.slack.interactions.press
        await asyncio.gather(*(press("alice", notice, "continue_chat") for _ in range(3)))
        await world.until(lambda: continued(world), "the new thread")
        await world.idle()
        await press("alice", notice, "continue_chat")
        await world.idle()

        (root,) = continued(world)
        old, new = world.chats()
        assert (new["continues"], new["model"], new["thread"]) == (old["id"], old["model"], root.ts)
        texts = str(root.blocks)
        assert "Continued from <" in texts
        assert f"/p{thread.replace('.', '')}" in texts
        assert "Alice counts apples &lt;!channel> and has two." in texts
        await world.until(lambda: "Continued in <" in str(world.header(thread).blocks), "the link")
        assert root.ts.replace(".", "") in str(world.header(thread).blocks)
        assert "goes on in <" in world.whispers("alice")[-1]

        world.say("Three pears.")
        await world.slack.conversations.say("bob", "general", "And pears?", root.ts)
        await world.until(lambda: world.ended(root.ts), "the answer")
        await world.idle()
        asked = world.requests()[-1]
        assert asked[-1] == ("user", CONTINUED.format(context=SUMMARY, text="And pears?"))
        assert "Continued from <" in str(world.header(root.ts).blocks)


LONG = " ".join(f"word{n}" for n in range(1_000))
REFUSED: dict[str, tuple[str, str, bool]] = {
    "short": ("And how many *pears*?", "And how many *pears*?", False),
    "long": (LONG[:2_990], LONG[:2_990], False),
    "longer than the field": (LONG, f"{LONG[:2_999]}…", False),
    "with a name": (f"What does <@U0CAROL> say? {LONG[:2_500]}", f"What does @carol say? {LONG[:2_500]}", False),
    "with a file": ("What do they say?", "What do they say?", True),
    "a file alone": ("", "", True),
}  # fmt: skip
"""What is said in a full chat, what the dialog's field holds, and whether a file is shared with it."""


@pytest.mark.parametrize("name", slow_after(3, REFUSED))
async def test_the_new_chat_dialog_contains_the_refused_question(
    worlds: WorldFactory, name: str
) -> None:
    raw, seen, has_file = REFUSED[name]
    async with worlds(bobbin_max_messages=2) as world:
        thread, notice = await full_chat(world, raw, [NOTES] if has_file else [])
        await world.slack.interactions.press("alice", notice, "new_chat")
        view = await wait_for_dialog(world)
        assert field(view, "bobbin.text").get("initial_value", "") == seen
        assert ("notes.txt" in str(view)) == has_file
        await world.idle()
        assert len(world.messages(thread)) == 2


async def test_a_question_that_cannot_be_read_again_appears_as_far_as_it_is_known(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_max_messages=2) as world:
        _, notice = await full_chat(world, LONG)
        world.slack.faults.add("conversations.replies", times=-1, error="missing_scope")
        world.forgive("missing_scope")
        await world.slack.interactions.press("alice", notice, "new_chat")
        value = str(field(await wait_for_dialog(world), "bobbin.text")["initial_value"])
        assert LONG.startswith(value.removesuffix("…"))
        assert len(value) > 1_900


async def test_a_refused_question_with_its_file_starts_a_new_chat(worlds: WorldFactory) -> None:
    async with worlds(bobbin_max_messages=2) as world:
        _, notice = await full_chat(world, "What do they say?", [NOTES])
        await world.slack.interactions.press("alice", notice, "new_chat")
        await wait_for_dialog(world)
        await world.slack.views.submit("alice", field_values("What do they say?"))
        await world.until(lambda: len(world.chats()) == 2, "the new chat")
        await world.until(lambda: len(world.requests()) == 2, "the request")
        await world.idle()
        assert "What do they say?" in sent_text(world)
        assert "line two" in sent_text(world)


async def test_a_chat_that_no_model_summarises_begins_with_its_newest_turns(world: World) -> None:
    world.models.answer_with(
        "*", summarising(ModelScript([], fault=Fault("http", status=402, message="Pay")))
    )
    world.say("Two apples.")
    thread = await world.start("How many apples?")
    await world.answered(thread)
    world.fail("http", status=402)
    await world.slack.conversations.say("alice", "general", "And pears?", thread)
    await world.answered(thread, 2)
    await world.idle()
    failed = world.answers(thread)[-1]
    assert elements(failed, "continue_chat")[0]["text"]["text"] == "Continue in a new chat"
    await world.slack.interactions.press("bob", failed, "continue_chat")
    await world.until(lambda: continued(world), "the new thread")
    await world.idle()
    text = str(continued(world)[0].blocks)
    assert "Two apples." in text
    assert "How many apples?" in text


@pytest.mark.parametrize("where", ["before the summary", "after the post"])
async def test_it_survives_a_restart(world: World, where: str) -> None:
    world.models.answer_with("*", summarising(ModelScript(["Never."], first_after=600.0)))
    world.fail("http", status=402)
    thread = await world.start("How many apples?")
    await world.answered(thread)
    await world.idle()
    failed = world.answers(thread)[-1]
    if where == "after the post":
        world.models.answer_with("*", summarising(ModelScript(words(SUMMARY))))
    await world.slack.interactions.press("alice", failed, "continue_chat")
    if where == "after the post":
        await world.until(lambda: continued(world), "the new thread")
        await world.idle()
    else:
        asked = summarising(ModelScript([]))
        await world.until(lambda: any(asked(a) for a in world.models.journal), "the summary")
    await world.stop_bot()
    if where == "after the post":  # as if the process had been killed before it stored the thread
        await world.execute(
            "UPDATE chats SET thread = NULL, header_ts = NULL WHERE continues IS NOT NULL"
        )
    world.models.answer_with("*", summarising(ModelScript(words(SUMMARY))))
    await world.start_bot()
    await world.until(lambda: world.chats()[1]["thread"], "the thread is stored")
    await world.idle()
    assert [m.ts for m in continued(world)] == [world.chats()[1]["thread"]]
    assert strings.CONTINUED_IN.split("<")[0] in str(world.header(thread).blocks)
