"""How often an answer can be edited if answers keep coming as in the last half minute. Pure: time is an argument."""

from __future__ import annotations

from collections import deque

WINDOW = 30.0
"""Seconds that are taken into account."""
MIN_ANSWERS = 3
"""Fewer answers within the window do not predict those to come."""


class RecentAnswers:
    """The answers of one workspace that ended recently without a native stream, and therefore used edits."""

    def __init__(self) -> None:
        self._ended: deque[tuple[float, float]] = deque()
        """When each ended, and how many seconds its text had taken."""
        self._seconds = 0.0
        """Of all of them together."""

    def note(self, now: float, seconds: float) -> None:
        """An answer has ended whose text took this many seconds."""
        self._ended.append((now, seconds))
        self._seconds += seconds
        self._forget(now)

    def write_interval(self, now: float, edits_per_second: float, peers: int) -> float:
        """The sustainable number of seconds between two writes of one answer, and before its first; 0.0 if unknown.

        Each answer is posted once and gets an equal share of the edits: m of them. Its text takes d seconds, so m + 1
        writes lie d / (m + 1) seconds apart. Writing more often, because the bucket happens to be full, would take the
        edits from answers that arrive a moment later. `peers`: the number of processes with about as many answers.
        """
        self._forget(now)
        if len(self._ended) < MIN_ANSWERS:
            return 0.0
        mean = self._seconds / len(self._ended)
        answers_per_second = len(self._ended) * peers / WINDOW
        return mean / (1.0 + edits_per_second / answers_per_second)

    def _forget(self, now: float) -> None:
        while self._ended and self._ended[0][0] < now - WINDOW:
            self._seconds -= self._ended.popleft()[1]
