"""What the answers of the last half minute tell about those to come. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

WINDOW = 30.0
"""Seconds that are taken into account."""
MIN_ANSWERS = 3
"""Fewer answers within the window do not predict those to come."""


class _Ended(NamedTuple):
    at: float
    seconds: float
    """How long its text took, at most `WINDOW`: a longer one says nothing about how many there are at a time."""
    speed: float | None
    """Characters a second; None: it wanted no stream."""
    streamed: bool


class RecentAnswers:
    """The answers of one workspace that ended recently."""

    def __init__(self) -> None:
        self._ended: deque[_Ended] = deque()

    def note(
        self, now: float, seconds: float, *, speed: float | None = None, streamed: bool
    ) -> None:
        """An answer has ended whose text took this many seconds; `streamed`: as a native stream, without edits.

        `speed`: its characters a second, unless it wanted no stream.
        """
        self._ended.append(_Ended(now, min(seconds, WINDOW), speed, streamed))
        self._forget(now)

    def write_interval(
        self, now: float, calls_per_second: float, peers: int, *, streamed: bool
    ) -> float:
        """The sustainable number of seconds between two writes of one answer, and before its first; 0.0 if unknown.

        Each answer is opened once and gets an equal share of the appends or edits: m of them. Its text takes d
        seconds, so m + 1 writes lie d / (m + 1) seconds apart. Writing more often, because the bucket happens to be
        full, would take the calls from answers that arrive a moment later. `peers`: the number of processes with
        about as many answers.
        """
        self._forget(now)
        seconds = [each.seconds for each in self._ended if each.streamed is streamed]
        if len(seconds) < MIN_ANSWERS:
            return 0.0
        mean = sum(seconds) / len(seconds)
        answers_per_second = len(seconds) * peers / WINDOW
        return mean / (1.0 + calls_per_second / answers_per_second)

    def streaming_speed(self, now: float, starts_per_second: float, peers: int) -> float:
        """The least speed of those for which there were streams, if the fastest got them; 0.0: there were enough."""
        self._forget(now)
        streams = int(starts_per_second * WINDOW / peers)
        speeds = [each.speed for each in self._ended if each.speed is not None]
        if len(speeds) <= max(streams, MIN_ANSWERS):
            return 0.0
        return sorted(speeds, reverse=True)[streams]

    def _forget(self, now: float) -> None:
        while self._ended and self._ended[0].at < now - WINDOW:
            self._ended.popleft()
