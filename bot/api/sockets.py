"""The WebSocket `/ws`: every change in the client's chats, as it happens."""

from __future__ import annotations

import asyncio
import json
from enum import IntEnum
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.responses import JSONResponse

from bot import strings
from bot.api.auth import Authenticator, bearer_token
from bot.api.compat import CompatMessage
from bot.api.errors import ApiError, denied
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

TOKEN_TIMEOUT = 10.0
"""Seconds that a client without a token in its request has to send one as its first message."""
MAX_UNREAD_EVENTS = 1_000
"""Events that may wait for a slow client before it is disconnected."""
SEND_TIMEOUT = 30.0
"""Seconds for sending one message."""
CLOSE_TIMEOUT = 1.0
"""Seconds for sending the close frame: a client that reads nothing does not read that either."""


class CloseCode(IntEnum):
    """Why the server closes a connection."""

    RESTARTING = 1012
    UNAUTHORIZED = 4401
    NOT_ALLOWED = 4403
    TOO_SLOW = 4408
    TOO_MANY_REQUESTS = 4429


_REFUSALS = {
    401: CloseCode.UNAUTHORIZED,
    403: CloseCode.NOT_ALLOWED,
    429: CloseCode.TOO_MANY_REQUESTS,
}
"""By the status that a request would have got."""


def socket_router(api: ApiService, feed: Feed, authenticator: Authenticator) -> APIRouter:
    routes = APIRouter()

    @routes.websocket("/ws")
    async def changes(socket: WebSocket) -> None:
        token = bearer_token(socket.headers) or socket.query_params.get("token")
        if token is None:
            await socket.accept()
            token = await _receive_token(socket)
        try:
            user = await authenticator.authenticate(token)
        except ApiError as error:
            await _refuse(socket, error)
            return
        async with (
            feed.subscribe(user, MAX_UNREAD_EVENTS) as subscription,
            authenticator.enforcing(subscription, token or ""),
        ):
            if not _is_accepted(socket):
                await socket.accept()
            await WebSocketConnection(api, socket).serve(subscription)

    return routes


async def _receive_token(socket: WebSocket) -> str | None:
    """The token in the client's first message, `{"token": …}`."""
    try:
        async with asyncio.timeout(TOKEN_TIMEOUT):
            message = json.loads(await socket.receive_text())
    except (TimeoutError, ValueError, KeyError, RecursionError, WebSocketDisconnect):
        return None
    token = message.get("token") if isinstance(message, dict) else None
    return token if isinstance(token, str) else None


def _is_accepted(socket: WebSocket) -> bool:
    return socket.application_state.name == "CONNECTED"


async def _refuse(socket: WebSocket, error: ApiError) -> None:
    try:
        if _is_accepted(socket):
            await socket.close(
                _REFUSALS.get(error.status, CloseCode.RESTARTING), error.body["error"]
            )
        else:
            response = JSONResponse(error.body, error.status, error.headers)
            await socket.send_denial_response(response)
    except (RuntimeError, WebSocketDisconnect):
        pass  # the client has already disconnected


class WebSocketConnection:
    """One open connection: sends the client events, and answers its pings."""

    def __init__(self, api: ApiService, socket: WebSocket) -> None:
        self._api = api
        self._socket = socket
        self._sending = asyncio.Lock()

    async def serve(self, subscription: FeedSubscription) -> None:
        """Returns when the client disconnects, is too slow, loses its token, or Bobbin ends."""
        tasks = [
            asyncio.create_task(self._send_events(subscription), name="socket writer"),
            asyncio.create_task(self._answer_pings(), name="socket reader"),
            asyncio.create_task(_until_dropped(subscription), name="socket drop"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._close(next(iter(done)))

    async def _close(self, ended: asyncio.Task[None]) -> None:
        error = None if ended.cancelled() else ended.exception()
        if isinstance(error, WebSocketDisconnect):
            return
        code = _close_code(error)
        reason = denied(error.denial).body["error"] if isinstance(error, AccessRevoked) else None
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._socket.close(code, reason)
        except (TimeoutError, RuntimeError, WebSocketDisconnect):
            pass

    async def _send_events(self, subscription: FeedSubscription) -> None:
        async for event in subscription:
            if (message := await self._message_for(event)) is not None:
                await self._send(message)

    async def _answer_pings(self) -> None:
        """Answers `{"ping": …}` with `{"pong": …}`, for clients that cannot send ping frames (browsers)."""
        while True:
            try:
                message = json.loads(await self._socket.receive_text())
            except (ValueError, KeyError, RecursionError):
                continue
            if isinstance(message, dict) and "ping" in message:
                await self._send({"pong": message["ping"]})

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._sending, asyncio.timeout(SEND_TIMEOUT):
            await self._socket.send_text(json.dumps(message))

    async def _message_for(self, event: FeedEvent) -> dict[str, Any] | None:
        """What the client is sent for an event; None for nothing."""
        if isinstance(event, TitleChanged):
            return {"chat": event.chat, "title": event.title} if event.title is not None else None
        if isinstance(event, MessageAdded):
            return await self._message_added(event)
        ids = {"message": event.message, "chat": event.chat}
        if isinstance(event, TextAppended):
            return {**ids, "content": {"Token": {"token": event.text}}}
        if isinstance(event, AnswerEnded):
            return {**ids, **await self._answer_ended(event)}
        return {**ids, "content": "Restart"}

    async def _message_added(self, event: MessageAdded) -> dict[str, Any]:
        # Shielded: cancelling a query would leave its connection behind.
        question, answer = await asyncio.shield(self._api.pair(event.question, event.message))
        return {
            "chat": event.chat,
            "user_message": CompatMessage.of(question).model_dump(),
            "assistant_message": CompatMessage.of(as_waiting(answer)).model_dump(),
        }

    async def _answer_ended(self, event: AnswerEnded) -> dict[str, Any]:
        if event.status is Status.FAILED:
            label = await asyncio.shield(self._api.model_label(event.chat))
            failure = {"error": event.error, "message": strings.failure(event.error, label)}
            return {"content": {"Failed": failure}}
        stopped = {"status": "stopped"} if event.status is Status.STOPPED else {}
        return {"content": "Finish", **stopped}


async def _until_dropped(subscription: FeedSubscription) -> None:
    """Raises why the subscription was dropped (SlowSubscriber, AccessRevoked), even while a message is being sent."""
    await subscription.dropped.wait()
    await anext(subscription)


def _close_code(error: BaseException | None) -> CloseCode:
    """`error`: what ended the connection; None when the feed has ended, as it does when Bobbin ends."""
    if isinstance(error, SlowSubscriber | TimeoutError):
        log.info("slow_client_disconnected")
        return CloseCode.TOO_SLOW
    if isinstance(error, AccessRevoked):
        return _REFUSALS[denied(error.denial).status]
    if error is not None:
        log.warning("socket_failed", exc_info=None if isinstance(error, StorageError) else error)
    return CloseCode.RESTARTING
