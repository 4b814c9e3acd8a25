"""How urgent a call is, depending on who waits for it; three classes, each with a maximum wait."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from weakref import WeakKeyDictionary

from handlers.rate_limits.token_bucket import TokenBucket


class Urgency(IntEnum):
    """Who waits for a call; the smallest number goes first."""

    REPLY = 0
    """A person waits for the response to what they just did: a menu, a private notice, a dialog, a button."""
    ANSWER = 1
    """An answer waits, or something the answer needs before it can begin or end."""
    DECORATION = 2
    """Nobody waits: a title, a header, a reaction, a status."""


USUAL_URGENCY: Mapping[str, Urgency] = {
    "chat.postMessage": Urgency.REPLY,
    "chat.postEphemeral": Urgency.REPLY,
    "conversations.open": Urgency.REPLY,
    "views.open": Urgency.REPLY,
    "views.update": Urgency.REPLY,
    "views.publish": Urgency.REPLY,
    "chat.update": Urgency.DECORATION,
    "chat.delete": Urgency.DECORATION,
    "conversations.info": Urgency.DECORATION,
    "conversations.members": Urgency.DECORATION,
    "reactions.add": Urgency.DECORATION,
    "reactions.remove": Urgency.DECORATION,
    "assistant.threads.setStatus": Urgency.DECORATION,
    "assistant.threads.setTitle": Urgency.DECORATION,
    "assistant.threads.setSuggestedPrompts": Urgency.DECORATION,
    "agents.sessions.setStatus": Urgency.DECORATION,
    "agents.sessions.rename": Urgency.DECORATION,
}
"""The urgency of a method's queued calls if the caller specifies none; all others have `Urgency.ANSWER`."""
LONGEST_WAIT: Mapping[Urgency, float] = {
    Urgency.REPLY: 2.0,
    Urgency.ANSWER: 10.0,
    Urgency.DECORATION: 10.0,
}
"""Seconds after which a call is overdue: then more urgent calls overtake it at most `MAX_PASSED_OVER` times in a
row.
"""
MAX_PASSED_OVER = 3


def usual_urgency(method: str) -> Urgency:
    return USUAL_URGENCY.get(method, Urgency.ANSWER)


class StarvationGuard:
    """Prevents classes from starving: counts how often each was overtaken at a bucket since its last call there."""

    def __init__(self) -> None:
        self._passed_over: WeakKeyDictionary[TokenBucket, list[int]] = WeakKeyDictionary()

    def note(self, bucket: TokenBucket, urgency: Urgency) -> None:
        """Counts a call of this class."""
        counts = self._passed_over.setdefault(bucket, [0] * len(Urgency))
        counts[urgency] = 0
        for less_urgent in range(urgency + 1, len(Urgency)):
            counts[less_urgent] += 1

    def has_priority(self, bucket: TokenBucket, urgency: Urgency, waited: float) -> bool:
        """Whether a call of this class that has `waited` this many seconds goes before all others."""
        if waited <= LONGEST_WAIT[urgency]:
            return False
        counts = self._passed_over.get(bucket)
        return counts is not None and counts[urgency] >= MAX_PASSED_OVER
