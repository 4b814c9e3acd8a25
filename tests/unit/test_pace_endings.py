"""Titles and headers share Slack's edits with answers: an ending must not wait behind them."""

from __future__ import annotations

from handlers.pace import MAX_WAIT, UPDATE, Desire, Errand, Grant, Pace, Shown


def spend_all_edits(pace: Pace, now: float) -> None:
    bucket = pace.bucket(UPDATE, "", now)
    while bucket.level(now) >= 1.0:
        bucket.take(now)


def edited(pace: Pace, channel: str, now: float, *, whole: bool) -> Desire:
    answer = Desire(channel, shown=Shown.EDIT, since=now, written_at=now, busy=False, whole=whole)
    pace.join(answer)
    return answer


def calls(given: list[Grant]) -> list[object]:
    return [who for who, _ in given]


def test_an_ending_comes_before_a_title_that_waits_longer() -> None:
    pace = Pace()
    spend_all_edits(pace, 0.0)
    title = Errand(UPDATE, "C1", 0.0)
    pace.send(title)
    ending = edited(pace, "C2", 1.0, whole=True)
    assert calls(pace.grants(1.3)) == [ending]
    pace.leave(ending)
    assert calls(pace.grants(2.6)) == [title]


def test_titles_leave_the_edits_that_running_answers_need_to_end() -> None:
    pace = Pace()
    bucket = pace.bucket(UPDATE, "", 0.0)
    while bucket.level(0.0) >= 4.0:
        bucket.take(0.0)
    for number in range(3):
        edited(pace, f"C{number}", 0.0, whole=False)
    title = Errand(UPDATE, "C9", 0.0)
    pace.send(title)
    assert title not in calls(pace.grants(0.01))


def test_a_title_waits_no_longer_than_that() -> None:
    pace = Pace()
    spend_all_edits(pace, 0.0)
    title = Errand(UPDATE, "C9", 0.0)
    pace.send(title)
    for number in range(9):
        edited(pace, f"C{number}", 0.0, whole=False).written_at = MAX_WAIT
    spend_all_edits(pace, MAX_WAIT - 2.0)
    assert title in calls(pace.grants(MAX_WAIT + 0.1))
