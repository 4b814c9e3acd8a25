"""Under steady load, no answer takes the edits from those that arrive a moment later."""

from __future__ import annotations

from typing import Any

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


def ended(
    scheduler: WriteScheduler,
    visibility: Visibility,
    received: int = 0,
    *,
    seconds: float = 5.0,
    may_stream: bool = True,
) -> None:
    pending = PendingWrite("C1", visibility, may_stream=may_stream)
    scheduler.join(pending)
    pending.text_received(5.0 - seconds, received)
    pending.text_ended(5.0)
    scheduler.leave(pending, 5.0)


def taken(scheduler: WriteScheduler, method: str, count: int, now: float) -> None:
    """So many calls are being made."""
    for _ in range(count):
        scheduler.bucket(method, "", now).take(now)


def arrived(scheduler: WriteScheduler, now: float, **more: Any) -> PendingWrite:
    pending = PendingWrite("C1", busy=False, **more)
    scheduler.join(pending)
    pending.text_arrived(now)
    return pending


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
    taken(scheduler, UPDATE, 1, 6.0)
    pending = arrived(scheduler, 6.0, may_stream=False)
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
    taken(scheduler, START, 4 - int(tokens), 5.0)
    pending = arrived(scheduler, 5.0, received=characters)
    assert scheduler.grants(6.0) == ([(pending, method)] if method else [])


@pytest.mark.parametrize("tokens", [1, 4])
def test_if_streams_are_scarce_an_answer_waits_until_its_speed_is_known(tokens: int) -> None:
    scheduler = WriteScheduler({**RATES, START: Rate(1 / WINDOW, 4)})
    for _ in range(10):
        ended(scheduler, Visibility.EDITED, received=300)
    taken(scheduler, START, 4 - tokens, 5.0)
    taken(scheduler, UPDATE, 1, 5.0)
    pending = arrived(scheduler, 5.0)
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
    pending = arrived(scheduler, 6.0, may_stream=False)
    assert scheduler.grants(6.0) == [(pending, POST)]


def scarce_streams() -> WriteScheduler:
    """One start is left, and it is for answers of 60 characters a second."""
    scheduler = WriteScheduler({**RATES, START: Rate(1 / WINDOW, 4), POST: Rate(0.0001, 0)})
    for _ in range(10):
        ended(scheduler, Visibility.EDITED, received=300)
    taken(scheduler, START, 3, 5.0)
    return scheduler


@pytest.mark.parametrize(
    ("more", "waits"),
    [
        ({"received": 10}, True),
        ({"received": 10, "continues": True}, False),
        ({"received": 60}, False),
    ],
)
def test_the_next_page_of_a_slow_answer_need_not_wait_for_its_stream(
    more: dict[str, Any], waits: bool
) -> None:
    scheduler = scarce_streams()
    pending = arrived(scheduler, 5.0, **more)
    assert scheduler.grants(6.0) == ([] if waits else [(pending, START)])


@pytest.mark.parametrize(
    ("visibility", "more", "scarce"),
    [
        (Visibility.EDITED, {"may_stream": False}, False),
        (Visibility.EDITED, {"seconds": 0.0}, False),
        (Visibility.EDITED, {}, True),
        (Visibility.NATIVE, {"may_stream": False}, True),
    ],
)
def test_answers_that_wanted_no_stream_do_not_make_streams_scarce(
    visibility: Visibility, more: dict[str, Any], scarce: bool
) -> None:
    scheduler = WriteScheduler({**RATES, POST: Rate(0.0001, 0)})
    for _ in range(int(WINDOW)):
        ended(scheduler, visibility, received=3_000, **more)
    taken(scheduler, START, 2, 5.0)
    slow = arrived(scheduler, 5.0, received=10)
    assert scheduler.grants(6.0) == ([] if scarce else [(slow, START)])


@pytest.mark.parametrize("used", [None, UPDATE, POST])
def test_in_a_lull_first_words_do_not_wait(used: str | None) -> None:
    """Neither for a stream that would be for faster answers, nor for the even share of the edits."""
    scheduler = WriteScheduler(RATES)
    for number in range(11):
        visibility = Visibility.EDITED if number < 4 else Visibility.NATIVE
        ended(scheduler, visibility, received=3_000, seconds=30.0)
    taken(scheduler, START, 3, 5.0)
    if used:
        scheduler.bucket(used, "C1", 5.0).take(5.0)
    slow = arrived(scheduler, 5.0, received=10)
    assert scheduler.grants(5.0) == ([] if used else [(slow, POST)])


@pytest.mark.parametrize(
    ("hidden", "written"),
    [
        ({}, True),
        ({"began_at": 4.0}, False),
        ({"began_at": 4.0, "final": True}, True),
    ],
)
def test_answers_without_text_keep_no_edits_from_those_that_have_some(
    hidden: dict[str, Any], written: bool
) -> None:
    """A model may think for a minute; what ends is posted whole."""
    scheduler = WriteScheduler({**RATES, START: Rate(0.0001, 0)})
    visible = [PendingWrite("C1", Visibility.EDITED, written_at=0.0) for _ in range(2)]
    for pending in (*visible, *(PendingWrite("C2", **hidden) for _ in range(8))):
        scheduler.join(pending)
    taken(scheduler, UPDATE, 5, 5.0)
    taken(scheduler, START, 1, 5.0)
    visible[0].busy, visible[0].waiting_since = False, 1.0
    assert scheduler.grants(5.0) == ([(visible[0], UPDATE)] if written else [])


def test_a_hidden_answer_that_may_stream_needs_no_edit_while_there_are_starts() -> None:
    scheduler = WriteScheduler(RATES)
    visible = [PendingWrite("C1", Visibility.EDITED, written_at=0.0) for _ in range(2)]
    for pending in (*visible, *(PendingWrite("C2", began_at=4.0) for _ in range(4))):
        scheduler.join(pending)
    taken(scheduler, UPDATE, 6, 5.0)
    visible[0].busy, visible[0].waiting_since = False, 1.0
    assert scheduler.grants(5.0) == [(visible[0], UPDATE)]


def test_speed_counts_from_the_first_text_even_if_it_cannot_be_shown_yet() -> None:
    pending = PendingWrite("C1")
    pending.text_received(1.0, 40)
    pending.text_received(2.0, 40)
    pending.text_arrived(3.0)
    assert pending.speed(3.0) == 40.0
    assert pending.waiting_since == 3.0


@pytest.mark.slow
def test_sixty_answers_a_minute_are_seen_nearly_as_soon_as_with_an_even_division() -> None:
    simulation = workday(a_minute=60)
    assert simulation.completed() == len(simulation.writers)
    assert not simulation.rate_limited
    assert simulation.mean_lag() < 1.25 * steady_mean_lag(60, 5.0)


@pytest.mark.slow
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


@pytest.mark.parametrize("thinking", [0.0, 15.0])
def test_every_answer_of_a_busy_minute_arrives_and_no_call_is_rate_limited(thinking: float) -> None:
    simulation = workday(a_minute=60, minutes=0.5, thinking=thinking)
    assert simulation.completed() == len(simulation.writers)
    assert not simulation.rate_limited


@pytest.mark.slow
@pytest.mark.parametrize("a_minute", [20, 60])
def test_a_model_that_thinks_first_makes_no_words_late(a_minute: int) -> None:
    thoughtful = workday(a_minute=a_minute, thinking=15.0)
    assert thoughtful.mean_lag() < 1.25 * workday(a_minute=a_minute).mean_lag()
