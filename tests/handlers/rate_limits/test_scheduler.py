"""`WriteScheduler` in simulated time: storms, mixed hours, refusals, and its rules one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.rate_limits.pending_write import PendingWrite, QueuedCall, Visibility
from handlers.rate_limits.scheduler import MAX_HOLD, WriteScheduler
from handlers.rate_limits.slack_rates import APPEND, POST, RATES, START, STOP, UPDATE, Rate
from handlers.rate_limits.urgency import LONGEST_WAIT, Urgency
from handlers.rate_limits.workload import MIN_WRITE_INTERVAL
from tests.lag_bound import min_mean_lag
from tests.simulation import Simulation, Writer, mixed_hour, storm
from tests.slow import slow_after

TARGET = 1.5
"""How many times the floor a storm's mean lag may be."""
CROWDS = [(20, 1), (20, 5), (20, 20), (50, 1), (50, 5), (50, 50)]

TITLE_WAIT = LONGEST_WAIT[Urgency.DECORATION]


# -- storms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 5, 50])
@pytest.mark.parametrize("count", slow_after(3, [1, 5, 50, 20, 200]))
def test_every_answer_of_a_burst_arrives_and_no_call_is_rate_limited(
    count: int, channels: int
) -> None:
    ended = storm(count, channels=min(count, channels))
    assert ended.completed() == count
    assert not ended.rate_limited


@pytest.mark.parametrize("jitter", [0.3, 1.0])
@pytest.mark.parametrize(("count", "channels"), [(5, 1), (20, 5), (50, 50)])
def test_calls_that_take_long_to_reach_slack_are_not_rate_limited(
    count: int, channels: int, jitter: float
) -> None:
    ended = storm(count, channels=channels, spread=0.5, jitter=jitter)
    assert ended.completed() == count
    assert not ended.rate_limited


@pytest.mark.parametrize(("count", "channels"), CROWDS)
def test_the_mean_lag_of_many_answers_stays_near_the_lower_bound(count: int, channels: int) -> None:
    assert storm(count, channels=channels).mean_lag() <= TARGET * min_mean_lag(
        count, channels=channels
    )


@pytest.mark.parametrize("spread", slow_after(1, [1.0, 0.3, 2.0]))
@pytest.mark.parametrize(("count", "channels"), CROWDS)
def test_the_mean_lag_stays_near_the_lower_bound_when_questions_are_spread_out(
    count: int, channels: int, spread: float
) -> None:
    assert storm(count, channels=channels, spread=spread).mean_lag() <= TARGET * min_mean_lag(
        count, channels=channels
    )


@pytest.mark.parametrize(("count", "channels"), [(5, 1), *CROWDS])
def test_the_lower_bound_is_below_every_lag_that_was_reached(count: int, channels: int) -> None:
    eager = WriteScheduler(
        {**RATES, UPDATE: Rate(RATES[UPDATE].per_second, 10), POST: Rate(1.0, 3)}
    )
    for ended in (
        storm(count, channels=channels, round_trip=0.0),
        _storm_of(eager, count, channels),
    ):
        assert ended.completed() == count
        assert ended.mean_lag() >= min_mean_lag(count, channels=channels)


@pytest.mark.parametrize("words", [60, 400])
def test_higher_rate_limits_lower_the_bound(words: int) -> None:
    poor, rich = (min_mean_lag(20, channels=5, words=words, burst=burst) for burst in (0.2, 0.33))
    assert 0 < rich < poor < min_mean_lag(20, channels=1, words=words)


def test_long_answers_end_soon_after_their_models() -> None:
    """Held answers are posted whole instead of queueing for edits."""
    ended = storm(200, channels=200, words=100, rate=4.0, spread=1.0)
    assert ended.completed() == 200
    posted_whole = sum(len(writer.changes) == 1 for writer in ended.writers)
    assert posted_whole > 100
    assert ended.ended() < 26 + 30


def _storm_of(scheduler: WriteScheduler, count: int, channels: int) -> Simulation:
    simulation = Simulation(scheduler=scheduler, round_trip=0.0)
    for number in range(count):
        simulation.add(Writer(f"C{number % channels}", 0.0, 200, 40.0))
    simulation.run()
    return simulation


# -- one answer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [True, False])
def test_a_single_answer_is_shown_almost_immediately(native: bool) -> None:
    simulation = Simulation(round_trip=0.1)
    writer = simulation.add(Writer("C1", 0.0, 200, 40.0, native=native))
    simulation.run()
    assert writer.complete()
    assert writer.changes[0] - writer.sent_at[0] <= 0.1
    assert writer.largest_gap() <= 0.6
    assert simulation.mean_lag() <= 0.25 + 0.1 / 2


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("examples", slow_after(1, [10, 30]))
def test_an_answer_of_any_length_and_speed_arrives_complete(examples: int, native: bool) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(words=st.integers(1, 3_000), rate=st.floats(1.0, 300.0), round_trip=st.floats(0.0, 2.0))
    def arrives(words: int, rate: float, round_trip: float) -> None:
        simulation = Simulation(round_trip=round_trip)
        writer = simulation.add(Writer("C1", 0.0, words, rate, native=native))
        simulation.run()
        assert writer.complete()
        assert not simulation.rate_limited

    arrives()


# -- hours ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("natives", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("a_minute", slow_after(1, [1.0, 4.0, 8.0]))
def test_in_a_mixed_hour_every_answer_arrives_and_every_queued_call_is_made(
    a_minute: float, natives: float
) -> None:
    hour = mixed_hour(a_minute=a_minute, natives=natives)
    assert hour.completed() == len(hour.writers) > 30
    assert not hour.rate_limited
    assert max(hour.queued_call_waits) < TITLE_WAIT + 15
    assert max(writer.done_at - writer.ends for writer in hour.writers if writer.done_at) < 60


@pytest.mark.parametrize("examples", slow_after(1, [5, 15]))
def test_rate_limits_are_never_exceeded(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(
        seed=st.integers(0, 10_000),
        a_minute=st.floats(0.5, 15.0),
        natives=st.floats(0.0, 1.0),
        round_trip=st.floats(0.01, 1.0),
        jitter=st.floats(0.0, 1.0),
        burst=st.floats(0.2, 0.34),
    )
    def hold(**hour: Any) -> None:
        passed = mixed_hour(**hour, hours=0.2)
        assert not passed.rate_limited
        assert passed.completed() == len(passed.writers)

    hold()


@pytest.mark.parametrize("burst", slow_after(1, [0.05, 0.02, 0.1]))
def test_the_scheduler_adapts_when_slack_allows_a_smaller_burst(burst: float) -> None:
    """The simulation itself holds that no call is made before Retry-After is over."""
    hour = mixed_hour(burst=burst, post_burst=1.0, hours=2.0)
    assert hour.completed() == len(hour.writers)
    assert 0 < sum(hour.rate_limited.values()) < 0.05 * sum(hour.calls.values())


# -- endings, openings, progress -----------------------------------------------------------------------------------


def _pending(
    scheduler: WriteScheduler,
    shown: Visibility = Visibility.HIDDEN,
    *,
    waiting_since: float | None = 0.0,
    **more: object,
) -> PendingWrite:
    pending = PendingWrite("C1", visibility=shown, waiting_since=waiting_since, busy=False)
    for name, value in more.items():
        setattr(pending, name, value)
    scheduler.join(pending)
    return pending


def _drain(scheduler: WriteScheduler, method: str, left: float, now: float = 0.0) -> None:
    bucket = scheduler.bucket(method, "C1", now)
    while bucket.tokens(now) > left:
        bucket.take(now)
        bucket.settle(now)


def test_the_longest_waiting_answer_is_served_first() -> None:
    scheduler = WriteScheduler()
    pending = [
        _pending(scheduler, Visibility.NATIVE, waiting_since=since) for since in (3.0, 1.0, 2.0)
    ]
    _drain(scheduler, APPEND, 1.0, now=100.0)
    scheduler.bucket(APPEND, "C1", 100.0)
    assert scheduler.grants(100.0) == [(pending[1], APPEND)]


def test_endings_come_before_progress() -> None:
    scheduler = WriteScheduler()
    _pending(scheduler, Visibility.EDITED, waiting_since=1.0)
    last = _pending(scheduler, Visibility.EDITED, waiting_since=2.0, final=True)
    _drain(scheduler, UPDATE, 1.0, now=100.0)
    assert scheduler.grants(100.0) == [(last, UPDATE)]


def test_progress_by_edits_leaves_the_calls_that_endings_need() -> None:
    scheduler = WriteScheduler()
    crowd = [
        _pending(scheduler, Visibility.EDITED, waiting_since=1.0, written_at=0.0) for _ in range(6)
    ]
    _drain(scheduler, UPDATE, 6.0, now=100.0)
    assert scheduler.grants(100.0) == []
    for pending in crowd:
        pending.final = True
    assert {id(who) for who, _ in scheduler.grants(100.0)} == {id(pending) for pending in crowd}


def test_a_stream_whose_stop_must_wait_shows_its_last_words_by_an_append() -> None:
    scheduler = WriteScheduler()
    pending = _pending(scheduler, Visibility.NATIVE, waiting_since=1.0, final=True)
    _drain(scheduler, STOP, 0.5)
    assert scheduler.grants(0.0) == [(pending, APPEND)]
    pending.waiting_since = None
    assert scheduler.grants(0.0) == []
    wake = scheduler.wake_at(0.0)
    assert wake is not None
    assert scheduler.grants(wake) == [(pending, STOP)]


@pytest.mark.parametrize(
    ("more", "methods"),
    [
        ({}, [START]),
        ({"may_stream": False}, [POST]),
        ({"reuses_message": True}, [UPDATE]),
        ({"final": True}, [POST]),
        ({"final": True, "reuses_message": True}, [UPDATE]),
        ({"waiting_since": None}, []),
        ({"busy": True}, []),
        ({"visibility": Visibility.NATIVE, "must_close": True}, [STOP]),
        ({"visibility": Visibility.NATIVE, "waiting_since": None, "final": True}, [STOP]),
        ({"visibility": Visibility.NATIVE}, [APPEND]),
        ({"visibility": Visibility.EDITED}, [UPDATE]),
        ({"visibility": Visibility.EDITED, "waiting_since": None, "final": True}, [UPDATE]),
        ({"visibility": Visibility.NATIVE, "waiting_since": None}, []),
    ],
)
def test_an_answer_is_granted_the_method_that_fits_its_state(
    more: dict[str, object], methods: list[str]
) -> None:
    scheduler = WriteScheduler()
    pending = _pending(scheduler, **more)  # type: ignore[arg-type]
    assert scheduler.grants(0.0) == [(pending, method) for method in methods]


def test_no_answer_is_granted_two_writes_within_the_minimum_interval() -> None:
    scheduler = WriteScheduler()
    pending = _pending(scheduler, Visibility.NATIVE, written_at=10.0)
    assert scheduler.grants(10.0 + MIN_WRITE_INTERVAL * 0.9) == []
    assert scheduler.grants(10.0 + MIN_WRITE_INTERVAL) == [(pending, APPEND)]


def test_answers_use_the_limits_of_streams_and_edits_at_once() -> None:
    scheduler = WriteScheduler()
    for _ in range(6):
        _pending(scheduler)
    given = [method for _, method in scheduler.grants(0.0)]
    assert given.count(START) == 4
    scheduler.grants(MAX_HOLD)
    opened = storm(6, channels=6)
    assert opened.calls[START] >= 4
    assert opened.calls[POST] >= 1


def test_held_answers_are_opened_even_if_no_model_ever_ends() -> None:
    simulation = Simulation()
    for number in range(40):
        simulation.add(Writer(f"C{number}", 0.0, 1_200, 10.0))
    simulation.run(until=80.0)
    assert all(writer.changes for writer in simulation.writers)
    assert not simulation.rate_limited


def test_no_more_answers_are_opened_than_can_be_ended() -> None:
    simulation = Simulation()
    for number in range(40):
        simulation.add(Writer(f"C{number}", 0.0, 100, 10.0))
    simulation.run(until=MAX_HOLD - 1)
    opened = sum(writer.pending.visibility is Visibility.EDITED for writer in simulation.writers)
    assert 8 <= opened <= 12


# -- calls -------------------------------------------------------------------------------------------------------


def test_queued_calls_are_made_in_the_order_they_came() -> None:
    scheduler = WriteScheduler()
    calls = [QueuedCall("reactions.remove", "C1", since) for since in (2.0, 1.0, 3.0)]
    for queued_call in calls:
        scheduler.enqueue(queued_call)
    _drain(scheduler, "reactions.remove", 2.0, now=5.0)
    assert [who for who, _ in scheduler.grants(5.0)] == [calls[1], calls[0]]
    scheduler.withdraw(calls[2])
    assert scheduler.wake_at(5.0) is None


def test_a_queued_edit_waits_for_endings_but_not_for_ever() -> None:
    scheduler = WriteScheduler()
    for _ in range(5):
        _pending(scheduler, Visibility.EDITED, waiting_since=None)
    queued_call = QueuedCall(UPDATE, "C1", 0.0, Urgency.DECORATION)
    scheduler.enqueue(queued_call)
    _drain(scheduler, UPDATE, 3.0)
    assert scheduler.grants(0.0) == []
    wake = scheduler.wake_at(0.0)
    assert wake is not None
    assert wake <= TITLE_WAIT
    assert scheduler.grants(wake) == [(queued_call, UPDATE)]


def test_posts_are_counted_per_channel() -> None:
    scheduler = WriteScheduler()
    for number in range(8):
        scheduler.enqueue(QueuedCall(POST, f"C{number % 2}", float(number)))
    assert len(scheduler.grants(10.0)) == 2 * RATES[POST].burst
