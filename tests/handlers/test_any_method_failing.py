"""Whatever people do, they get their response even if every Slack method that does not carry it hangs or fails.

Timeouts are made endless here, so that an action that waited for decoration would never get its response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bot import strings
from bot.sandbox.limits import Limits
from bot.sandbox.models.scripts import ModelScript
from bot.sandbox.state.records import Message
from handlers.rate_limits.slack_rates import APPEND, POST, RATES, START, STOP, UPDATE, Rate
from tests.api.conftest import Api, client, token_for
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import say_with_files
from tests.handlers.test_dialogs import field_values, open_by_command, wait_for_dialog
from tests.handlers.test_documents import PDF
from tests.handlers.test_header_menu import values as new_title
from tests.handlers.test_home import STORY, home, prefer, search, tick
from tests.handlers.test_lists import listed, refresh
from tests.handlers.test_shortcuts import open_on_message
from tests.handlers.world import MODEL, World, elements, shown
from tests.slow import slow_after

ENDLESS = 3_600.0
PATIENT = patient_timing(
    session_call_timeout=ENDLESS,
    status_end_timeout=0.05,
    user_name_timeout=ENDLESS,
    context_timeout=ENDLESS,
    session_start_delay=0.0,
)
PLENTY = {method: Rate(1_000.0, 1_000.0) for method in RATES}
"""No act has to wait for the budget that an earlier one used."""
STREAM = frozenset({START, APPEND, STOP})

FAULTS: dict[str, dict[str, Any]] = {
    "hangs": {"mode": "hang", "seconds": ENDLESS},
    "fails": {"mode": "status", "status": 503},
    "is refused": {"mode": "ratelimited", "retry_after": 1},
    "is kept back by a proxy": {"mode": "status", "status": 403},
}

Act = Callable[[], Awaitable[object]]
Surface = Callable[[World], Awaitable[Act]]
"""Prepares, and gives the act: it returns once the person has the reply."""


@dataclass(frozen=True)
class Case:
    surface: Surface
    carriers: frozenset[str] = frozenset()
    """The methods without which there can be no reply."""


async def mention(world: World) -> Act:
    return lambda: world.ask("A question.")


async def direct_message(world: World) -> Act:
    channel = world.slack.workspace.dm("alice")

    async def act() -> None:
        ts = await world.slack.conversations.say("alice", channel, "A question.")
        await world.until(lambda: world.menus(ts, channel), "the menu")

    return act


async def mention_below_other_words(world: World) -> Act:
    thread = await world.slack.conversations.say("bob", "general", "What about <@U0CAROL>?")
    return lambda: world.ask("A question.", thread=thread)


async def mention_of_unknown_people(world: World) -> Act:
    person = world.slack.workspace.add_user(f"guest{len(world.slack.workspace.users)}")
    world.slack.workspace.channel("general").members.append(person.id)
    return lambda: world.ask(f"What does <@{person.id}> say?", user=person.name)


async def choice(world: World) -> Act:
    thread = await world.ask("A question.")

    async def act() -> None:
        await world.choose(thread)
        await answer_stands(world, thread)

    return act


async def start_button(world: World) -> Act:
    thread = await world.ask("A question.")

    async def act() -> None:
        await world.slack.interactions.press("alice", world.menus(thread)[-1], "start_chat")
        await answer_stands(world, thread)

    return act


async def choice_by_somebody_else(world: World) -> Act:
    thread = await world.ask("A question.")
    before = len(world.whispers("bob"))

    async def act() -> None:
        await world.choose(thread, "bob")
        await world.until(lambda: len(world.whispers("bob")) > before, "the refusal")

    return act


async def follow_up(world: World) -> Act:
    thread = await world.start("A question.")
    await world.answered(thread)

    async def act() -> None:
        await world.slack.conversations.say("alice", "general", "Another one.", thread)
        await answer_stands(world, thread, 2)

    return act


async def document(world: World) -> Act:
    thread = await world.start("A question.")
    await world.answered(thread)

    async def act() -> None:
        await say_with_files(world, "And this?", PDF, thread=thread)
        await answer_stands(world, thread, 2)

    return act


async def queued_question(world: World) -> Act:
    world.say("Slow words.", rate=4.0)
    thread = await world.start("A question.")
    await world.until(lambda: world.answers(thread), "the first words")

    async def act() -> None:
        await world.slack.conversations.say("alice", "general", "Another one.", thread)
        await answer_stands(world, thread, 2)

    return act


async def stop(world: World) -> Act:
    world.models.queue(MODEL, ModelScript(["Never", " said."], times=(0.0, ENDLESS)))
    thread = await world.start("A question.")
    await world.until(lambda: world.answers(thread), "the first words")

    async def act() -> None:
        await world.until(lambda: world.stop_buttons(thread), "the button")
        await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
        await world.until(lambda: "stopped" in world.answers(thread)[0].text, "the mark")
        await world.answered(thread)

    return act


async def question_through_the_api(world: World) -> Act:
    thread = await world.start("A question.")
    await world.answered(thread)
    (chat,) = world.rows("SELECT id FROM chats WHERE thread = ?", thread)
    api = Api(client(world, await token_for(world)), "")

    async def act() -> None:
        async with api.http:
            said = await api.say(chat["id"], "Another one.")
        assert said["assistantMessage"]["status"] == "done"

    return act


async def retry(world: World) -> Act:
    world.fail("http", status=401)
    thread = await world.start("A question.")
    await world.answered(thread)
    world.say("It works.")

    async def act() -> None:
        await world.slack.interactions.press("alice", world.answers(thread)[0], "retry_answer")
        await world.until(lambda: shown(world.answers(thread)[0]) == "It works.", "the answer")

    return act


async def thumbs(world: World) -> Act:
    thread = await world.start("A question.")
    await world.answered(thread)
    before = len(world.whispers("alice"))

    async def act() -> None:
        await world.slack.interactions.press("alice", world.answers(thread)[0], "feedback")
        await world.until(lambda: len(world.whispers("alice")) > before, "thanks")

    return act


async def message_for_a_full_chat(world: World) -> Act:
    thread = await world.start("A question.")
    await world.answered(thread)
    await world.idle()
    await world.execute("UPDATE chats SET message_count = 100 WHERE thread = ?", thread)
    before = len(world.whispers("alice"))

    async def act() -> None:
        await world.slack.conversations.say("alice", "general", "One too many.", thread)
        await world.until(lambda: len(world.whispers("alice")) > before, "the refusal")

    return act


async def list_of_chats(world: World) -> Act:
    async def act() -> None:
        assert (await listed(world)).blocks

    return act


async def page_of_the_list(world: World) -> Act:
    await world.answered(await world.start("A question."))
    shown_list = await listed(world)
    return lambda: refresh(world, shown_list)


async def token(world: World) -> Act:
    async def act() -> None:
        assert "token" in (await listed(world, "token")).text

    return act


async def home_tab(world: World) -> Act:
    return lambda: home(world)


async def home_model(world: World) -> Act:
    view = await home(world)
    return lambda: prefer(world, view, STORY)


async def home_always(world: World) -> Act:
    view = await home(world)

    async def act() -> None:
        await tick(world, view)
        await tick(world, view, on=False)

    return act


async def home_search(world: World) -> Act:
    view = await home(world)
    return lambda: search(world, view, "words")


async def dialog(world: World) -> Act:
    await close_dialog(world)
    return lambda: open_by_command(world)


async def dialog_about_a_message(world: World) -> Act:
    await close_dialog(world)
    ts = await world.slack.conversations.say("bob", "general", "What about <@U0CAROL>?")
    message = world.slack.workspace.message("general", ts)
    return lambda: open_on_message(world, message)


async def global_shortcut(world: World) -> Act:
    await close_dialog(world)

    async def act() -> None:
        await world.slack.interactions.shortcut("alice", "new_chat")
        await wait_for_dialog(world)

    return act


async def submission(world: World) -> Act:
    await close_dialog(world)
    await open_by_command(world)
    before = len(world.chats())

    async def act() -> None:
        assert await world.slack.views.submit("alice", field_values("A question.")) == {}
        await world.until(lambda: len(world.chats()) > before, "the chat")
        await answer_stands(world, world.chats()[-1]["thread"])

    return act


async def another_model(world: World) -> Act:
    thread = await world.start("A question.")
    await world.answered(thread)
    return lambda: opens_a_chat(
        world, world.answers(thread)[0], "ask_another", "openai:demo/storyteller"
    )


async def continuation(world: World) -> Act:
    thread = await world.start("A question.")
    await world.answered(thread)
    choice = f"continue:{world.chats()[-1]['id']}"
    return lambda: opens_a_chat(world, world.header(thread), "chat_menu", choice)


async def channel_settings(world: World) -> Act:
    await close_dialog(world)
    world.slack.workspace.user("alice").is_admin = True
    text = f"Be brief, {len(world.slack.calls)}."

    async def act() -> None:
        await world.slack.interactions.command("alice", "general", "/chats", "here")
        view = await wait_for_dialog(world)
        values = {"bobbin.instructions": {"channel_instructions": text}}
        assert await world.slack.views.submit("alice", values, view) == {}
        (row,) = world.rows("SELECT instructions FROM channel_settings")
        assert row["instructions"] == text

    return act


async def export(world: World) -> Act:
    thread = await world.start("A question.")
    await world.answered(thread)
    before = world.whispers("alice").count(strings.EXPORT_SENT)

    async def act() -> None:
        await choose_in_header(world, thread, "export")
        await world.until(
            lambda: world.whispers("alice").count(strings.EXPORT_SENT) > before, "the notice"
        )

    return act


async def rename(world: World) -> Act:
    await close_dialog(world)
    thread = await world.start("A question.")
    await world.answered(thread)

    async def act() -> None:
        await choose_in_header(world, thread, "rename")
        view = await wait_for_dialog(world)
        assert await world.slack.views.submit("alice", new_title("Sky"), view) == {}
        assert world.chats()[-1]["title"] == "Sky"

    return act


async def choose_in_header(world: World, thread: str, what: str) -> None:
    choice = f"{what}:{world.chats()[-1]['id']}"
    await world.slack.interactions.choose("alice", world.header(thread), "chat_menu", choice)


async def opens_a_chat(world: World, message: Message, action: str, choice: str) -> None:
    """A choice in this message does, and the chat has a thread of its own."""
    before = len(world.chats())
    await world.slack.interactions.choose("alice", message, action, choice)
    await world.until(lambda: len(world.chats()) > before, "the chat")
    await world.until(lambda: world.chats()[-1]["thread"], "its thread")


async def close_dialog(world: World) -> None:
    while world.slack.views.modal("alice"):
        await world.slack.views.close("alice")


async def answer_stands(world: World, thread: str, count: int = 1) -> None:
    """With its footer, and the model may be asked the chat's next question."""
    await world.until(
        lambda: (
            sum(bool(elements(answer, "feedback")) for answer in world.answers(thread)) >= count
        ),
        "the answer",
    )
    await world.answered(thread, count)


CASES = [
    # One of each surface, which `make test` tries:
    Case(mention, frozenset({POST})),
    Case(home_tab, frozenset({"views.publish"})),
    Case(dialog, frozenset({"views.open"})),
    Case(thumbs, frozenset({"chat.postEphemeral"})),
    Case(list_of_chats),
    # The others:
    Case(follow_up, STREAM),
    Case(stop, STREAM),
    Case(direct_message, frozenset({POST})),
    Case(mention_below_other_words, frozenset({POST})),
    Case(mention_of_unknown_people, frozenset({POST})),
    Case(choice, STREAM),
    Case(start_button, STREAM),
    Case(choice_by_somebody_else, frozenset({"chat.postEphemeral"})),
    Case(document, STREAM),
    Case(queued_question, STREAM),
    Case(question_through_the_api, STREAM | {POST, UPDATE}),
    Case(retry, frozenset({POST, UPDATE})),
    Case(message_for_a_full_chat, frozenset({"chat.postEphemeral"})),
    Case(page_of_the_list),
    Case(token),
    Case(home_model, frozenset({"views.publish"})),
    Case(home_always, frozenset({"views.publish"})),
    Case(home_search, frozenset({"views.publish"})),
    Case(dialog_about_a_message, frozenset({"views.open"})),
    Case(global_shortcut, frozenset({"views.open"})),
    Case(submission, STREAM | {POST}),
    Case(another_model, frozenset({POST})),
    Case(continuation, frozenset({POST})),
    Case(
        export,
        frozenset(
            {
                "chat.postEphemeral",
                "conversations.open",
                "files.completeUploadExternal",
                "files.getUploadURLExternal",
            }
        ),
    ),
    Case(rename, frozenset({"views.open"})),
    Case(channel_settings, frozenset({"views.open", "users.info"})),
]


@pytest.mark.parametrize("case", slow_after(5, CASES), ids=lambda case: case.surface.__name__)
async def test_a_reply_is_shown_even_if_the_other_methods_fail(
    worlds: WorldFactory, case: Case
) -> None:
    async with worlds(limits=Limits.off(), timing=PATIENT, rates=PLENTY) as world:
        world.leave_unfinished()  # a status that could not be cleared
        world.forgive(
            "streaming_state_conflict", method=UPDATE
        )  # an edit of a stream that could not be ended
        for name, fault in FAULTS.items():
            act = await case.surface(world)
            faults = [
                world.slack.faults.add(method, times=-1, **fault)
                for method in sorted(RATES.keys() - case.carriers)
            ]
            try:
                await act()
            except AssertionError as late:
                hit = ", ".join(each.method for each in faults if each.hits)
                late.add_note(f"each of these {name}: {hit}")
                raise
            world.slack.faults.clear()
