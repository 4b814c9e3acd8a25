"""`/ws`: every change in the caller's chats, as it happens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.responses import JSONResponse

from bot import strings
from bot.api.auth import Gate, token_of
from bot.api.compat import MessageShape
from bot.api.errors import ApiError, unauthorized
from bot.chats.api_service import ApiService, as_waiting
from bot.chats.feed import Feed
from bot.chats.feed_events import (
    AccessRevoked,
    AnswerEnded,
    FeedEvent,
    FeedSubscription,
    MessageAdded,
    TextAppended,
    TitleChanged,
)
from bot.domain import Status
from bot.errors import StorageError
from bot.observability import get_logger
from storage.coordination import SlowSubscriber

log = get_logger(__name__)

TOKEN_WITHIN = 10.0
"""Seconds that a client without a token in its request gets to send one."""
UNREAD = 1_000
"""Changes that may wait for a reader before it is dropped."""
SENT_WITHIN = 30.0
"""Seconds that a single message may take to leave."""
UNAUTHORIZED, TOO_SLOW, RESTARTING, BUSY = 4401, 4408, 1012, 4429


def router(api: ApiService, feed: Feed, gate: Gate) -> APIRouter:
    routes = APIRouter()

    @routes.websocket("/ws")
    async def changes(socket: WebSocket) -> None:
        token = _given(socket)
        if token is None:
            await socket.accept()
            token = await _first_word(socket)
        try:
            user = await gate.admit(token)
        except ApiError as refusal:
            await _refuse(socket, refusal)
            return
        async with feed.subscribe(user, UNREAD) as listener, gate.guarding(listener, token or ""):
            if not _accepted(socket):
                await socket.accept()
            await Connection(api, socket).serve(listener)

    return routes


def _given(socket: WebSocket) -> str | None:
    return token_of(socket.headers) or socket.query_params.get("token")


async def _first_word(socket: WebSocket) -> str | None:
    """The token in the client's first message, `{"token": …}`."""
    try:
        async with asyncio.timeout(TOKEN_WITHIN):
            told = json.loads(await socket.receive_text())
    except (TimeoutError, ValueError, KeyError, RecursionError, WebSocketDisconnect):
        return None
    token = told.get("token") if isinstance(told, dict) else None
    return token if isinstance(token, str) else None


def _accepted(socket: WebSocket) -> bool:
    return socket.application_state.name == "CONNECTED"


async def _refuse(socket: WebSocket, refusal: ApiError) -> None:
    try:
        if _accepted(socket):
            await socket.close(
                BUSY if refusal.status == 429 else UNAUTHORIZED, refusal.body["error"]
            )
        else:
            await socket.send_denial_response(
                JSONResponse(refusal.body, refusal.status, refusal.headers)
            )
    except (RuntimeError, WebSocketDisconnect):
        pass  # the client has gone already


async def _until_dropped(listener: FeedSubscription) -> int:
    """The writer may hang in a send just then. Raises what the listener does: SlowSubscriber, Revoked."""
    await listener.dropped.wait()
    await anext(listener)
    return RESTARTING


class Connection:
    """One open socket: a reader of the client's words, and a writer of changes."""

    def __init__(self, api: ApiService, socket: WebSocket) -> None:
        self._api, self._socket = api, socket
        self._sending = asyncio.Lock()

    async def serve(self, listener: FeedSubscription) -> None:
        """Until the client leaves, is too slow, loses its token, or Bobbin ends."""
        tasks = [
            asyncio.create_task(self._tell(listener), name="socket writer"),
            asyncio.create_task(self._hear(), name="socket reader"),
            asyncio.create_task(_until_dropped(listener), name="socket patience"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._close(next(iter(done)))

    async def _close(self, ended: asyncio.Task[int]) -> None:
        error = None if ended.cancelled() else ended.exception()
        code = RESTARTING
        if isinstance(error, WebSocketDisconnect):
            return
        if isinstance(error, SlowSubscriber | TimeoutError):
            code = TOO_SLOW
        elif isinstance(error, AccessRevoked):
            code = UNAUTHORIZED
        elif error is not None:
            log.warning(
                "socket_failed", exc_info=None if isinstance(error, StorageError) else error
            )
        elif not ended.cancelled():
            code = ended.result()
        if code == TOO_SLOW:
            log.info("reader_dropped")
        try:
            async with asyncio.timeout(1):  # one that does not read does not read this either
                await self._socket.close(
                    code, unauthorized().body["error"] if code == UNAUTHORIZED else None
                )
        except (TimeoutError, RuntimeError, WebSocketDisconnect):
            pass

    async def _tell(self, listener: FeedSubscription) -> int:
        async for change in listener:
            if (event := await self._event(change)) is not None:
                await self._send(event)
        return RESTARTING

    async def _send(self, event: dict[str, Any]) -> None:
        async with self._sending, asyncio.timeout(SENT_WITHIN):
            await self._socket.send_text(json.dumps(event))

    async def _hear(self) -> int:
        """Answers `{"ping": …}` with `{"pong": …}`, so that clients without control frames can ask for life."""
        while True:
            try:
                told = json.loads(await self._socket.receive_text())
            except (ValueError, KeyError, RecursionError):
                continue
            if isinstance(told, dict) and "ping" in told:
                await self._send({"pong": told["ping"]})

    async def _event(self, change: FeedEvent) -> dict[str, Any] | None:
        if isinstance(change, TitleChanged):
            return (
                {"chat": change.chat, "title": change.title} if change.title is not None else None
            )
        if isinstance(change, MessageAdded):
            return await self._uttered(change)
        about = {"message": change.message, "chat": change.chat}
        if isinstance(change, TextAppended):
            return {**about, "content": {"Token": {"token": change.text}}}
        if isinstance(change, AnswerEnded):
            return {**about, **await self._ending(change)}
        return {**about, "content": "Restart"}

    async def _uttered(self, change: MessageAdded) -> dict[str, Any]:
        # Shielded: a query cancelled in its middle would leave a connection behind.
        question, answer = await asyncio.shield(self._api.pair(change.question, change.message))
        return {
            "chat": change.chat,
            "user_message": MessageShape.of(question).model_dump(),
            "assistant_message": MessageShape.of(as_waiting(answer)).model_dump(),
        }

    async def _ending(self, change: AnswerEnded) -> dict[str, Any]:
        if change.status is Status.FAILED:
            label = await asyncio.shield(self._api.model_label(change.chat))
            return {
                "content": {
                    "Failed": {
                        "error": change.error,
                        "message": strings.failure(change.error, label),
                    }
                }
            }
        stopped = {"status": "stopped"} if change.status is Status.STOPPED else {}
        return {"content": "Finish", **stopped}
