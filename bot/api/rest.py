"""`/chat/…`: conversations, messages, models."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from bot import strings
from bot.api.auth import Gate, token_of
from bot.api.errors import ApiError, body, unauthorized
from bot.api.schemas import (
    LONGEST_KEY,
    Answered,
    Conversation,
    Conversations,
    CreatedConversation,
    History,
    Model,
    Models,
    NewConversation,
    NewMessageIn,
    OneMessage,
    Problem,
    Shape,
    TooMany,
    Unanswered,
    storable,
)
from bot.api.waiting import Waiting, waiting
from bot.chats.api_service import ApiService, MessagePair, as_waiting
from bot.chats.feed import Feed
from bot.chats.feed_events import AccessRevoked, TextAppended
from bot.domain import Answer, Chat, Status, User
from bot.errors import BobbinError

PAGE, LONGEST_PAGE = 50, 100
SILENCE = 15.0
"""Seconds without an event after which a stream shows that it is alive."""
EVENT_STREAM = "text/event-stream"

Responses = dict[int | str, dict[str, Any]]
COMMON: Responses = {
    401: {"model": Problem, "description": "No valid token."},
    422: {
        "model": Problem,
        "description": "The request is not as it should be; `message` says where.",
    },
    429: {"model": TooMany, "description": "The token is used too often (see `Retry-After`)."},
    503: {
        "model": Problem,
        "description": "The database cannot be reached, or Bobbin is restarting.",
    },
}
WITH_BODY: Responses = {
    408: {"model": Problem, "description": "The body did not come in time."},
    413: {"model": Problem, "description": "The body is too large."},
}
MISSING: Responses = {
    404: {"model": Problem, "description": "No such conversation or message of yours."}
}
EXCHANGE: Responses = {
    **WITH_BODY,
    **MISSING,
    409: {"model": Problem, "description": "An answer is being written in this conversation."},
    429: {
        "model": TooMany,
        "description": "The conversation is full, or the token is used too often.",
    },
    502: {
        "model": Unanswered,
        "description": "The model failed. The message is stored, its answer can be retried.",
    },
}
STREAMED = "With `Accept: text/event-stream`: events `message`, `token`, `restart`, and `done` or `failed` at the end."

ConversationId = Path(description="A conversation's id.")


def router(api: ApiService, feed: Feed, gate: Gate) -> APIRouter:
    """All of `/chat`."""
    routes = APIRouter(prefix="/chat", responses=COMMON)
    routes.include_router(_conversations(api, gate))
    routes.include_router(_messages(api, feed, gate))
    return routes


def _conversations(api: ApiService, gate: Gate) -> APIRouter:
    routes = APIRouter(tags=["conversations"])

    @routes.post("/conversations", status_code=201, responses=WITH_BODY)
    async def create(
        given: NewConversation | None = None, user: User = Depends(gate)
    ) -> CreatedConversation:
        """A conversation without messages; it is listed from its first one on."""
        given = given or NewConversation()
        chat = await api.create(user, given.title, given.model)
        return CreatedConversation(conversation=Conversation.of(chat, None))

    @routes.get("/conversations")
    async def listed(
        limit: int = Query(PAGE, ge=1, le=LONGEST_PAGE),
        cursor: str | None = Query(
            None, max_length=500, description="`nextCursor` of the page before."
        ),
        q: str | None = Query(
            None, max_length=500, description="Words that title or messages contain."
        ),
        user: User = Depends(gate),
    ) -> Conversations:
        """Your conversations, the most recently active first, without their messages."""
        page = await api.list_chats(user, limit=limit, cursor=cursor, search=storable(q or ""))
        newest = await api.newest_message_ids(*page.chats)
        found = [Conversation.of(chat, newest.get(chat.id)) for chat in page.chats]
        return Conversations(conversations=found, next_cursor=page.next_cursor)

    @routes.get(
        "/conversations/{conversation_id}",
        response_model=History,
        responses={
            **MISSING,
            304: {"description": "Nothing has changed since the `ETag` in `If-None-Match`."},
        },
    )
    async def history(
        conversation_id: str = ConversationId,
        if_none_match: str | None = Header(None),
        user: User = Depends(gate),
    ) -> Response:
        """The conversation and all its messages in order."""
        chat = await api.chat(user, conversation_id)
        messages = await api.messages(chat)
        newest = messages[-1].id if messages else None
        shape = History(
            conversation=Conversation.of(chat, newest),
            messages=[OneMessage.of(one) for one in messages],
        )
        return tagged(shape, if_none_match)

    @routes.get("/models")
    async def models(user: User = Depends(gate)) -> Models:
        """The models that a new conversation may use."""
        default = await api.preselected(user)
        offered = [Model.of(info) for group in api.models.search() for info in group.models]
        return Models(models=offered, default=str(default.ref) if default else None)

    return routes


def _messages(api: ApiService, feed: Feed, gate: Gate) -> APIRouter:
    routes = APIRouter(tags=["messages"])

    @routes.post(
        "/conversations/{conversation_id}/messages",
        status_code=201,
        response_model=Answered,
        response_model_exclude_none=True,
        responses={**EXCHANGE, 201: {"content": {EVENT_STREAM: {}}, "description": STREAMED}},
    )
    async def say(
        request: Request,
        given: NewMessageIn,
        conversation_id: str = ConversationId,
        idempotency_key: str | None = Header(
            None,
            min_length=1,
            max_length=LONGEST_KEY,
            description="Makes a repetition of the same request harmless.",
        ),
        user: User = Depends(gate),
    ) -> Response:
        """Says something, and answers when the model's answer is whole. Hanging up does not stop it."""
        said = await api.send(user, conversation_id, given.post(given.content, idempotency_key))
        return await respond(request, user, said.chat, said.answer, 201)

    @routes.post(
        "/conversations/{conversation_id}/messages/{message_id}/retry",
        response_model=Answered,
        response_model_exclude_none=True,
        responses={**EXCHANGE, 200: {"content": {EVENT_STREAM: {}}, "description": STREAMED}},
    )
    async def retry(
        request: Request,
        conversation_id: str = ConversationId,
        message_id: str = Path(description="The message, or its failed answer."),
        user: User = Depends(gate),
    ) -> Response:
        """Answers a message again whose answer has failed."""
        chat = await api.chat(user, conversation_id)
        answer = await api.retry(user, conversation_id, message_id)
        return await respond(request, user, chat, answer, 200)

    async def respond(
        request: Request, user: User, chat: Chat, answer: Answer, status: int
    ) -> Response:
        token = token_of(request.headers) or ""
        watched = waiting(api, feed, user, chat, answer)
        if EVENT_STREAM in request.headers.get("accept", ""):
            events = alive(streamed(api, gate, watched, token))
            return StreamingResponse(
                events, status, {"Cache-Control": "no-store"}, media_type=EVENT_STREAM
            )
        async with watched as wait, gate.guarding(wait.listener, token):
            try:
                return JSONResponse(await outcome(api, wait, await wait.whole()), status)
            except AccessRevoked:
                raise unauthorized() from None

    return routes


def tagged(shape: Shape, known: str | None) -> Response:
    """The shape with its ETag, or 304 when the client knows it already."""
    content = shape.model_dump_json(by_alias=True).encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    matches = known is not None and any(
        one.strip().removeprefix("W/") in ("*", tag) for one in known.split(",")
    )
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


async def outcome(api: ApiService, wait: Waiting, exchange: MessagePair) -> dict[str, Any]:
    """The whole exchange as a body. Raises ApiError (502) when the model failed."""
    pair: dict[str, Any] = {
        "userMessage": OneMessage.of(exchange.question).model_dump(by_alias=True),
        "assistantMessage": OneMessage.of(exchange.answer).model_dump(by_alias=True),
        "rateLimitReached": False,
    }
    if exchange.answer.status is Status.FAILED:
        raise ApiError(502, "Model failed", failure(api, exchange), **pair)
    title = await wait.title(exchange)
    return pair | ({"conversationTitle": title} if title else {})


def failure(api: ApiService, exchange: MessagePair) -> str:
    """What happened, in a sentence a person can act on."""
    return strings.failure(exchange.answer.error, api.models.label(exchange.chat.model))


async def streamed(
    api: ApiService, gate: Gate, watched: AbstractAsyncContextManager[Waiting], token: str
) -> AsyncGenerator[str, None]:
    """The exchange as server-sent events, as long as the token is valid."""
    async with watched as wait, gate.guarding(wait.listener, token):
        try:
            begun = await wait.exchange()
            question, reply = OneMessage.of(begun.question), OneMessage.of(as_waiting(begun.answer))
            yield event(
                "message",
                {
                    "userMessage": question.model_dump(by_alias=True),
                    "assistantMessage": reply.model_dump(by_alias=True),
                },
            )
            async for piece in wait.pieces():
                yield (
                    event("token", {"token": piece.text})
                    if isinstance(piece, TextAppended)
                    else event("restart", {})
                )
            yield event("done", await outcome(api, wait, await wait.exchange()))
        except ApiError as error:
            yield event("failed", error.body)
        except AccessRevoked:
            yield event("failed", unauthorized().body)
        except BobbinError:
            yield event("failed", body("Unavailable", strings.SAVE_FAILED))


async def alive(events: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    """The same, with a comment whenever nothing has come for a while: proxies cut what is silent."""
    waited = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait([waited], timeout=SILENCE)
            if not done:
                yield ": still being written\n\n"
            elif (found := waited.result()) is None:
                return
            else:
                yield found
                waited = asyncio.ensure_future(anext(events, None))
    finally:
        waited.cancel()
        await asyncio.gather(waited, return_exceptions=True)
        await events.aclose()


def event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
