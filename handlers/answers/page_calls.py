"""The Slack calls that show one page of an answer. `page_writer` handles their results and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain import Answer, Chat, Thread
from handlers.answers.step_cards import Chunk
from handlers.client.web_api import SlackClient
from handlers.rate_limits.slack_rates import APPEND, POST, START, STOP, UPDATE
from handlers.views.blocks import Block


class PageCalls:
    """Each call raises SlackError's subclasses."""

    def __init__(self, slack: SlackClient, chat: Chat, thread: Thread, answer: Answer) -> None:
        self._slack = slack
        self._chat = chat
        self._thread = thread
        self._answer = answer

    async def start_stream(self, chunks: Sequence[Chunk]) -> str:
        """Starts a native stream; returns the message's ts."""
        response = await self._slack.call(
            START,
            channel=self._thread.channel,
            thread_ts=self._thread.ts,
            recipient_user_id=self._answer.asker,
            recipient_team_id=self._answer.asker_team or self._chat.team,
            chunks=chunks,
        )
        return str(response["ts"])

    async def append(self, ts: str | None, chunks: Sequence[Chunk]) -> None:
        await self._slack.call(APPEND, channel=self._thread.channel, ts=ts, chunks=chunks)

    async def stop_stream(
        self, ts: str | None, chunks: Sequence[Chunk] = (), blocks: Sequence[Block] = ()
    ) -> None:
        """Ends a stream with the rest of its text, and with blocks below it."""
        await self._slack.call(
            STOP,
            channel=self._thread.channel,
            ts=ts,
            **({"chunks": chunks} if chunks else {}),
            **({"blocks": blocks} if blocks else {}),
        )

    async def post(self, content: Mapping[str, Any]) -> str:
        """Posts an ordinary message; returns its ts."""
        response = await self._slack.call(
            POST,
            channel=self._thread.channel,
            thread_ts=self._thread.ts,
            unfurl_links=False,
            unfurl_media=False,
            **content,
        )
        return str(response["ts"])

    async def edit(self, ts: str | None, content: Mapping[str, Any]) -> None:
        await self._slack.call(UPDATE, channel=self._thread.channel, ts=ts, **content)

    def refund(self, method: str) -> None:
        """A granted call turned out not to be needed."""
        self._slack.dispatcher.refund(method, self._thread.channel)
