"""Rate tiers as token buckets, with a clock that the test controls."""

import pytest

from bot.sandbox.errors import RateLimited
from bot.sandbox.limits import Limits, RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def spend_all(budgets: RateLimiter, method: str, channel: str = "") -> tuple[int, int]:
    """How many calls succeed until one is refused, and its Retry-After."""
    for done in range(10_000):
        try:
            budgets.count_call(method, channel)
        except RateLimited as refusal:
            return done, refusal.retry_after
    raise AssertionError("never refused")


@pytest.mark.parametrize(
    ("method", "burst", "retry_after"),
    [
        ("chat.appendStream", 25, 1),
        ("chat.update", 12, 1),
        ("chat.startStream", 5, 3),
        ("chat.postMessage", 3, 1),
        ("assistant.threads.setStatus", 15, 1),
        ("auth.test", 150, 1),
    ],
)
def test_a_quarter_of_a_minutes_calls_may_be_made_at_once(
    method: str, burst: int, retry_after: int
) -> None:
    assert spend_all(RateLimiter(Limits(), Clock()), method) == (burst, retry_after)


def test_a_bucket_refills_at_the_tiers_rate_up_to_the_burst() -> None:
    clock = Clock()
    budgets = RateLimiter(Limits(), clock)
    spend_all(budgets, "chat.startStream")
    passed = 0
    for _ in range(601):
        clock.now += 0.1
        passed += spend_all(budgets, "chat.startStream")[0]
    assert passed == 20
    clock.now += 3_600
    assert spend_all(budgets, "chat.startStream")[0] == 5


def test_a_refused_call_costs_nothing_and_retry_after_suffices() -> None:
    clock = Clock()
    budgets = RateLimiter(Limits(), clock)
    _, wait = spend_all(budgets, "chat.startStream")
    for _ in range(50):
        with pytest.raises(RateLimited):
            budgets.count_call("chat.startStream")
    clock.now += wait
    budgets.count_call("chat.startStream")


def test_posts_and_statuses_are_limited_per_channel_and_the_rest_per_workspace() -> None:
    budgets = RateLimiter(Limits(), Clock())
    assert [spend_all(budgets, "chat.postMessage", channel)[0] for channel in ("C1", "C2")] == [
        3,
        3,
    ]
    assert [spend_all(budgets, "chat.update", channel)[0] for channel in ("C1", "C2")] == [12, 0]


def test_rates_can_be_scaled_and_switched_off() -> None:
    assert spend_all(RateLimiter(Limits(rate_scale=2.0), Clock()), "chat.appendStream")[0] == 50
    unlimited = RateLimiter(Limits.off(), Clock())
    for _ in range(1_000):
        unlimited.count_call("chat.startStream")


def test_scaling_deadlines_changes_nothing_else() -> None:
    scaled = Limits(stream_ttl=7.0).with_deadlines_scaled(10.0)
    expected = Limits(
        stream_ttl=7.0,
        ack_timeout=30.0,
        ticket_ttl=300.0,
        trigger_ttl=30.0,
        response_url_ttl=18_000.0,
    )
    assert expected == scaled
