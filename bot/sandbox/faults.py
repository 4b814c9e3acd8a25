"""Fault injection: the next calls of a method fail, hang, are slow, or take effect without a response."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Mode = Literal["error", "status", "ratelimited", "lost", "hang", "slow", "garbage"]


@dataclass(slots=True)
class Fault:
    """What happens to matching calls, `times` times (-1: until cleared).

    `error`: Slack's error name with HTTP 200 · `status`: an HTTP status with a plain body · `ratelimited`: 429 with
    `retry_after` · `lost`: the call takes effect, then the connection closes without an answer · `hang`: no answer for
    `seconds`, without effect · `slow`: works, after `seconds` or when released · `garbage`: HTML with status 200.
    `after_effect`: the call takes effect at once, before its response is corrupted or held back.
    """

    method: str
    mode: Mode
    times: int = 1
    skip: int = 0
    error: str = "internal_error"
    status: int = 500
    retry_after: int = 1
    seconds: float = 60.0
    channel: str | None = None
    ts: str | None = None
    after_effect: bool = False
    hits: int = 0

    def matches(self, method: str, args: Mapping[str, Any]) -> bool:
        if self.method not in ("*", method) or self.times == 0:
            return False
        if self.channel is not None and args.get("channel", args.get("channel_id")) != self.channel:
            return False
        return self.ts is None or args.get("ts") == self.ts


@dataclass(slots=True)
class Faults:
    """The pending faults, and those of the connection itself."""

    pending: list[Fault] = field(default_factory=list)
    refuse_until: float = 0.0
    copies: int = 1
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, method: str, mode: Mode = "error", **details: Any) -> Fault:
        """Lets the next calls of `method` (`*`: any) fail; Fault has modes and details. ValueError: no such mode."""
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}")
        fault = Fault(method, mode, **details)
        self.pending.append(fault)
        return fault

    def next_fault(self, method: str, args: Mapping[str, Any]) -> Fault | None:
        """The first pending fault that matches this call, counted as used; None without one."""
        for fault in self.pending:
            if not fault.matches(method, args):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            if fault.times > 0:
                fault.times -= 1
                if fault.times == 0:
                    self.pending.remove(fault)
            return fault
        return None

    def clear(self) -> None:
        """Removes all faults and releases hanging and slow calls."""
        self.pending.clear()
        self.refuse_until = 0.0
        self.copies = 1
        self.release()

    def release(self) -> None:
        """Releases the calls that hang or are slow now."""
        self.released.set()
        self.released = asyncio.Event()

    async def hang(self, seconds: float) -> None:
        """Waits `seconds`, or until `release`."""
        try:
            async with asyncio.timeout(seconds):
                await self.released.wait()
        except TimeoutError:
            return
