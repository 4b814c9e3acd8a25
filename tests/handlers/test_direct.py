"""Direct messages and the agent pane: suggested prompts, sessions, Slack's Stop control, and groups."""

from __future__ import annotations

import pytest

from bot import strings
from bot.config.chats import StreamMode
from bot.sandbox.errors import NotAcknowledged
from bot.sandbox.models.scripts import ModelScript
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.long_texts import essay
from tests.handlers.world import MODEL, World, shown
from tests.slow import slow_after

PROMPTS = "assistant.threads.setSuggestedPrompts"
SESSION = "agents.sessions.setStatus"
LONG = essay(120)


async def send_direct(world: World, text: str, user: str = "alice") -> tuple[str, str]:
    """Sends Bobbin a top-level direct message; returns the channel and the thread once the menu is there."""
    channel = world.slack.workspace.dm(user)
    thread = await world.slack.conversations.say(user, channel, text)
    await world.until(lambda: world.menus(thread, channel), "the menu")
    return channel, thread


def session(world: World, channel: str, thread: str) -> str | None:
    return world.slack.workspace.thread_state(
        world.slack.workspace.channel(channel).id, thread
    ).session


# -- conversations -------------------------------------------------------------------------------------------------


async def test_every_top_level_message_starts_its_own_chat(world: World) -> None:
    """And the bot writes only in their threads: a top-level message of its own would be another conversation."""
    world.reply_to({"First matter.": "One.", "Second matter.": "Two."})
    channel, first = await send_direct(world, "First matter.")
    await world.choose(first, channel=channel)
    await world.answered(first, channel=channel)
    _, second = await send_direct(world, "Second matter.")
    await world.choose(second, channel=channel)
    await world.answered(second, channel=channel)
    await world.idle()

    assert [(c["channel"], c["thread"]) for c in world.chats()] == [
        (channel, first),
        (channel, second),
    ]
    mine = [m for m in world.slack.workspace.messages(channel) if m.user == world.slack.bot_user.id]
    assert {m.thread_ts for m in mine} == {first, second}
    assert (shown(world.answers(first, channel)[0]), shown(world.answers(second, channel)[0])) == (
        "One.",
        "Two.",
    )


async def test_one_menu_serves_all_messages_sent_before_the_choice(world: World) -> None:
    """They are stored in order, each is answered, and none is left over."""
    world.reply_to({"Take these numbers.": "I have them.", "Add them up.": "Seven."})
    channel, thread = await send_direct(world, "Take these numbers.")
    await world.slack.conversations.say("alice", channel, "Add them up.", thread)
    await world.idle()
    assert len(world.menus(thread, channel)) == 1

    await world.choose(thread, channel=channel)
    assert await world.answered(thread, 2, channel) == ["I have them.", "Seven."]
    await world.idle()
    said = [m["text"] for m in world.messages(thread) if m["role"] == "user"]
    assert said == ["Take these numbers.", "Add them up."]
    assert {q["state"] for q in world.rows("SELECT state FROM questions")} <= {"used", "shown"}
    assert len(world.headers(thread, channel)) == 1


async def test_messages_sent_before_the_choice_survive_a_restart(world: World) -> None:
    channel, thread = await send_direct(world, "Take these numbers.")
    await world.slack.conversations.say("alice", channel, "Add them up.", thread)
    await world.idle()
    await world.restart()
    await world.choose(thread, channel=channel)
    await world.answered(thread, 2, channel)
    assert (len(world.menus(thread, channel)), len(world.headers(thread, channel))) == (0, 1)


async def test_messages_sent_before_the_choice_are_kept_if_only_the_first_was_stored(
    worlds: WorldFactory,
) -> None:
    async with worlds(deadline_scale=1.0) as world:
        world.reply_to({"Take these numbers.": "I have them.", "Add them up.": "Seven."})
        channel, thread = await send_direct(world, "Take these numbers.")
        await world.slack.conversations.say("alice", channel, "Add them up.", thread)
        await world.idle()
        await world.execute(
            "CREATE TRIGGER no_room BEFORE INSERT ON messages WHEN NEW.text = 'Add them up.' "
            "BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        world.allow_redelivery()
        with pytest.raises(NotAcknowledged):
            await world.choose(thread, channel=channel)
        assert await world.answered(thread, channel=channel) == ["I have them."]
        await world.execute("DROP TRIGGER no_room")
        await world.restart()
        assert await world.answered(thread, 2, channel) == ["I have them.", "Seven."]


async def test_a_direct_message_that_begins_with_a_name_is_answered(world: World) -> None:
    channel, thread = await send_direct(world, "@carol turns forty, what shall I give her?")
    await world.choose(thread, channel=channel)
    await world.answered(thread, channel=channel)
    await world.slack.conversations.say("alice", channel, "@carol likes books.", thread)
    await world.answered(thread, 2, channel)
    assert [text for role, text in world.requests()[1] if role == "user"][
        1
    ] == "@carol likes books."


async def test_a_group_conversation_needs_a_mention_and_shows_answers_to_all(
    worlds: WorldFactory,
) -> None:
    """Its id looks like a channel's; only the event shows the kind of conversation."""
    async with worlds() as world:
        people = [world.slack.workspace.user(name).id for name in ("alice", "bob")]
        channel = world.slack.workspace.open_dm([*people, world.slack.bot_user.id]).id
        assert channel.startswith("C")
        idle = await world.slack.conversations.say("alice", channel, "Just us.")
        thread = await world.ask("a question for the group", channel=channel)
        await world.choose(thread, channel=channel)
        await world.answered(thread, channel=channel)
        assert world.replies(idle, channel) == []


async def test_joining_a_channel_posts_nothing(world: World) -> None:
    await world.slack.conversations.join(world.slack.bot_user.id, "watercooler", "alice")
    await world.idle()
    assert [
        m
        for m in world.slack.workspace.messages("watercooler")
        if m.user == world.slack.bot_user.id
    ] == []
    assert world.slack.workspace.ephemerals("alice") == []


# -- the empty pane ------------------------------------------------------------------------------------------------


async def test_an_empty_pane_gets_suggested_prompts_once(world: World) -> None:
    channel = await world.slack.views.open_home("alice", "messages")
    await world.until(lambda: world.slack.calls_of(PROMPTS), "the prompts")
    await world.slack.views.open_home("alice", "messages")
    await world.idle()

    (call,) = world.slack.calls_of(PROMPTS)
    assert "thread_ts" not in call.args
    suggested = world.slack.workspace.prompts[channel, None]
    assert [(p["title"], p["message"]) for p in suggested["prompts"]] == list(
        strings.SUGGESTED_PROMPTS
    )
    assert suggested["title"] == strings.SUGGESTED_PROMPTS_TITLE


async def test_a_pane_with_chats_gets_no_prompts(world: World) -> None:
    channel, thread = await send_direct(world, "I know what to ask.")
    await world.choose(thread, channel=channel)
    await world.answered(thread, channel=channel)
    await world.slack.views.open_home("alice", "messages")
    await world.slack.views.open_home("alice", "home")
    await world.idle()
    assert world.slack.calls_of(PROMPTS) == []


async def test_the_context_of_an_opened_pane_is_ignored(world: World) -> None:
    """What the person is looking at is not part of a conversation."""
    entities = [{"type": "slack#/types/channel_id", "value": "C0LEADS", "team_id": "T0SANDBOX"}]
    event = {
        "user": "U0BOB",
        "channel": world.slack.workspace.dm("bob"),
        "context": {"entities": entities},
    }
    world.slack.subscriptions.deliver({"type": "app_home_opened", "tab": "messages", **event})
    world.slack.subscriptions.deliver({"type": "app_context_changed", **event})
    await world.until(lambda: world.slack.calls_of(PROMPTS), "the prompts")
    await world.idle()
    assert "C0LEADS" not in str([call.args for call in world.slack.calls])


@pytest.mark.parametrize(
    "error", ["not_agent_app", "unknown_method", "missing_scope", "feature_disabled"]
)
async def test_a_workspace_without_suggested_prompts_is_called_once(
    world: World, error: str
) -> None:
    world.slack.faults.add(PROMPTS, error=error, times=-1)
    for name in ("alice", "bob", "carol"):
        await world.slack.views.open_home(name, "messages")
        await world.idle()
    assert len(world.slack.calls_of(PROMPTS)) == 1


# -- sessions ------------------------------------------------------------------------------------------------------


EARLY_STOP = patient_timing(session_start_delay=0.1)
"""Slack's own Stop is offered for shorter answers too."""


@pytest.mark.parametrize("mode", [StreamMode.NATIVE, StreamMode.EDIT])
async def test_slacks_stop_control_ends_streamed_and_edited_answers(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    async with worlds(bobbin_stream=mode, timing=EARLY_STOP) as world:
        world.forgive("stopped_by_user")
        world.reply_to({"Talk for long.": LONG}, rate=40)
        channel, thread = await send_direct(world, "Talk for long.")
        await world.choose(thread, channel=channel)
        await world.until(lambda: world.answers(thread, channel), "the first words")
        await world.until(
            lambda: world.slack.agent_sessions.can_stop(channel, thread), "Slack's own Stop"
        )

        await world.slack.agent_sessions.stop("alice", channel, thread)
        (text,) = await world.answered(thread, channel=channel)
        await world.idle()

        assert text.endswith(strings.STOPPED_MARK)
        assert world.ended(thread)[0]["status"] == "stopped"
        assert (
            session(world, channel, thread),
            world.slack.agent_sessions.can_stop(channel, thread),
        ) == (
            "active",
            False,
        )


async def test_slacks_stop_control_is_shown_while_the_model_thinks(worlds: WorldFactory) -> None:
    async with worlds(timing=EARLY_STOP) as world:
        world.models.queue(MODEL, ModelScript(["Never said."], first_after=30.0))
        thread = await world.start("Think it over.")
        await world.until(
            lambda: world.slack.agent_sessions.can_stop(
                world.slack.workspace.channel("general").id, thread
            ),
            "Slack's own Stop",
        )
        await world.slack.agent_sessions.stop("alice", "general", thread)
        await world.answered(thread)
        await world.idle()
        assert world.ended(thread)[0]["status"] == "stopped"
        assert session(world, "general", thread) == "active"


async def test_a_quick_answer_costs_no_call_for_its_session(worlds: WorldFactory) -> None:
    async with worlds(bobbin_stream=StreamMode.EDIT) as world:
        world.entitle(None)
        await world.answered(await world.start("Quickly."))
        await world.idle()
        assert world.slack.calls_of(SESSION) == []


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_no_session_is_left_processing(worlds: WorldFactory, mode: StreamMode) -> None:
    """Neither after a failure nor after another process finished the answer."""
    async with worlds(bobbin_stream=mode, timing=EARLY_STOP) as world:
        world.fail("break", "Some words before it breaks.", times=1)
        failed = await world.start("Break off.")
        await world.answered(failed)

        world.reply_to({"Say it all.": LONG}, rate=60)
        taken = await world.start("Say it all.")
        await world.until(
            lambda: world.slack.agent_sessions.can_stop(
                world.slack.workspace.channel("general").id, taken
            ),
            "Slack's own Stop",
        )
        await world.restart(bobbin_grace=0.0)
        await world.answered(taken)
        await world.idle()
        assert session(world, "general", failed) in (None, "active")
        assert session(world, "general", taken) == "active"


@pytest.mark.parametrize("error", slow_after(1, ["feature_disabled", "unknown_method"]))
async def test_a_workspace_without_sessions_is_called_once_and_gets_answers(
    worlds: WorldFactory, error: str
) -> None:
    async with worlds(bobbin_stream=StreamMode.EDIT, timing=EARLY_STOP) as world:
        world.slack.faults.add(SESSION, error=error, times=-1)
        world.reply_to({"Say it all.": LONG}, rate=200)
        for _ in range(3):
            thread = await world.start("Say it all.")
            assert await world.answered(thread) == [LONG]
        await world.idle()
        assert len(world.slack.calls_of(SESSION)) == 1


async def test_a_late_stop_leaves_no_session_processing(world: World) -> None:
    """And a repeated delivery of it does not stop the next answer."""
    world.slack.faults.copies = 3
    thread = await world.start("Quickly.")
    await world.answered(thread)
    await world.idle()
    channel = world.slack.workspace.channel("general").id
    world.slack.workspace.set_session(channel, thread, status="processing")
    await world.slack.agent_sessions.stop("alice", "general", thread)
    await world.until(
        lambda: session(world, "general", thread) == "active", "the session is settled"
    )
