"""Titles and headers share Slack's edits with answers: an ending must not wait behind them."""

from __future__ import annotations

from handlers.rate_limits.scheduler import MAX_WAIT, Grant, PendingWrite, QueuedCall, Shown, WriteScheduler
from handlers.rate_limits.token_bucket import UPDATE, Rate


def edited(pace: WriteScheduler, channel: str, now: float, *, whole: bool) -> PendingWrite:
    answer = PendingWrite(
        channel, shown=Shown.EDIT, since=now if whole else None, written_at=now, busy=False, whole=whole
    )
    pace.join(answer)
    return answer


def title(pace: WriteScheduler, since: float) -> QueuedCall:
    errand = QueuedCall(UPDATE, "C9", since)
    pace.send(errand)
    return errand


def served(given: list[Grant]) -> list[object]:
    return [who for who, _ in given]


def test_an_ending_comes_before_a_title_that_waits_longer() -> None:
    pace = WriteScheduler({UPDATE: Rate(0.01, 1)})
    waiting = title(pace, 0.0)
    ending = edited(pace, "C2", 1.0, whole=True)
    assert served(pace.grants(1.0)) == [ending]
    pace.leave(ending)
    assert served(pace.grants(200.0)) == [waiting]


def test_titles_leave_the_edits_that_answers_need_to_end_but_not_for_ever() -> None:
    pace = WriteScheduler({UPDATE: Rate(0.01, 5)})
    for _ in range(2):
        pace.bucket(UPDATE, "", 0.0).take(0.0)
    for number in range(3):
        edited(pace, f"C{number}", 0.0, whole=False)
    waiting = title(pace, 0.0)
    assert served(pace.grants(1.0)) == []
    assert served(pace.grants(MAX_WAIT + 1.0)) == [waiting]
