"""Where the chat of a dialog starts, and that it starts once when calls or processes fail."""

from __future__ import annotations

import pytest

from bot import strings
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_dialogs import (
    field_values,
    open_by_command,
    posted_questions,
    wait_for_question,
)
from tests.handlers.world import World, methods


async def test_in_a_channel_without_the_bot_the_chat_starts_in_the_direct_messages(
    world: World,
) -> None:
    world.forgive("not_in_channel")
    await open_by_command(world, "new", channel="watercooler")
    await world.slack.views.submit("alice", field_values("Can you hear me?"))

    channel = world.slack.workspace.dm("alice")
    root = await wait_for_question(world, channel)
    await world.answered(root.ts, channel=channel)

    assert (
        strings.STARTED_IN_DIRECT_MESSAGES.format(reason="I'm not in <#C0WATERCOOLER>") in root.text
    )
    assert posted_questions(world, "watercooler") == []
    (explanation,) = await world.until(
        lambda: world.slack.workspace.ephemerals("alice", "watercooler"), "the notice"
    )
    assert root.ts.replace(".", "") in explanation.text
    assert world.chats()[0]["channel"] == channel


async def test_in_a_private_channel_without_the_bot_the_chat_starts_in_the_direct_messages(
    world: World,
) -> None:
    people = [world.slack.workspace.user(name).id for name in ("alice", "bob")]
    world.slack.workspace.add_channel("secret", people, "group")
    world.forgive("channel_not_found", "not_in_channel")
    await open_by_command(world, "new", channel="secret")
    await world.slack.views.submit("alice", field_values("Not for everybody."))

    channel = world.slack.workspace.dm("alice")
    await world.answered((await wait_for_question(world, channel)).ts, channel=channel)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("is_archived", "<#C0GENERAL> has been archived"),
        ("restricted_action_read_only_channel", "I'm not allowed to write in <#C0GENERAL>"),
        ("no_permission", "I couldn't write in <#C0GENERAL>"),
    ],
)
async def test_the_reason_for_starting_elsewhere_is_given(
    world: World, error: str, reason: str
) -> None:
    await open_by_command(world, "new", channel="general")
    world.forgive(error)
    if error == "is_archived":
        world.slack.workspace.channel("general").is_archived = True
    else:
        world.slack.faults.add("chat.postMessage", error=error)
    await world.slack.views.submit("alice", field_values("Is anybody there?"))

    channel = world.slack.workspace.dm("alice")
    root = await wait_for_question(world, channel)
    await world.answered(root.ts, channel=channel)
    assert f"{reason}, so we talk here." in root.text
    (explanation,) = await world.until(
        lambda: world.slack.workspace.ephemerals("alice", "general"), "the notice"
    )
    assert explanation.text.startswith(reason)


async def test_a_dialog_opened_in_the_direct_messages_starts_its_chat_there(world: World) -> None:
    channel = world.slack.workspace.dm("alice")
    await open_by_command(world, "new", channel=channel)
    await world.slack.views.submit("alice", field_values("Between us."))

    root = await wait_for_question(world, channel)
    await world.answered(root.ts, channel=channel)
    await world.slack.conversations.say("alice", channel, "Still here?", root.ts)
    await world.answered(root.ts, 2, channel)


# -- when things break ---------------------------------------------------------------------------------------------


async def test_a_submission_survives_a_restart(worlds: WorldFactory) -> None:
    """An acknowledged submission is posted once after the restart, whose first sweep finds it."""
    async with worlds(timing=patient_timing(dialog_min_age=0.0)) as world:
        view = await open_by_command(world)
        world.slack.faults.add("chat.postMessage", "hang", times=-1)
        await world.slack.views.submit("alice", field_values("Do not forget me."), view)
        await world.until(lambda: world.rows("SELECT * FROM questions"), "the row")
        await world.stop_bot()
        world.slack.faults.clear()
        assert posted_questions(world) == []

        await world.start_bot()

        root = await wait_for_question(world)
        await world.answered(root.ts)
        await world.idle()
        assert (len(posted_questions(world)), len(world.chats())) == (1, 1)


async def test_a_question_is_posted_once_when_slacks_response_is_lost(world: World) -> None:
    await open_by_command(world)
    world.slack.faults.add("chat.postMessage", "lost")
    await world.slack.views.submit("alice", field_values("Said, though Slack did not say so."))

    await world.answered((await wait_for_question(world)).ts)
    await world.idle()

    assert len(posted_questions(world)) == 1
    assert "conversations.history" in methods(world.slack.calls)


async def test_a_question_is_found_though_hundreds_of_messages_follow_it(world: World) -> None:
    """It is no longer on the first page of the channel's history when the bot can look for it."""
    await open_by_command(world)
    world.slack.faults.add("chat.postMessage", "lost")
    world.slack.faults.add("conversations.history", "ratelimited", times=-1)
    world.forgive("ratelimited")
    await world.slack.views.submit("alice", field_values("Where did I ask this?"))
    root = await wait_for_question(world)
    for number in range(250):
        await world.slack.conversations.say("bob", "general", f"Something else {number}.")
    world.slack.faults.clear()

    await world.answered(root.ts)
    await world.idle()

    assert len(posted_questions(world)) == 1


async def test_a_header_is_posted_once_when_slacks_response_is_lost(world: World) -> None:
    await open_by_command(world)
    world.slack.faults.add("chat.postMessage", "lost", skip=1)
    await world.slack.views.submit("alice", field_values("One header will do."))

    root = await wait_for_question(world)
    await world.answered(root.ts)
    await world.until(lambda: world.chats()[0]["header_ts"], "the header is found")
    await world.idle()

    assert len(world.headers(root.ts)) == 1
    assert world.chats()[0]["header_ts"] == world.header(root.ts).ts


async def test_a_header_that_a_killed_process_did_not_post_is_posted_by_the_next_one(
    worlds: WorldFactory,
) -> None:
    """It was killed between storing the chat and posting its header."""
    async with worlds(timing=patient_timing(header_min_age=0.0)) as world:
        await open_by_command(world)
        world.slack.faults.add("chat.postMessage", "hang", skip=1)
        await world.slack.views.submit("alice", field_values("Where is my header?"))
        root = await wait_for_question(world)
        await world.answered(root.ts)
        assert world.headers(root.ts) == []

        world.allow_redelivery()
        world.slack.faults.clear()
        await world.restart()
        await world.until(lambda: world.chats()[0]["header_ts"], "the header")
        await world.idle()

        assert [header.ts for header in world.headers(root.ts)] == [world.chats()[0]["header_ts"]]
        assert "Where is my header?" in [m["text"] for m in world.messages(root.ts)]
        assert world.header(root.ts).text.startswith(f"*{world.chats()[0]['title']}*")
