"""A plain bot to compare with: posts a placeholder, then edits it after every twenty pieces of the model's stream.

That is how most bots of this kind are written. It waits as long as Slack asks it to after a 429, as slack_sdk can do by
itself, and does not track Slack's rate limits. `python -m tests.bench.baseline_bot` runs it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

EVERY = 20
"""Pieces between two edits."""
PATIENT = 1_000
"""How often a refused call is made again."""


async def main() -> None:
    """Until it is killed."""
    client = AsyncWebClient(
        token=os.environ["SLACK_BOT_TOKEN"],
        base_url=os.environ["SLACK_API_URL"],
        retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=PATIENT)],
    )
    app = AsyncApp(client=client)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as models:

        @app.event("message")
        async def on_message(event: dict[str, Any]) -> None:
            if "bot_id" not in event and "thread_ts" in event:
                await answer(client, models, event)

        await AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start_async()  # type: ignore[no-untyped-call]


async def answer(client: AsyncWebClient, models: httpx.AsyncClient, event: dict[str, Any]) -> None:
    """One question's answer, in its thread."""
    channel = event["channel"]
    placeholder = await client.chat_postMessage(
        channel=channel, thread_ts=event["thread_ts"], text="…"
    )
    text, pieces = "", 0
    async for piece in stream(models, event["text"]):
        text, pieces = text + piece, pieces + 1
        if pieces % EVERY == 0:
            await client.chat_update(channel=channel, ts=placeholder["ts"], text=text)
    await client.chat_update(channel=channel, ts=placeholder["ts"], text=text)


async def stream(models: httpx.AsyncClient, question: str) -> AsyncIterator[str]:
    """The pieces of the model's answer."""
    body = {
        "model": "demo/quick",
        "messages": [{"role": "user", "content": question}],
        "stream": True,
    }
    key = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    address = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
    async with models.stream("POST", address, json=body, headers=key) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line.removeprefix("data: "))["choices"]:
                    if piece := choice["delta"].get("content"):
                        yield piece


if __name__ == "__main__":
    asyncio.run(main())
