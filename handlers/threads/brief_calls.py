"""Calls that set one sign of a thread, as long as that is useful: their failure does not matter, only what it leaves.

A call that was sent and has no response may still take effect later, so what removes the sign must come after that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from handlers.client.errors import OutcomeUnknown, Unanswered
from handlers.client.web_api import SlackClient


class Effect(Enum):
    """The outcome of a call."""

    DONE = auto()
    NONE = auto()
    UNKNOWN = auto()
    """It may have taken effect; if there was no response, it may still do so within `Timing.late_effect`."""


class BriefCalls:
    """All calls of one method about one thread, each with a short timeout."""

    def __init__(self, slack: SlackClient, method: str, **arguments: Any) -> None:
        """`arguments`: those that all calls have in common."""
        self._slack = slack
        self._method = method
        self._arguments = arguments
        self._sent = 0
        """How many have been sent and wait for their response."""
        self._responded = asyncio.Event()
        self.may_have_effect = False
        """Whether the outcome of one is unknown."""
        self.may_come_late = False
        """Whether one was sent and never had a response, because it timed out or its caller was cancelled."""

    async def make(self, **arguments: Any) -> Effect:
        """Makes one call."""
        timeout = self._slack.timing.session_call_timeout
        try:
            async with asyncio.timeout(timeout):
                reason = await self._slack.try_call_error(
                    self._method,
                    max_wait=timeout,
                    sending=self._sending,
                    **self._arguments,
                    **arguments,
                )
        except TimeoutError:
            return Effect.UNKNOWN
        if reason is None:
            return Effect.DONE
        return Effect.UNKNOWN if reason == OutcomeUnknown.result else Effect.NONE

    async def until_responded(self) -> None:
        """Waits until no call is on its way."""
        while self._sent:
            self._responded.clear()
            await self._responded.wait()

    @contextlib.contextmanager
    def _sending(self) -> Iterator[None]:
        self._sent += 1
        try:
            yield
        except (asyncio.CancelledError, OutcomeUnknown) as error:
            self.may_have_effect = True
            if isinstance(error, (asyncio.CancelledError, Unanswered)):
                self.may_come_late = True
            raise
        finally:
            self._sent -= 1
            self._responded.set()
