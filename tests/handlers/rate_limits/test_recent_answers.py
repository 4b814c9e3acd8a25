"""Under steady load, no answer takes the edits from those that arrive a moment later."""

from __future__ import annotations

import pytest

from handlers.rate_limits.pending_write import PendingWrite, Visibility
from handlers.rate_limits.recent_answers import MIN_ANSWERS, WINDOW, RecentAnswers
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.slack_rates import POST, RATES, UPDATE, Rate
from tests.lag_bound import steady_mean_lag
from tests.simulation import workday


def recent(count: int, seconds: float, now: float = 0.0) -> RecentAnswers:
    answers = RecentAnswers()
    for _ in range(count):
        answers.note(now, seconds)
    return answers


def test_an_answer_gets_one_post_and_its_share_of_the_edits() -> None:
    """One answer a second and one edit a second: a post and an edit, so two writes in five seconds."""
    count = int(WINDOW)
    assert recent(count, 5.0).write_interval(0.0, 1.0, 1) == pytest.approx(2.5)
    assert recent(count, 5.0).write_interval(0.0, 4.0, 1) == pytest.approx(1.0)
    assert recent(count // 2, 5.0).write_interval(0.0, 1.0, 2) == pytest.approx(2.5)


def test_few_answers_and_old_ones_say_nothing() -> None:
    assert recent(MIN_ANSWERS - 1, 5.0).write_interval(0.0, 1.0, 1) == 0.0
    answers = recent(MIN_ANSWERS, 5.0)
    assert answers.write_interval(WINDOW, 1.0, 1) > 0.0
    assert answers.write_interval(WINDOW + 0.1, 1.0, 1) == 0.0


def ended(scheduler: WriteScheduler, visibility: Visibility) -> None:
    pending = PendingWrite("C1", visibility)
    scheduler.join(pending)
    pending.text_arrived(0.0)
    pending.text_ended(5.0)
    scheduler.leave(pending, 5.0)


@pytest.mark.parametrize(
    ("visibility", "waits"),
    [(Visibility.EDITED, True), (Visibility.HIDDEN, True), (Visibility.NATIVE, False)],
)
def test_first_words_wait_after_answers_that_needed_edits(
    visibility: Visibility, waits: bool
) -> None:
    scheduler = WriteScheduler({UPDATE: Rate(1.0, 10), POST: Rate(1.0, 3)})
    for _ in range(int(WINDOW)):
        ended(scheduler, visibility)
    pending = PendingWrite("C1", may_stream=False, busy=False)
    scheduler.join(pending)
    pending.text_arrived(6.0)
    if waits:
        assert scheduler.grants(6.0) == []
    assert scheduler.grants(8.6 if waits else 6.0) == [(pending, POST)]


def test_an_answer_that_was_given_up_says_nothing() -> None:
    scheduler = WriteScheduler(RATES)
    for _ in range(int(WINDOW)):
        pending = PendingWrite("C1", Visibility.EDITED)
        scheduler.join(pending)
        pending.text_arrived(0.0)
        scheduler.leave(pending, 5.0)
    pending = PendingWrite("C1", may_stream=False, busy=False)
    scheduler.join(pending)
    pending.text_arrived(6.0)
    assert scheduler.grants(6.0) == [(pending, POST)]


def test_sixty_answers_a_minute_are_seen_nearly_as_soon_as_with_an_even_division() -> None:
    simulation = workday(a_minute=60)
    assert simulation.completed() == len(simulation.writers)
    assert not simulation.rate_limited
    assert simulation.mean_lag() < 1.35 * steady_mean_lag(60, 5.0)
