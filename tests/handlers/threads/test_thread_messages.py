"""Menus and headers: while edits are scarce, what changes later needs none of them either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, cast

from bot.sandbox.server import Sandbox
from bot.sandbox.state.records import Container
from handlers.client.web_api import SlackClient
from handlers.rate_limits.slack_rates import UPDATE
from handlers.threads.thread_messages import ThreadMessages
from tests.handlers.client.test_waits import post, workspace

ALWAYS_CROWDED, NEVER_CROWDED = 2.0, 0.0
"""Shares of the rate limit for edits below which they are scarce."""


class Replacing:
    """Replaces one message again and again, each time by another text."""

    def __init__(self, slack: Sandbox, client: SlackClient, ts: str, crowded_share: float) -> None:
        # Replacing needs neither workspaces nor the states of chat requests.
        self._messages = ThreadMessages(cast("Any", None), cast("Any", None), crowded_share)
        self._slack, self._client, self._ts = slack, client, ts
        self._channel = slack.workspace.channel("general").id
        self._numbers: Iterator[int] = count(1)

    def press(self) -> str:
        """Returns the response URL of an interaction with the message."""
        message = self._slack.workspace.message("general", self._ts)
        return self._slack.response_urls.issue("U0ALICE", Container([], message=message))

    def used_press(self) -> str:
        """The same of one whose URL others have used as often as Slack allows."""
        url = self.press()
        for _ in range(self._slack.limits.response_url_uses):
            self._slack.response_urls.post(url.partition("/response/")[2], {"text": "A notice."})
        return url

    def refusals(self) -> list[str | None]:
        return [call.error for call in self._slack.refusals]

    async def replace(self, response_url: str | None = None) -> tuple[int, int]:
        """Replaces it once; returns how often it was replaced so far by a response URL, and by an edit."""
        text = await self.send(response_url)
        assert self._slack.workspace.message("general", self._ts).text == text
        calls = self._slack.calls_of("response_url")
        return sum(call.error is None for call in calls), len(self._slack.calls_of(UPDATE))

    async def send(self, response_url: str | None = None) -> str:
        """Replaces it once, by the text that is returned."""
        text = f"Version {next(self._numbers)}"

        async def draw() -> dict[str, Any]:
            return {"text": text}

        refused = await self._messages.replace(
            self._client, channel=self._channel, ts=self._ts, draw=draw, response_url=response_url
        )
        assert refused is None
        return text


@asynccontextmanager
async def replacing(crowded_share: float) -> AsyncIterator[Replacing]:
    async with workspace() as (slack, client):
        yield Replacing(slack, client, await post(slack, client), crowded_share)


async def test_a_title_that_comes_later_uses_the_press_that_chose_the_model() -> None:
    async with replacing(ALWAYS_CROWDED) as message:
        assert await message.replace(message.press()) == (1, 0)
        assert [await message.replace() for _ in range(4)] == [(n, 0) for n in (2, 3, 4, 5)]


async def test_a_used_response_url_gives_way_to_an_edit_and_to_the_next_press() -> None:
    async with replacing(ALWAYS_CROWDED) as message:
        await message.replace(message.press())
        for _ in range(4):
            await message.replace()
        assert [await message.replace() for _ in range(2)] == [(5, 1), (5, 2)]
        assert await message.replace(message.press()) == (6, 2)
        assert message.refusals() == []


async def test_a_press_that_comes_while_a_used_url_is_refused_is_not_forgotten() -> None:
    async with replacing(ALWAYS_CROWDED) as message:
        await asyncio.gather(message.send(message.used_press()), message.send(message.press()))
        assert await message.replace() == (2, 1)
        assert message.refusals() == ["used_url"]


async def test_a_url_that_slack_refuses_gives_way_to_an_edit_and_is_not_tried_again() -> None:
    async with replacing(ALWAYS_CROWDED) as message:
        assert await message.replace(message.used_press()) == (0, 1)
        assert await message.replace() == (0, 2)
        assert message.refusals() == ["used_url"]


async def test_a_message_that_nobody_pressed_is_edited() -> None:
    async with replacing(ALWAYS_CROWDED) as message:
        assert await message.replace() == (0, 1)


async def test_while_many_edits_remain_a_press_is_left_for_later() -> None:
    async with replacing(NEVER_CROWDED) as message:
        assert await message.replace(message.press()) == (0, 1)
