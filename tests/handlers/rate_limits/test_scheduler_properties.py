"""Whatever waits, checking only when `wake_at` says so misses nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handlers.rate_limits.pending_write import PendingWrite, QueuedCall, Visibility, Waiting
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.slack_rates import APPEND, POST, START, STOP, UPDATE
from handlers.rate_limits.urgency import Urgency

NOW = 100.0
METHODS = (START, APPEND, STOP, UPDATE, POST)
CHANNELS = st.sampled_from(["C1", "C2", "C3"])
MOMENTS = st.floats(NOW - 10.0, NOW)

hidden = st.builds(
    PendingWrite,
    channel=CHANNELS,
    may_stream=st.booleans(),
    waiting_since=MOMENTS,
    busy=st.just(False),
    final=st.booleans(),
    reuses_message=st.booleans(),
)
visible = st.builds(
    PendingWrite,
    channel=CHANNELS,
    visibility=st.sampled_from([Visibility.NATIVE, Visibility.EDITED]),
    waiting_since=MOMENTS,
    written_at=MOMENTS,
    busy=st.just(False),
    final=st.booleans(),
)
queued = st.builds(
    QueuedCall,
    method=st.sampled_from([*METHODS, "reactions.add"]),
    channel=CHANNELS,
    waiting_since=MOMENTS,
    urgency=st.sampled_from(Urgency),
)


def scheduler_with(waiting: list[Waiting], used: dict[str, int], peers: int) -> WriteScheduler:
    """`used`: how many calls were made of each method just now."""
    scheduler = WriteScheduler()
    scheduler.peers = peers
    for method, calls in used.items():
        bucket = scheduler.bucket(method, "C1", NOW)
        for _ in range(min(calls, int(bucket.burst))):
            bucket.take(NOW)
            bucket.settle(NOW)
    for one in waiting:
        scheduler.enqueue(one) if isinstance(one, QueuedCall) else scheduler.join(one)
    return scheduler


def serve(scheduler: WriteScheduler, now: float) -> list[Waiting]:
    """Makes the calls that are granted; an answer that was granted one waits for nothing any more."""
    served = []
    for waiting, method in scheduler.grants(now):
        scheduler.bucket(method, waiting.channel, now).settle(now)
        if isinstance(waiting, PendingWrite):
            scheduler.leave(waiting, now)
        served.append(waiting)
    return served


@given(
    st.lists(hidden | visible | queued, max_size=40),
    st.dictionaries(st.sampled_from(METHODS), st.integers(0, 20)),
    st.integers(1, 3),
)
def test_following_wake_at_alone_serves_everything_that_waits(
    waiting: list[Waiting], used: dict[str, int], peers: int
) -> None:
    scheduler = scheduler_with(waiting, used, peers)
    served: list[Waiting] = serve(scheduler, NOW)
    wakes, now = 0, NOW
    while (wake_at := scheduler.wake_at(now)) is not None:
        assert wake_at > now
        wakes, now = wakes + 1, wake_at
        served += serve(scheduler, now)
    assert sorted(map(id, served)) == sorted(map(id, waiting))
    assert wakes <= 5 * len(waiting) + 100  # it does not look much more often than needed
    assert now - NOW < 400.0
