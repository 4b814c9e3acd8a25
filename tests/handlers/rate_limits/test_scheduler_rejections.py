"""`WriteScheduler` after a 429: which methods wait, how limits shrink, and how they recover."""

from __future__ import annotations

import pytest

from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.slack_rates import APPEND, DEFAULT_RATE, POST, RATES, UPDATE, Rate
from handlers.rate_limits.token_bucket import MAX_IN_FLIGHT_TIME, RECOVERY_INTERVAL, TokenBucket

# -- what a bucket learns ------------------------------------------------------------------------------------------


def test_after_a_429_a_method_is_blocked_until_retry_after_and_then_gets_one_call() -> None:
    bucket = TokenBucket(Rate(1.0, 10), 0.0)
    bucket.rate_limited(0.0, 7.0)
    assert bucket.tokens(6.9) == 0.0
    assert bucket.ready_at(0.0) == pytest.approx(7.0)
    assert 1.0 <= bucket.tokens(7.0) < 1.1


def test_after_a_429_rate_and_burst_shrink_and_recover_in_time() -> None:
    bucket = TokenBucket(Rate(1.0, 10), 0.0)
    before = bucket.per_second
    bucket.rate_limited(0.0, 1.0)
    assert bucket.burst == pytest.approx(6.0)
    assert bucket.per_second == before
    bucket.rate_limited(2.0, 1.0)
    assert bucket.per_second < before
    now = 2.0
    for _ in range(20):
        now += RECOVERY_INTERVAL + 1
        bucket.tokens(now)
    assert bucket.burst == 10.0
    assert bucket.per_second == before


def test_a_429_affects_only_its_own_method() -> None:
    scheduler = WriteScheduler()
    scheduler.rate_limited(UPDATE, "C1", 0.0, 30.0)
    assert scheduler.bucket(UPDATE, "C1", 1.0).tokens(1.0) == 0.0
    assert scheduler.bucket(APPEND, "C1", 1.0).tokens(1.0) == RATES[APPEND].burst
    assert scheduler.bucket("chat.delete", "C1", 1.0).tokens(1.0) == RATES["chat.delete"].burst


def test_many_429s_never_reduce_the_rate_to_nothing() -> None:
    bucket = TokenBucket(Rate(1.0, 10), 0.0)
    for second in range(100):
        bucket.rate_limited(float(second), 1.0)
    assert bucket.burst >= 1.0
    assert bucket.per_second > 0.25


def test_tokens_that_may_run_over_at_slack_are_not_counted_on() -> None:
    """While a call is in progress, Slack's own bucket may still be full, and its refill is then lost."""
    bucket = TokenBucket(Rate(1.0, 4), 0.0)
    for _ in range(4):
        bucket.take(0.0)
    assert bucket.tokens(2.0) == 0.0
    for _ in range(4):
        bucket.settle(2.0)
    assert bucket.tokens(3.0) == pytest.approx(0.97)


def test_a_call_without_a_response_does_not_lower_the_limit_for_ever() -> None:
    bucket = TokenBucket(Rate(1.0, 4), 0.0)
    for _ in range(4):
        bucket.take(0.0)
    assert bucket.tokens(MAX_IN_FLIGHT_TIME + 10.0) == 4.0


def test_a_call_that_is_not_made_can_be_given_back() -> None:
    bucket = TokenBucket(Rate(1.0, 4), 0.0)
    bucket.take(0.0)
    bucket.refund()
    assert bucket.tokens(0.0) == 4.0


def test_a_method_without_a_documented_rate_gets_the_default_rate() -> None:
    assert WriteScheduler().rate("some.method") == DEFAULT_RATE


def test_buckets_of_channels_that_have_long_been_quiet_are_dropped() -> None:
    scheduler = WriteScheduler()
    for number in range(5_000):
        scheduler.bucket(POST, f"C{number}", float(number)).take(float(number))
    remembered = scheduler.bucket(POST, "C4999", 4_999.5)
    assert remembered.tokens(4_999.5) < RATES[POST].burst
    assert len(scheduler._buckets._buckets) <= 2_001
