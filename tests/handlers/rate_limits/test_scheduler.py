"""`WriteScheduler` in simulated time: storms, mixed hours, refusals, and its rules one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.rate_limits.scheduler import (
    MAX_HOLD,
    MAX_WAIT,
    MIN_GAP,
    PendingWrite,
    QueuedCall,
    Shown,
    WriteScheduler,
)
from handlers.rate_limits.token_bucket import (
    APPEND,
    FORGIVE_AFTER,
    LONGEST_FLIGHT,
    POST,
    RATES,
    START,
    STOP,
    UNKNOWN,
    UPDATE,
    Rate,
    TokenBucket,
)
from tests.lag_bound import min_mean_lag
from tests.simulation import Simulation, Writer, mixed_hour, storm

TARGET = 1.5
"""How many times the floor a storm's mean lag may be."""
CROWDS = [(20, 1), (20, 5), (20, 20), (50, 1), (50, 5), (50, 50)]


# -- storms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 5, 50])
@pytest.mark.parametrize("count", [1, 5, 20, 50, 200])
def test_every_answer_of_a_storm_arrives_and_none_is_refused(count: int, channels: int) -> None:
    ended = storm(count, channels=min(count, channels))
    assert ended.completed() == count
    assert not ended.refused


@pytest.mark.parametrize("jitter", [0.3, 1.0])
@pytest.mark.parametrize(("count", "channels"), [(5, 1), (20, 5), (50, 50)])
def test_calls_that_take_long_to_reach_slack_are_not_refused(
    count: int, channels: int, jitter: float
) -> None:
    ended = storm(count, channels=channels, spread=0.5, jitter=jitter)
    assert ended.completed() == count
    assert not ended.refused


@pytest.mark.parametrize(("count", "channels"), CROWDS)
def test_the_mean_lag_of_a_crowd_stays_near_the_floor(count: int, channels: int) -> None:
    assert storm(count, channels=channels).mean_lag() <= TARGET * min_mean_lag(
        count, channels=channels
    )


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0])
@pytest.mark.parametrize(("count", "channels"), CROWDS)
def test_and_so_when_they_are_not_asked_at_the_very_same_moment(
    count: int, channels: int, spread: float
) -> None:
    assert storm(count, channels=channels, spread=spread).mean_lag() <= TARGET * min_mean_lag(
        count, channels=channels
    )


@pytest.mark.parametrize(("count", "channels"), [(5, 1), *CROWDS])
def test_the_floor_is_below_all_that_was_ever_reached(count: int, channels: int) -> None:
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
def test_a_richer_slack_has_a_lower_floor(words: int) -> None:
    poor, rich = (min_mean_lag(20, channels=5, words=words, burst=burst) for burst in (0.2, 0.33))
    assert 0 < rich < poor < min_mean_lag(20, channels=1, words=words)


def test_a_long_storm_ends_soon_after_its_models() -> None:
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
def test_a_lone_answer_is_near_to_immediate(native: bool) -> None:
    simulation = Simulation(round_trip=0.1)
    writer = simulation.add(Writer("C1", 0.0, 200, 40.0, native=native))
    simulation.run()
    assert writer.complete()
    assert writer.changes[0] - writer.sent_at[0] <= 0.1
    assert writer.largest_gap() <= 0.6
    assert simulation.mean_lag() <= 0.25 + 0.1 / 2


@pytest.mark.parametrize("native", [True, False])
@settings(max_examples=30, deadline=None)
@given(words=st.integers(1, 3_000), rate=st.floats(1.0, 300.0), round_trip=st.floats(0.0, 2.0))
def test_an_answer_of_any_length_and_speed_arrives_whole(
    native: bool, words: int, rate: float, round_trip: float
) -> None:
    simulation = Simulation(round_trip=round_trip)
    writer = simulation.add(Writer("C1", 0.0, words, rate, native=native))
    simulation.run()
    assert writer.complete()
    assert not simulation.refused


# -- hours ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("natives", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("a_minute", [1.0, 4.0, 8.0])
def test_in_a_mixed_hour_all_arrives_and_errands_are_run(a_minute: float, natives: float) -> None:
    hour = mixed_hour(a_minute=a_minute, natives=natives)
    assert hour.completed() == len(hour.writers) > 30
    assert not hour.refused
    assert max(hour.errand_waits) < MAX_WAIT + 10
    assert max(writer.done_at - writer.ends for writer in hour.writers if writer.done_at) < 60


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    a_minute=st.floats(0.5, 15.0),
    natives=st.floats(0.0, 1.0),
    round_trip=st.floats(0.01, 1.0),
    jitter=st.floats(0.0, 1.0),
    burst=st.floats(0.2, 0.34),
)
def test_budgets_are_never_exceeded(
    seed: int, a_minute: float, natives: float, round_trip: float, jitter: float, burst: float
) -> None:
    hour = mixed_hour(
        seed=seed,
        a_minute=a_minute,
        natives=natives,
        round_trip=round_trip,
        jitter=jitter,
        burst=burst,
        hours=0.2,
    )
    assert not hour.refused
    assert hour.completed() == len(hour.writers)


@pytest.mark.parametrize("burst", [0.02, 0.05, 0.1])
def test_a_slack_that_allows_less_at_once_than_assumed_is_learnt(burst: float) -> None:
    """The simulation itself holds that no call is made before Retry-After is over."""
    hour = mixed_hour(burst=burst, post_burst=1.0, hours=2.0)
    assert hour.completed() == len(hour.writers)
    assert 0 < sum(hour.refused.values()) < 0.05 * sum(hour.calls.values())


# -- endings, openings, progress -----------------------------------------------------------------------------------


def _desire(
    scheduler: WriteScheduler,
    shown: Shown = Shown.NOT,
    *,
    since: float | None = 0.0,
    **more: object,
) -> PendingWrite:
    pending = PendingWrite("C1", shown=shown, since=since, busy=False)
    for name, value in more.items():
        setattr(pending, name, value)
    scheduler.join(pending)
    return pending


def _drain(scheduler: WriteScheduler, method: str, left: float, now: float = 0.0) -> None:
    bucket = scheduler.bucket(method, "C1", now)
    while bucket.level(now) > left:
        bucket.take(now)
        bucket.settled(now)


def test_the_longest_waiting_is_served_first() -> None:
    scheduler = WriteScheduler()
    desires = [_desire(scheduler, Shown.NATIVE, since=since) for since in (3.0, 1.0, 2.0)]
    _drain(scheduler, APPEND, 1.0, now=100.0)
    scheduler.bucket(APPEND, "C1", 100.0)
    assert scheduler.grants(100.0) == [(desires[1], APPEND)]


def test_endings_come_before_progress() -> None:
    scheduler = WriteScheduler()
    _desire(scheduler, Shown.EDIT, since=1.0)
    last = _desire(scheduler, Shown.EDIT, since=2.0, whole=True)
    _drain(scheduler, UPDATE, 1.0, now=100.0)
    assert scheduler.grants(100.0) == [(last, UPDATE)]


def test_progress_of_edits_leaves_what_their_endings_need() -> None:
    scheduler = WriteScheduler()
    crowd = [_desire(scheduler, Shown.EDIT, since=1.0, written_at=0.0) for _ in range(6)]
    _drain(scheduler, UPDATE, 6.0, now=100.0)
    assert scheduler.grants(100.0) == []
    for pending in crowd:
        pending.whole = True
    assert {id(who) for who, _ in scheduler.grants(100.0)} == {id(pending) for pending in crowd}


def test_a_stream_whose_stop_is_out_of_budget_shows_its_last_words_by_an_append() -> None:
    scheduler = WriteScheduler()
    pending = _desire(scheduler, Shown.NATIVE, since=1.0, whole=True)
    _drain(scheduler, STOP, 0.5)
    assert scheduler.grants(0.0) == [(pending, APPEND)]
    pending.since = None
    assert scheduler.grants(0.0) == []
    wake = scheduler.wake_at(0.0)
    assert wake is not None
    assert scheduler.grants(wake) == [(pending, STOP)]


@pytest.mark.parametrize(
    ("more", "methods"),
    [
        ({}, [START]),
        ({"may_native": False}, [POST]),
        ({"reuse": True}, [UPDATE]),
        ({"whole": True}, [POST]),
        ({"whole": True, "reuse": True}, [UPDATE]),
        ({"since": None}, []),
        ({"busy": True}, []),
        ({"shown": Shown.NATIVE, "must_close": True}, [STOP]),
        ({"shown": Shown.NATIVE, "since": None, "whole": True}, [STOP]),
        ({"shown": Shown.NATIVE}, [APPEND]),
        ({"shown": Shown.EDIT}, [UPDATE]),
        ({"shown": Shown.EDIT, "since": None, "whole": True}, [UPDATE]),
        ({"shown": Shown.NATIVE, "since": None}, []),
    ],
)
def test_what_an_answer_is_given(more: dict[str, object], methods: list[str]) -> None:
    scheduler = WriteScheduler()
    pending = _desire(scheduler, **more)  # type: ignore[arg-type]
    assert scheduler.grants(0.0) == [(pending, method) for method in methods]


def test_nobody_is_given_two_writes_within_the_smallest_gap() -> None:
    scheduler = WriteScheduler()
    pending = _desire(scheduler, Shown.NATIVE, written_at=10.0)
    assert scheduler.grants(10.0 + MIN_GAP * 0.9) == []
    assert scheduler.grants(10.0 + MIN_GAP) == [(pending, APPEND)]


def test_answers_use_both_budgets_at_once() -> None:
    scheduler = WriteScheduler()
    for _ in range(6):
        _desire(scheduler)
    given = [method for _, method in scheduler.grants(0.0)]
    assert given.count(START) == 4
    scheduler.grants(MAX_HOLD)
    opened = storm(6, channels=6)
    assert opened.calls[START] >= 4
    assert opened.calls[POST] >= 1


def test_held_answers_are_opened_in_the_end_though_their_models_never_stop() -> None:
    simulation = Simulation()
    for number in range(40):
        simulation.add(Writer(f"C{number}", 0.0, 1_200, 10.0))
    simulation.run(until=80.0)
    assert all(writer.changes for writer in simulation.writers)
    assert not simulation.refused


def test_a_crowd_is_not_opened_beyond_what_its_endings_can_use() -> None:
    simulation = Simulation()
    for number in range(40):
        simulation.add(Writer(f"C{number}", 0.0, 100, 10.0))
    simulation.run(until=MAX_HOLD - 1)
    opened = sum(writer.desire.shown is Shown.EDIT for writer in simulation.writers)
    assert 8 <= opened <= 12


# -- errands -------------------------------------------------------------------------------------------------------


def test_errands_are_run_in_the_order_they_came() -> None:
    scheduler = WriteScheduler()
    errands = [QueuedCall("reactions.remove", "C1", since) for since in (2.0, 1.0, 3.0)]
    for queued_call in errands:
        scheduler.send(queued_call)
    _drain(scheduler, "reactions.remove", 2.0, now=5.0)
    assert [who for who, _ in scheduler.grants(5.0)] == [errands[1], errands[0]]
    scheduler.withdraw(errands[2])
    assert scheduler.wake_at(5.0) is None


def test_an_errand_waits_for_endings_but_not_for_ever() -> None:
    scheduler = WriteScheduler()
    for _ in range(5):
        _desire(scheduler, Shown.EDIT, since=None)
    queued_call = QueuedCall(UPDATE, "C1", 0.0)
    scheduler.send(queued_call)
    _drain(scheduler, UPDATE, 3.0)
    assert scheduler.grants(0.0) == []
    wake = scheduler.wake_at(0.0)
    assert wake is not None
    assert wake <= MAX_WAIT
    assert scheduler.grants(wake) == [(queued_call, UPDATE)]


def test_posts_are_counted_by_channel() -> None:
    scheduler = WriteScheduler()
    for number in range(8):
        scheduler.send(QueuedCall(POST, f"C{number % 2}", float(number)))
    assert len(scheduler.grants(10.0)) == 2 * RATES[POST].burst


# -- what a bucket learns ------------------------------------------------------------------------------------------


def test_a_refusal_closes_the_method_until_slack_said_and_then_gives_one_call() -> None:
    bucket = TokenBucket(Rate(1.0, 10), 0.0)
    bucket.refused(0.0, 7.0)
    assert bucket.level(6.9) == 0.0
    assert bucket.ready_at(0.0) == pytest.approx(7.0)
    assert 1.0 <= bucket.level(7.0) < 1.1


def test_a_refusal_teaches_caution_that_is_forgiven_in_time() -> None:
    bucket = TokenBucket(Rate(1.0, 10), 0.0)
    before = bucket.per_second
    bucket.refused(0.0, 1.0)
    assert bucket.burst == pytest.approx(6.0)
    assert bucket.per_second == before
    bucket.refused(2.0, 1.0)
    assert bucket.per_second < before
    now = 2.0
    for _ in range(20):
        now += FORGIVE_AFTER + 1
        bucket.level(now)
    assert bucket.burst == 10.0
    assert bucket.per_second == before


def test_a_refusal_teaches_about_its_own_method_alone() -> None:
    scheduler = WriteScheduler()
    scheduler.refused(UPDATE, "C1", 0.0, 30.0)
    assert scheduler.bucket(UPDATE, "C1", 1.0).level(1.0) == 0.0
    assert scheduler.bucket(APPEND, "C1", 1.0).level(1.0) == RATES[APPEND].burst
    assert scheduler.bucket("chat.delete", "C1", 1.0).level(1.0) == RATES["chat.delete"].burst


def test_it_never_stops_trusting_altogether() -> None:
    bucket = TokenBucket(Rate(1.0, 10), 0.0)
    for second in range(100):
        bucket.refused(float(second), 1.0)
    assert bucket.burst >= 1.0
    assert bucket.per_second > 0.25


def test_what_may_run_over_at_slack_is_not_counted_on() -> None:
    """While a call is under way Slack's own bucket may still be full, and what it gets back then is lost."""
    bucket = TokenBucket(Rate(1.0, 4), 0.0)
    for _ in range(4):
        bucket.take(0.0)
    assert bucket.level(2.0) == 0.0
    for _ in range(4):
        bucket.settled(2.0)
    assert bucket.level(3.0) == pytest.approx(0.97)


def test_a_call_that_nobody_told_of_does_not_lower_the_allowance_for_ever() -> None:
    bucket = TokenBucket(Rate(1.0, 4), 0.0)
    for _ in range(4):
        bucket.take(0.0)
    assert bucket.level(LONGEST_FLIGHT + 10.0) == 4.0


def test_a_turn_that_is_not_used_is_given_back() -> None:
    bucket = TokenBucket(Rate(1.0, 4), 0.0)
    bucket.take(0.0)
    bucket.give_back()
    assert bucket.level(0.0) == 4.0


def test_a_method_without_a_documented_rate_is_treated_with_caution() -> None:
    assert WriteScheduler().rate("some.method") == UNKNOWN


def test_channels_that_have_long_been_quiet_are_forgotten() -> None:
    scheduler = WriteScheduler()
    for number in range(5_000):
        scheduler.bucket(POST, f"C{number}", float(number)).take(float(number))
    remembered = scheduler.bucket(POST, "C4999", 4_999.5)
    assert remembered.level(4_999.5) < RATES[POST].burst
    assert len(scheduler._buckets) <= 2_001
