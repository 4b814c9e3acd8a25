"""A native stream ends, expires or is refused: the answer continues by edits or in the next message."""

from __future__ import annotations

import itertools

import pytest

from bot.sandbox.limits import Limits
from handlers.rate_limits.pending_write import PendingWrite
from handlers.rate_limits.scheduler import WriteScheduler
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_delivery import TEXT, incomplete
from tests.handlers.world import World, below, elements


async def test_an_expired_stream_is_completed_by_edits_of_its_message(worlds: WorldFactory) -> None:
    """However often it expires, nothing is lost or repeated, and the footer is there."""
    async with worlds(limits=Limits(rates=False, stream_ttl=0.6)) as world:
        world.forgive("message_not_in_streaming_state")
        world.reply_to({"Say it.": TEXT}, rate=40)
        thread = await world.start("Say it.")
        assert await world.answered(thread) == [TEXT]
        (answer,) = world.answers(thread)
        assert "Demo: Quick · " in below(answer)
        assert elements(answer, "feedback")
        texts = [state.text for state in answer.states]
        assert all(later.startswith(earlier[:-2]) for earlier, later in itertools.pairwise(texts))
        assert [call.error for call in world.slack.refusals].count(
            "message_not_in_streaming_state"
        ) <= 1
        await world.until(
            lambda: (
                not world.slack.agent_sessions.can_stop(
                    world.slack.workspace.channel("general").id, thread
                )
            ),
            "the end of Slack's own Stop",
        )


async def test_an_old_stream_is_ended_and_continued_in_the_next_message(
    worlds: WorldFactory,
) -> None:
    """Before Slack ends it, so no call is rejected. The model speaks for far longer than a stream may last."""
    async with worlds(timing=patient_timing(max_stream_age=0.4)) as world:
        world.reply_to({"Say it.": TEXT}, rate=25)
        thread = await world.start("Say it.")
        shown = await world.answered(thread)
        assert len(shown) > 1
        assert incomplete({"old": shown}) == {}
        footers = [bool(elements(message, "feedback")) for message in world.answers(thread)]
        assert footers == [False] * (len(shown) - 1) + [True]


async def test_an_old_stream_is_ended_even_if_all_its_text_was_shown(
    worlds: WorldFactory,
) -> None:
    """Each word is appended before the next one comes, so the stream becomes too old while no text waits."""
    async with worlds(timing=patient_timing(max_stream_age=0.4)) as world:
        world.reply_to({"Say it.": "One two three four five."}, rate=1.5)
        thread = await world.start("Say it.")
        shown = await world.answered(thread)
        assert len(shown) > 1
        assert "".join(shown).split() == ["One", "two", "three", "four", "five."]


async def test_a_stream_that_cannot_be_stopped_is_edited_after_slack_ends_it(
    worlds: WorldFactory,
) -> None:
    """`chat.stopStream` is not called again and again."""
    async with worlds(limits=Limits(rates=False, stream_ttl=0.6)) as world:
        world.forgive("streaming_state_conflict")
        world.slack.faults.add("chat.appendStream", error="msg_too_long")
        world.slack.faults.add("chat.stopStream", error="no_text", times=-1)
        world.reply_to({"Say it.": TEXT}, rate=80)
        thread = await world.start("Say it.")
        assert await world.answered(thread) == [TEXT]
        assert elements(world.answers(thread)[0], "feedback")


async def test_a_stream_that_rejects_text_is_stopped_before_its_message_is_edited(
    world: World,
) -> None:
    """Slack would refuse an edit of a message that is still being streamed."""
    world.slack.faults.add("chat.appendStream", error="msg_too_long")
    world.reply_to({"Say it.": TEXT}, rate=80)
    thread = await world.start("Say it.")
    assert await world.answered(thread) == [TEXT]
    assert len(world.answers(thread)) == 1


async def test_answers_are_edited_where_slack_has_no_native_streams(worlds: WorldFactory) -> None:
    """After one rejection in a channel the bot does not try there again."""
    async with worlds(limits=Limits(rates=False, native_streams=False)) as world:
        world.forgive("channel_type_not_supported")
        world.reply_to({"Say it.": TEXT}, rate=60)
        thread = await world.start("Say it.")
        assert await world.answered(thread) == [TEXT]
        await world.slack.conversations.say("alice", "general", "Say it.", thread)
        assert await world.answered(thread, 2) == [TEXT, TEXT]
        assert len(world.slack.calls_of("chat.startStream")) == 1
        assert len(world.answers(thread)[0].states) >= 3


async def test_an_unknown_streaming_method_is_not_called_again_in_any_channel(world: World) -> None:
    world.slack.faults.add("chat.startStream", error="unknown_method", times=-1)
    world.reply_to({"Say it.": TEXT})
    for channel in ("general", "random"):
        thread = await world.start("Say it.", channel=channel)
        assert await world.answered(thread, channel=channel) == [TEXT]
    assert len(world.slack.calls_of("chat.startStream")) == 1


@pytest.mark.parametrize("aged", [False, True])
async def test_the_scheduler_knows_how_much_was_written_and_whether_it_goes_on(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch, aged: bool
) -> None:
    """Every character that the model sent counts, so that the answer's speed is known; so does the next page."""
    left: list[PendingWrite] = []
    leave = WriteScheduler.leave

    def leave_noted(self: WriteScheduler, pending: PendingWrite, now: float) -> None:
        left.append(pending)
        leave(self, pending, now)

    monkeypatch.setattr(WriteScheduler, "leave", leave_noted)
    text = "Ask @channel, <!here> or & < no one. " * 3 + "One | two\n--- | ---\n1 | 2\n" + TEXT
    async with worlds(timing=patient_timing(max_stream_age=0.4 if aged else 1_000.0)) as world:
        world.reply_to({"Say it.": text}, rate=25 if aged else 400)
        thread = await world.start("Say it.")
        shown = await world.answered(thread)
        await world.until(lambda: bool(left), "the end of the last call")
        assert [pending.received for pending in left] == [len(text)]
        assert [pending.continues for pending in left] == [len(shown) > 1] == [aged]
        assert all(pending.speed(0.0) > 0.0 for pending in left)
