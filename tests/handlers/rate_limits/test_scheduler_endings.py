"""Titles and headers share Slack's edits with answers: an ending must not wait behind them."""

from __future__ import annotations

from handlers.rate_limits.pending_write import PendingWrite, QueuedCall, Visibility
from handlers.rate_limits.scheduler import Grant, WriteScheduler
from handlers.rate_limits.slack_rates import UPDATE, Rate
from handlers.rate_limits.urgency import LONGEST_WAIT, Urgency

TITLE_WAIT = LONGEST_WAIT[Urgency.DECORATION]


def edited(scheduler: WriteScheduler, channel: str, now: float, *, final: bool) -> PendingWrite:
    answer = PendingWrite(
        channel,
        visibility=Visibility.EDITED,
        waiting_since=now if final else None,
        written_at=now,
        busy=False,
        final=final,
    )
    scheduler.join(answer)
    return answer


def title(scheduler: WriteScheduler, since: float) -> QueuedCall:
    queued_call = QueuedCall(UPDATE, "C9", since, Urgency.DECORATION)
    scheduler.enqueue(queued_call)
    return queued_call


def served(given: list[Grant]) -> list[object]:
    return [who for who, _ in given]


def test_an_ending_comes_before_a_title_that_waits_longer() -> None:
    scheduler = WriteScheduler({UPDATE: Rate(0.01, 1)})
    waiting = title(scheduler, 0.0)
    result = edited(scheduler, "C2", 1.0, final=True)
    assert served(scheduler.grants(1.0)) == [result]
    scheduler.leave(result, 1.0)
    assert served(scheduler.grants(200.0)) == [waiting]


def test_titles_leave_the_edits_that_answers_need_to_end_but_not_for_ever() -> None:
    scheduler = WriteScheduler({UPDATE: Rate(0.01, 5)})
    for _ in range(2):
        scheduler.bucket(UPDATE, "", 0.0).take(0.0)
    for number in range(3):
        edited(scheduler, f"C{number}", 0.0, final=False)
    waiting = title(scheduler, 0.0)
    assert served(scheduler.grants(1.0)) == []
    assert served(scheduler.grants(TITLE_WAIT + 1.0)) == [waiting]
