"""Under steady load, no answer takes the edits from those that arrive a moment later."""

from __future__ import annotations

import pytest

from handlers.rate_limits.pending_write import MIN_SPEED_TIME, PendingWrite, Visibility
from handlers.rate_limits.recent_answers import MIN_ANSWERS, WINDOW, RecentAnswers
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.slack_rates import POST, RATES, START, UPDATE, Rate
from tests.lag_bound import steady_mean_lag
from tests.online_lag_bound import online_mean_lag
from tests.simulation import workday


def recent(count: int, seconds: float, now: float = 0.0, streamed: bool = False) -> RecentAnswers:
    answers = RecentAnswers()
    for number in range(count):
        answers.note(now, seconds, speed=float(number), streamed=streamed)
    return answers


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_gets_its_opening_and_its_share_of_the_calls(streamed: bool) -> None:
    """One answer a second and one call a second: an opening and a call, so two writes in five seconds."""

    def interval(count: int, per_second: float, peers: int = 1) -> float:
        answers = recent(count, 5.0, streamed=streamed)
        return answers.write_interval(0.0, per_second, peers, streamed=streamed)

    count = int(WINDOW)
    assert interval(count, 1.0) == pytest.approx(2.5)
    assert interval(count, 4.0) == pytest.approx(1.0)
    assert interval(count // 2, 1.0, peers=2) == pytest.approx(2.5)


@pytest.mark.parametrize("streamed", [True, False])
def test_few_answers_and_old_ones_say_nothing(streamed: bool) -> None:
    def interval(answers: RecentAnswers, now: float) -> float:
        return answers.write_interval(now, 1.0, 1, streamed=streamed)

    assert interval(recent(MIN_ANSWERS - 1, 5.0, streamed=streamed), 0.0) == 0.0
    assert interval(recent(int(WINDOW), 5.0, streamed=not streamed), 0.0) == 0.0
    answers = recent(MIN_ANSWERS, 5.0, streamed=streamed)
    assert interval(answers, WINDOW) > 0.0
    assert interval(answers, WINDOW + 0.1) == 0.0


@pytest.mark.parametrize(("peers", "least"), [(1, 20.0), (2, 25.0)])
def test_streams_are_for_the_fastest_of_recent_answers(peers: int, least: float) -> None:
    """Ten streams, or five for this process, and thirty answers at 0 to 29 characters a second."""
    starts_per_second = 10 / WINDOW
    assert recent(30, 5.0).streaming_speed(0.0, starts_per_second, peers) == least - 1.0
    assert recent(30, 5.0).streaming_speed(WINDOW + 0.1, starts_per_second, peers) == 0.0
    assert recent(10 // peers, 5.0).streaming_speed(0.0, starts_per_second, peers) == 0.0


def ended(scheduler: WriteScheduler, visibility: Visibility, received: int = 0) -> None:
    pending = PendingWrite("C1", visibility, received=received)
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


@pytest.mark.parametrize(
    ("characters", "tokens", "method"),
    [(80, 4.0, START), (80, 1.0, START), (40, 4.0, START), (40, 1.0, None), (40, 3.0, START)],
)
def test_a_slow_answer_leaves_the_last_streams_to_faster_ones(
    characters: int, tokens: float, method: str | None
) -> None:
    scheduler = WriteScheduler({**RATES, START: Rate(1 / WINDOW, 4), POST: Rate(0.0001, 0)})
    for _ in range(10):
        ended(scheduler, Visibility.EDITED, received=300)
    for _ in range(4 - int(tokens)):
        scheduler.bucket(START, "", 5.0).take(5.0)
    pending = PendingWrite("C1", busy=False, received=characters)
    scheduler.join(pending)
    pending.text_arrived(5.0)
    assert scheduler.grants(6.0) == ([(pending, method)] if method else [])


@pytest.mark.parametrize("tokens", [1, 4])
def test_if_streams_are_scarce_an_answer_waits_until_its_speed_is_known(tokens: int) -> None:
    scheduler = WriteScheduler({**RATES, START: Rate(1 / WINDOW, 4)})
    for _ in range(10):
        ended(scheduler, Visibility.EDITED, received=300)
    for _ in range(4 - tokens):
        scheduler.bucket(START, "", 5.0).take(5.0)
    pending = PendingWrite("C1", busy=False)
    scheduler.join(pending)
    pending.text_arrived(5.0)
    if tokens < 4:
        assert scheduler.grants(5.0) == []
        assert scheduler.wake_at(5.0) == pytest.approx(5.0 + MIN_SPEED_TIME)
        pending.received = 80
    assert scheduler.grants(5.0 + MIN_SPEED_TIME) == [(pending, START)]


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
    assert simulation.mean_lag() < 1.25 * steady_mean_lag(60, 5.0)


def test_no_lag_is_below_the_bound_for_those_who_know_no_end() -> None:
    assert 0.0 < online_mean_lag(60) < online_mean_lag(60, bursts=False) < workday().mean_lag()


def test_an_answer_that_waits_with_no_text_counted_is_granted_a_call_too() -> None:
    """Where streams go to the fastest: its speed is not known."""
    scheduler = WriteScheduler({START: Rate(0.01, 1)})
    for _ in range(30):
        ended(scheduler, Visibility.NATIVE, received=100)
    waiting = PendingWrite("C1", waiting_since=5.0, busy=False)
    scheduler.join(waiting)
    assert scheduler.grants(5.0) == [(waiting, START)]
