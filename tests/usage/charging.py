"""A model server that remembers what it has charged for each of its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.models.demo import asks_for_title
from tests.providers.scripted_server import ReceivedRequest, ResponseWriter, data, delta

Told = tuple[int, int, int, float | None]
"""Tokens of the prompt, of the text, those cached, US dollars."""


@dataclass(frozen=True)
class Reply:
    """How one call goes."""

    text: str = "An answer."
    told: Told | None = (100, 10, 40, 0.25)
    """What the server tells that the call used; None: nothing."""
    end: str = "stop"
    """The reason of its end; `break`: the connection breaks, `hang`: nothing more comes, `http`: status 500."""


def usage_chunk(told: Told) -> bytes:
    prompt, completion, cached, cost = told
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    if cost is not None:
        usage["cost"] = cost
    return data({"choices": [], "usage": usage})


@dataclass
class ChargingModel:
    """Answers with the queued replies, then with the usual one; titles with theirs."""

    replies: list[Reply] = field(default_factory=list)
    title: Reply = Reply("A Short Title", (30, 3, 0, 0.125))
    usual: Reply = Reply()
    charged: list[Told | None] = field(default_factory=list)
    """For each call, what it told."""

    async def answer(self, received: ReceivedRequest, out: ResponseWriter) -> None:
        if asks_for_title(received.body["messages"]):
            await self._reply(self.title, out)
        else:
            await self._reply(self.replies.pop(0) if self.replies else self.usual, out)

    async def _reply(self, reply: Reply, out: ResponseWriter) -> None:
        at = len(self.charged)
        self.charged.append(None)
        if reply.end == "http":
            return await out.answer(b'{"error": {"message": "down"}}', 500, "application/json")
        await out.head()
        if reply.text:
            await out.chunk(delta(reply.text))
        if reply.told is not None:
            await out.chunk(usage_chunk(reply.told))
            self.charged[at] = reply.told
        if reply.end == "hang":
            await asyncio.Event().wait()
        if reply.end == "break":
            return out.reset()
        await out.chunk(delta(finish=reply.end) + data("[DONE]"))
        return await out.end()

    def total(self) -> tuple[int, int, int, float]:
        """What all calls cost, as far as it was told."""
        told = [each for each in self.charged if each is not None]
        return (
            sum(each[0] for each in told),
            sum(each[1] for each in told),
            sum(each[2] for each in told),
            sum(each[3] or 0.0 for each in told),
        )


def told_in(rows: Sequence[Any]) -> list[Told | None]:
    """What rows of the ledger hold, in the form of `ChargingModel.charged`."""
    return [
        None
        if row["prompt_tokens"] is None
        else (
            row["prompt_tokens"],
            row["completion_tokens"],
            row["cached_tokens"],
            row["cost"],
        )
        for row in rows
    ]
