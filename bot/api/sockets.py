"""The WebSocket `/ws`: every change in the client's chats, as it happens."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import IntEnum
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.responses import JSONResponse

from bot import sentences
from bot.api.answer_parts import ApprovalOut
from bot.api.auth import Authenticator, bearer_token
from bot.api.compat import CompatMessage
from bot.api.errors import ApiError, denied, from_use_case, too_many_requests
from bot.chats.api_service import ApiService, as_waiting
from bot.chats.feed import Feed
from bot.chats.feed_events import (
    AccessRevoked,
    AnswerEnded,
    AnswerRestarted,
    ApprovalUpdated,
    FeedSubscription,
    MessageAdded,
    StepUpdated,
    TextAppended,
    TitleChanged,
)
from bot.domain import Status, User
from bot.errors import StorageError
from bot.observability import get_logger
from bot.runtime.memory import MemoryBudget
from bot.runtime.tasks import cancelled_on_leaving
from storage.coordination import SlowSubscriber

log = get_logger(__name__)

TOKEN_TIMEOUT = 10.0
"""Seconds for a client without a token in its request to send one as its first message."""
MAX_UNREAD_EVENTS = 1_000
"""Events that may wait for a slow client before it is disconnected."""
SEND_TIMEOUT = 30.0
"""Seconds for sending one message."""
MAX_SOCKETS_OF_ONE = 20
"""Per person, at the same time."""
MAX_SOCKETS = 500
"""Per process."""
PIECE_LENGTH = 16_000
"""Characters of one message with text: a slow client must not keep much of it in the server's memory."""
RETRY_AFTER = 30.0
"""Seconds after which a client with too many sockets may try again."""
_JSON_COST = 12
"""Bytes for each character of a text, as JSON and in the send buffers."""
LARGE_TEXT = 50_000
"""Characters from which on a message counts in the memory budget."""
CLOSE_TIMEOUT = 1.0
"""Seconds for sending the close frame: a client that reads nothing does not read that either."""


Change = TextAppended | StepUpdated | TitleChanged | AnswerEnded | AnswerRestarted


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
"""By the status that a request would have received."""


class SocketCounter:
    """Limits the number of sockets that are open at the same time."""

    def __init__(self) -> None:
        self._open: Counter[User] = Counter()

    @contextmanager
    def counted(self, user: User) -> Iterator[None]:
        """Raises ApiError (429) if this person, or everybody together, has too many."""
        if self._open[user] >= MAX_SOCKETS_OF_ONE or self._open.total() >= MAX_SOCKETS:
            raise too_many_requests(RETRY_AFTER)
        self._open[user] += 1
        try:
            yield
        finally:
            self._open[user] -= 1
            self._open += Counter()  # forgets people without any


def socket_router(
    api: ApiService, feed: Feed, authenticator: Authenticator, memory: MemoryBudget
) -> APIRouter:
    routes = APIRouter()
    counter = SocketCounter()

    @routes.get("/ws", include_in_schema=False)
    async def no_socket() -> None:
        """Answers requests that are no WebSocket handshake, or that have lost their upgrade headers in a proxy."""
        message = "This is a WebSocket. A proxy in between must pass on the headers Upgrade and Connection."
        raise ApiError(426, "Upgrade required", message, headers={"Upgrade": "websocket"})

    @routes.websocket("/ws")
    async def changes(socket: WebSocket) -> None:
        token = bearer_token(socket.headers)
        if token is None:  # a browser, which learns of a refusal only on an open connection
            await socket.accept()
            token = socket.query_params.get("token") or await _receive_token(socket)
        try:
            user = await authenticator.authenticate(token)
            with counter.counted(user):
                await serve(socket, user, token or "")
        except ApiError as error:
            await _refuse(socket, error)
        except StorageError as error:
            await _refuse(socket, from_use_case(error))

    async def serve(socket: WebSocket, user: User, token: str) -> None:
        async with (
            feed.subscribe(user, MAX_UNREAD_EVENTS) as subscription,
            authenticator.enforcing(subscription, token),
        ):
            if not _is_accepted(socket):
                await socket.accept()
            await WebSocketConnection(api, socket, memory).serve(subscription)

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

    def __init__(self, api: ApiService, socket: WebSocket, memory: MemoryBudget) -> None:
        self._api = api
        self._socket = socket
        self._memory = memory
        self._sending = asyncio.Lock()

    async def serve(self, subscription: FeedSubscription) -> None:
        """Returns when the client disconnects, is too slow, loses its token, or Bobbin shuts down."""
        tasks = [
            asyncio.create_task(self._send_events(subscription), name="socket writer"),
            asyncio.create_task(self._answer_pings(), name="socket reader"),
            asyncio.create_task(_until_dropped(subscription), name="socket drop"),
        ]
        async with cancelled_on_leaving(*tasks):
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
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
            if isinstance(event, MessageAdded):
                await self._send_pair(event, subscription.user)
            elif isinstance(event, ApprovalUpdated):
                await self._send_approval(event)
            else:
                await self._send_change(event)

    async def _send_change(self, change: Change) -> None:
        if isinstance(change, TextAppended):
            for begin in range(0, len(change.text), PIECE_LENGTH):
                piece = replace(change, text=change.text[begin : begin + PIECE_LENGTH])
                await self._send(_text_appended(piece))
        elif (message := await self._message_for(change)) is not None:
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

    async def _message_for(
        self, event: StepUpdated | TitleChanged | AnswerEnded | AnswerRestarted
    ) -> dict[str, Any] | None:
        """The message to the client for an event; None for none."""
        if isinstance(event, StepUpdated):  # without `content`, which older clients parse
            return {"chat": event.chat, "step": {"message": event.message, **event.step}}
        if isinstance(event, TitleChanged):
            return {"chat": event.chat, "title": event.title} if event.title is not None else None
        ids = {"message": event.message, "chat": event.chat}
        if isinstance(event, AnswerEnded):
            return {**ids, **await self._answer_ended(event)}
        return {**ids, "content": "Restart"}

    async def _send_pair(self, event: MessageAdded, user: User) -> None:
        # Shielded: cancelling a query would leave its connection behind.
        question, answer = await asyncio.shield(self._api.pair(event.question, event.message))
        with self._memory.reserve(f"{user.team} {user.id}") as reservation:
            if len(question.text) > LARGE_TEXT:
                await reservation.add(_JSON_COST * len(question.text))
            await self._send(
                {
                    "chat": event.chat,
                    "user_message": CompatMessage.of(question).model_dump(),
                    "assistant_message": CompatMessage.of(as_waiting(answer)).model_dump(),
                }
            )

    async def _send_approval(self, event: ApprovalUpdated) -> None:
        call = await asyncio.shield(self._api.approvals.stored.get(event.call))
        if call is not None:
            approval = ApprovalOut.of(call).model_dump(mode="json")
            await self._send({"chat": event.chat, "approval": approval})

    async def _answer_ended(self, event: AnswerEnded) -> dict[str, Any]:
        if event.status is Status.FAILED:
            label = await asyncio.shield(self._api.model_label(event.chat))
            failure = {"error": event.error, "message": sentences.failure(event.error, label)}
            return {"content": {"Failed": failure}}
        stopped = {"status": "stopped"} if event.status is Status.STOPPED else {}
        return {"content": "Finish", **stopped}


def _text_appended(event: TextAppended) -> dict[str, Any]:
    return {
        "message": event.message,
        "chat": event.chat,
        "content": {"Token": {"token": event.text}},
    }


async def _until_dropped(subscription: FeedSubscription) -> None:
    """Raises the reason why the subscription was dropped (SlowSubscriber, AccessRevoked), even while a message is being
    sent.
    """
    await subscription.dropped.wait()
    await anext(subscription)


def _close_code(error: BaseException | None) -> CloseCode:
    """`error`: what ended the connection; None if the feed has ended, as it does when Bobbin shuts down."""
    if isinstance(error, SlowSubscriber | TimeoutError):
        log.info("slow_client_disconnected")
        return CloseCode.TOO_SLOW
    if isinstance(error, AccessRevoked):
        return _REFUSALS[denied(error.denial).status]
    if error is not None:
        log.warning("socket_failed", exc_info=None if isinstance(error, StorageError) else error)
    return CloseCode.RESTARTING
