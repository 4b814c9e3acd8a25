"""The dialog "New chat": it opens at once, checks each field, and each submission starts one chat."""

from __future__ import annotations

from typing import Any

import pytest

from bot import strings
from bot.sandbox.limits import Limits
from bot.sandbox.state.records import Message, View
from bot.sandbox.user_actions.find_elements import find_container
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_start import many_models
from tests.handlers.world import MODEL, World, options_of
from tests.slow import slow_after

OPTION = {"text": {"type": "plain_text", "text": "Demo: Quick"}, "value": f"openai:{MODEL}"}


async def open_by_command(
    world: World, text: str = "new", user: str = "alice", channel: str = "general"
) -> View:
    """Type `/chats new …`; returns the dialog."""
    await world.slack.interactions.command(user, channel, "/chats", text)
    return await wait_for_dialog(world, user)


async def wait_for_dialog(world: World, user: str = "alice") -> View:
    """The dialog, once it is open."""
    view = await world.until(lambda: world.slack.views.modal(user), "the dialog")
    assert view is not None
    return view


def field_values(text: str | None, model: Any = OPTION) -> dict[str, Any]:
    chosen = {"type": "external_select", "selected_option": model}
    return {
        "bobbin.model": {"dialog_model": chosen},
        "bobbin.text": {"dialog_text": {"type": "plain_text_input", "value": text}},
    }


def field(view: View, block: str) -> dict[str, Any]:
    return next(dict(each["element"]) for each in view.blocks if each.get("block_id") == block)


def posted_questions(world: World, channel: str = "general") -> list[Message]:
    """The bot's messages that show what people asked in dialogs."""
    return [
        m
        for m in world.slack.workspace.messages(channel)
        if any(is_question(block) for block in m.blocks)
    ]


def is_question(block: dict[str, Any]) -> bool:
    return str(block.get("block_id", "")).startswith("bobbin.asked.")


async def wait_for_question(world: World, channel: str = "general") -> Message:
    """The question's message, once it is posted."""
    return await world.until(lambda: posted_questions(world, channel)[-1], "the question in Slack")


# -- opening -------------------------------------------------------------------------------------------------------


async def test_new_opens_the_dialog_with_model_and_text(world: World) -> None:
    view = await open_by_command(world, "new Why is the sky blue?")

    assert view.definition["title"]["text"] == "New chat"
    assert field(view, "bobbin.model")["initial_option"] == OPTION
    assert field(view, "bobbin.text")["initial_value"] == "Why is the sky blue?"
    assert field(view, "bobbin.text")["max_length"] == 3000
    assert world.slack.workspace.ephemerals("alice") == []


@pytest.mark.parametrize("said", ["new Why?", "NEW   Why?", " new\nWhy?"])
async def test_new_is_recognised_in_any_case_and_with_any_spaces(world: World, said: str) -> None:
    assert field(await open_by_command(world, said), "bobbin.text")["initial_value"] == "Why?"


async def test_the_dialogs_menu_lists_all_models_and_finds_any_of_420(worlds: WorldFactory) -> None:
    async with worlds(models=many_models(420)) as world:
        view = await open_by_command(world)

        assert (
            len(options_of(await world.slack.interactions.menu("alice", view, "dialog_model")))
            == 100
        )
        (found,) = options_of(
            await world.slack.interactions.menu("alice", view, "dialog_model", "model 417")
        )
        await world.slack.views.submit("alice", field_values("Are you the one?", found))

        root = await wait_for_question(world)
        await world.answered(root.ts)
        assert world.models.requests()[0].model == "maker4/model-417"


async def test_the_dialog_opens_while_no_model_can_be_reached(worlds: WorldFactory) -> None:
    async with worlds(openai_base_url="http://127.0.0.1:9/v1") as world:
        view = await open_by_command(world, "new Anybody?")

        assert "initial_option" not in field(view, "bobbin.model")
        assert options_of(await world.slack.interactions.menu("alice", view, "dialog_model")) == []
        assert await world.slack.views.submit("alice", field_values("Anybody?", None)) == {
            "bobbin.model": strings.DIALOG_NO_MODEL
        }


async def test_a_dialog_that_slack_does_not_open_is_reported(world: World) -> None:
    world.slack.faults.add("views.open", error="expired_trigger_id")
    world.forgive("expired_trigger_id")

    await world.slack.interactions.command("alice", "general", "/chats", "new")

    await world.until(lambda: strings.DIALOG_NOT_OPENED in world.whispers("alice"), "the notice")


@pytest.mark.parametrize("opened_by", slow_after(1, ["command", "header menu"]))
async def test_a_dialog_opens_even_if_its_first_call_fails(world: World, opened_by: str) -> None:
    """Or is open although that call's response was lost; then nothing is told."""
    world.forgive("exchanged_trigger_id")
    thread = await world.start("Hello?")
    await world.answered(thread)
    await world.idle()
    faults: list[dict[str, Any]] = [
        {"mode": "status", "status": 503},
        {"mode": "lost"},
        {"mode": "ratelimited"},
    ]
    for number, fault in enumerate(faults, 1):
        world.slack.faults.add("views.open", **fault)
        await want_dialog(world, thread, opened_by)
        await wait_for_dialog(world)
        await until_called(world, 2 * number)
        await world.idle()
        assert world.whispers("alice") == []
        await world.slack.views.close("alice")


@pytest.mark.parametrize("opened_by", ["command", "header menu"])
@pytest.mark.parametrize("fault", [{"mode": "hang"}, {"mode": "status", "status": 503}])
async def test_a_person_whose_dialog_does_not_open_is_told_so(
    worlds: WorldFactory, opened_by: str, fault: dict[str, Any]
) -> None:
    async with worlds(timing=patient_timing(dialog_open_timeout=0.2)) as world:
        thread = await world.start("Hello?")
        await world.answered(thread)
        world.slack.faults.add("views.open", times=-1, **fault)
        await want_dialog(world, thread, opened_by)
        told = await world.until(lambda: world.whispers("alice"), "the notice")
        world.slack.faults.clear()
        assert told == [strings.DIALOG_NOT_OPENED]


async def until_called(world: World, times: int) -> None:
    await world.until(lambda: len(world.slack.calls_of("views.open")) == times, f"{times} calls")


async def want_dialog(world: World, thread: str, opened_by: str) -> None:
    if opened_by == "command":
        await world.slack.interactions.command("alice", "general", "/chats", "new")
        return
    (chat,) = world.chats()
    header = world.header(thread)
    await world.slack.interactions.choose("alice", header, "chat_menu", f"rename:{chat['id']}")


# -- submitting ----------------------------------------------------------------------------------------------------


async def test_the_chat_starts_in_the_channel_where_the_dialog_was_opened(world: World) -> None:
    world.say("Rayleigh scattering.")
    await open_by_command(world, "new")

    assert await world.slack.views.submit("alice", field_values("Why is the sky blue?")) == {}

    root = await wait_for_question(world)
    assert (root.thread_ts in (None, root.ts), root.text) == (
        True,
        "<@U0ALICE> asks:\nWhy is the sky blue?",
    )
    assert await world.answered(root.ts) == ["Rayleigh scattering."]
    assert world.header(root.ts).thread_ts == root.ts
    assert world.slack.views.modal("alice") is None
    chat = world.chats()[0]
    assert (chat["owner"], chat["channel"], chat["thread"]) == ("U0ALICE", "C0GENERAL", root.ts)

    await world.slack.conversations.say("alice", "general", "And at dusk?", root.ts)
    await world.answered(root.ts, 2)
    assert [m["text"] for m in world.messages(root.ts) if m["role"] == "user"] == [
        "Why is the sky blue?",
        "And at dusk?",
    ]


@pytest.mark.parametrize("text", [None, "", " \n\t "])
async def test_a_missing_text_is_an_error_at_its_field(world: World, text: str | None) -> None:
    view = await open_by_command(world)

    assert await world.slack.views.submit("alice", field_values(text)) == {
        "bobbin.text": strings.DIALOG_NO_TEXT
    }

    assert world.slack.views.modal("alice") is view
    await world.idle()
    assert (posted_questions(world), world.rows("SELECT * FROM questions")) == ([], [])


async def test_all_invalid_fields_are_reported_at_once(world: World) -> None:
    """The text is too long, which Slack's own client would not send, and there is no model."""
    await open_by_command(world)

    errors = await world.slack.views.submit("alice", field_values("x" * 3001, None))

    assert errors == {
        "bobbin.text": strings.DIALOG_TOO_LONG.format(most=3000, count=3001),
        "bobbin.model": strings.DIALOG_NO_MODEL,
    }


async def test_a_model_that_is_no_longer_offered_is_an_error_at_the_menu(world: World) -> None:
    await open_by_command(world)
    gone = {"text": {"type": "plain_text", "text": "Gone"}, "value": "openai:demo/gone"}

    assert await world.slack.views.submit("alice", field_values("Hello there.", gone)) == {
        "bobbin.model": strings.MODEL_NOT_OFFERED
    }
    assert await world.slack.views.submit("alice", field_values("Hello there.")) == {}

    await world.answered((await wait_for_question(world)).ts)
    assert len(world.chats()) == 1


async def test_a_text_of_the_maximum_length_is_asked_whole_and_pings_no_one(world: World) -> None:
    text = ("<!channel> <@U0BOB> & *all* of you: " * 100)[:3000].strip()
    await open_by_command(world)
    await world.slack.views.submit("alice", field_values(text))

    root = await wait_for_question(world)
    await world.answered(root.ts)

    assert world.messages(root.ts)[0]["text"] == text
    raw = "".join(block["text"]["text"] for block in root.blocks if block["type"] == "section")
    assert "<!" not in raw
    assert raw.count("<@") == raw.count("<@U0ALICE>") == 1


async def test_a_submission_that_slack_sends_again_starts_one_chat(world: World) -> None:
    view = await open_by_command(world)
    values = field_values("Only once, please.")
    for _ in range(3):
        await world.slack.interaction_sender.submit(view.user, view, values)

    root = await wait_for_question(world)
    await world.answered(root.ts)
    await world.idle()

    assert (len(posted_questions(world)), len(world.chats()), len(world.requests())) == (1, 1, 1)


async def test_the_same_person_may_submit_twice_in_two_dialogs(world: World) -> None:
    for text in ("The first of two.", "The second of two."):
        await open_by_command(world)
        await world.slack.views.submit("alice", field_values(text))
    await world.until(lambda: len(world.chats()) == 2, "two chats")
    await world.idle()

    assert len(posted_questions(world)) == 2


# -- the limit -----------------------------------------------------------------------------------------------------


async def test_the_button_of_a_full_chat_opens_the_dialog_with_its_model(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_max_messages=2) as world:
        thread = await world.start("The first and last.", model="demo/storyteller")
        await world.answered(thread)
        await world.slack.conversations.say("alice", "general", "One more?", thread)
        (refusal,) = await world.until(
            lambda: world.slack.workspace.ephemerals("alice", "general"), "the refusal"
        )
        await world.start(
            "Something else, with another model.", model=MODEL
        )  # the last used one differs

        await world.slack.interactions.press("alice", refusal, "new_chat")
        view = await wait_for_dialog(world, "alice")
        assert field(view, "bobbin.model")["initial_option"]["value"] == "openai:demo/storyteller"
        await world.slack.views.submit(
            "alice", field_values("A new one.", field(view, "bobbin.model")["initial_option"])
        )

        root = await wait_for_question(world)
        await world.answered(root.ts)
        assert (root.thread_ts in (None, root.ts), len(world.chats())) == (True, 3)
        assert world.models.requests()[-1].model == "demo/storyteller"


async def test_a_newcomer_to_a_full_chat_is_offered_its_model_too(worlds: WorldFactory) -> None:
    async with worlds(bobbin_max_messages=2) as world:
        thread = await world.start("The first and last.", model="demo/storyteller")
        await world.answered(thread)
        await world.slack.conversations.say("carol", "general", "May I?", thread)
        (refusal,) = await world.until(
            lambda: world.slack.workspace.ephemerals("carol", "general"), "the refusal"
        )

        await world.slack.interactions.press("carol", refusal, "new_chat")

        view = await wait_for_dialog(world, "carol")
        assert field(view, "bobbin.model")["initial_option"]["value"] == "openai:demo/storyteller"


async def test_the_model_of_another_persons_chat_is_not_revealed(world: World) -> None:
    """The id of the chat comes from the button's value, which a client could replace."""
    thread = await world.start("Ours alone.", channel="leads", model="demo/storyteller")
    await world.answered(thread, channel="leads")
    chat = world.chats()[0]["id"]

    body = {"type": "button", "action_id": "new_chat", "block_id": "b", "value": chat}
    message = world.slack.workspace.message("general", await world.ask("A menu.", user="carol"))
    container = find_container(world.slack.workspace, message)
    await world.slack.interaction_sender.act("U0CAROL", container, body)

    view = await wait_for_dialog(world, "carol")
    assert field(view, "bobbin.model")["initial_option"]["value"] == f"openai:{MODEL}"


async def test_rate_limits_do_not_keep_the_dialog_from_opening(worlds: WorldFactory) -> None:
    async with worlds(limits=Limits()) as world:
        for _ in range(5):
            await open_by_command(world)
            await world.slack.views.close("alice")
