"""The API under `/chat`: conversations, messages, models."""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from bot import audit
from bot.api.answer_parts import ApprovalOut, DecidedApproval, DecisionIn
from bot.api.auth import bearer_token
from bot.api.bodies import GuardedRoute
from bot.api.context import ApiContext, Context, CurrentUser, Reservation, Service
from bot.api.errors import denied
from bot.api.event_stream import CONTENT_TYPE, event_stream, with_keepalives
from bot.api.exported import EXPORT_RESPONSES
from bot.api.responses import (
    ANSWER_RESPONSES,
    BODY_RESPONSES,
    COMMON_RESPONSES,
    NOT_FOUND_RESPONSES,
    LargeResponse,
    LateResponse,
    answered_body,
)
from bot.api.schemas import (
    MAX_KEY_LENGTH,
    AnsweredMessage,
    CamelModel,
    Conversation,
    Conversations,
    CreatedConversation,
    History,
    Model,
    Models,
    NewMessageIn,
    OptionalConversation,
    Problem,
)
from bot.api.values import to_storable
from bot.api.waiting import AnswerWaiter, wait_for_answer
from bot.chats.attachments.images import MAX_SENT_BYTES
from bot.chats.export import ExportFormat, file_name
from bot.chats.feed_events import AccessRevoked
from bot.domain.model_options import ModelOptions

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 100
STREAMED = (
    "With `Accept: text/event-stream`: events `message`, `token`, `restart`, `approval` (a call of a tool waits for "
    "whoever asked, or has been decided about), and `done` or `failed` at the end."
)

IMAGE_HEADERS = {
    "Cache-Control": "private, max-age=86400, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
MAX_IMAGE_COST = MAX_SENT_BYTES // 3
"""The number of characters of a text that takes as much memory as the largest image."""
EVENTS = {"schema": {"type": "string", "description": "Server-sent events."}}
ConversationId = Annotated[str, Path(description="A conversation's id.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=MAX_KEY_LENGTH,
        description="Makes a repetition of the same request harmless.",
    ),
]

routes = APIRouter(prefix="/chat", responses=COMMON_RESPONSES, route_class=GuardedRoute)
_conversations = APIRouter(tags=["conversations"], route_class=GuardedRoute)
_messages = APIRouter(tags=["messages"], route_class=GuardedRoute)


@_conversations.post(
    "/conversations", status_code=201, responses={**BODY_RESPONSES, **NOT_FOUND_RESPONSES}
)
async def create(
    api: Service, user: CurrentUser, given: OptionalConversation
) -> CreatedConversation:
    """A conversation without messages; it is listed from its first one on."""
    if given.continues is not None:
        chat = await api.continue_chat(user, given.continues)
    elif given.from_ is not None:
        chat = await api.branch(user, given.from_, given.model)
    else:
        options = ModelOptions(given.search, given.reasoning)
        chat = await api.create(user, given.title, given.model, options=options)
    newest = await api.newest_message_ids(chat)
    return CreatedConversation(conversation=Conversation.of(chat, newest.get(chat.id)))


@_conversations.get("/conversations")
async def listed(
    api: Service,
    user: CurrentUser,
    limit: int = Query(DEFAULT_PAGE_SIZE, ge=1, le=MAX_PAGE_SIZE),
    cursor: str | None = Query(
        None, max_length=500, description="`nextCursor` of the page before."
    ),
    q: str | None = Query(
        None, max_length=500, description="Words that title or messages contain."
    ),
) -> Conversations:
    """Your conversations, the most recently active first, without their messages."""
    page = await api.list_chats(user, limit=limit, cursor=cursor, search=to_storable(q or ""))
    newest = await api.newest_message_ids(*page.chats)
    conversations = [Conversation.of(chat, newest.get(chat.id)) for chat in page.chats]
    return Conversations(conversations=conversations, next_cursor=page.next_cursor)


@_conversations.get(
    "/conversations/{conversation_id}",
    response_model=History,
    responses={
        **NOT_FOUND_RESPONSES,
        304: {"description": "Nothing has changed since the `ETag` in `If-None-Match`."},
    },
)
async def history(
    context: Context,
    user: CurrentUser,
    conversation_id: ConversationId,
    if_none_match: str | None = Header(None),
) -> Response:
    """The conversation and all its messages in order."""
    api = context.service
    chat = await api.chat(user, conversation_id)

    async def made() -> Response:
        messages = await api.messages(chat)
        pictures = await api.pictures.of_chat(chat.id)
        waiting = await api.approvals.waiting(chat, messages)
        content = History.of(chat, messages, await api.results(chat), pictures, waiting)
        return with_etag(content, if_none_match)

    return LargeResponse(context.memory, user, await api.text_length(chat), made)


@_conversations.get(
    "/conversations/{conversation_id}/messages/{message_id}/images/{position}",
    response_class=Response,
    responses={
        **NOT_FOUND_RESPONSES,
        200: {
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
            "description": "The picture.",
        },
    },
)
async def image(
    context: Context,
    user: CurrentUser,
    conversation_id: ConversationId,
    message_id: Annotated[str, Path(description="The message that it is in.")],
    position: Annotated[int, Path(ge=0, lt=1_000, description="From 0, within the message.")],
) -> Response:
    """A picture of a message, as `images` names it."""
    api = context.service

    async def made() -> Response:
        picture = await api.picture(user, conversation_id, message_id, position)
        return Response(picture.data, media_type=picture.mime, headers=IMAGE_HEADERS)

    return LargeResponse(context.memory, user, MAX_IMAGE_COST, made)


@_conversations.get(
    "/conversations/{conversation_id}/export",
    response_class=StreamingResponse,
    responses={**NOT_FOUND_RESPONSES, **EXPORT_RESPONSES},
)
async def export(
    api: Service,
    user: CurrentUser,
    conversation_id: ConversationId,
    form: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.MARKDOWN,
) -> StreamingResponse:
    """The whole conversation as a file: Markdown for people, or JSON with its pictures."""
    chat = await api.chat(user, conversation_id)
    audit.record_by(user, audit.Action.EXPORTED, target=chat.id, format=form.value)
    name = quote(file_name(chat, form))
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(
        api.exporter.chat(chat, form), headers=headers, media_type=form.media_type
    )


@_conversations.get("/models")
async def models(api: Service, user: CurrentUser) -> Models:
    """The models that a new conversation may use."""
    default = await api.preselected(user)
    offered = [Model.of(info) for info in api.models.offered(user.team)]
    return Models(models=offered, default=str(default.ref) if default else None)


@_messages.post(
    "/conversations/{conversation_id}/messages",
    status_code=201,
    response_model=AnsweredMessage,
    response_model_exclude_none=True,
    responses={
        **ANSWER_RESPONSES,
        201: {"content": {CONTENT_TYPE: EVENTS}, "description": STREAMED},
    },
)
async def say(
    request: Request,
    context: Context,
    user: CurrentUser,
    reservation: Reservation,
    given: NewMessageIn,
    conversation_id: ConversationId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Sends a message; responds when the answer is complete. Disconnecting does not stop the answer."""
    message = await given.to_message(given.content, reservation, idempotency_key)
    stored = await context.service.send(user, conversation_id, message)
    waiting = wait_for_answer(context.service, context.feed, user, stored.chat, stored.answer)
    return respond(request, context, waiting, 201)


@_messages.post(
    "/conversations/{conversation_id}/messages/{message_id}/retry",
    response_model=AnsweredMessage,
    response_model_exclude_none=True,
    responses={
        **ANSWER_RESPONSES,
        200: {"content": {CONTENT_TYPE: EVENTS}, "description": STREAMED},
    },
)
async def retry(
    request: Request,
    context: Context,
    user: CurrentUser,
    conversation_id: ConversationId,
    message_id: str = Path(description="The message, or its failed answer."),
) -> Response:
    """Answers a message again whose answer has failed."""
    chat = await context.service.chat(user, conversation_id)
    answer = await context.service.retry(user, conversation_id, message_id)
    waiting = wait_for_answer(context.service, context.feed, user, chat, answer)
    return respond(request, context, waiting, 200)


@_messages.post(
    "/conversations/{conversation_id}/approvals/{approval_id}",
    responses={
        **BODY_RESPONSES,
        **NOT_FOUND_RESPONSES,
        403: {
            "model": Problem,
            "description": "Only whoever asked the question decides, or the operator's rules do not allow you.",
        },
        409: {"model": Problem, "description": "It has already been decided."},
    },
)
async def decide(
    api: Service,
    user: CurrentUser,
    given: DecisionIn,
    conversation_id: ConversationId,
    approval_id: Annotated[
        str, Path(max_length=100, description="As an answer's `approvals` names it.")
    ],
) -> DecidedApproval:
    """Decides about a call of a tool, as the buttons in the thread do; the answer goes on."""
    chat = await api.chat(user, conversation_id)
    call = await api.approvals.decide_in(chat, approval_id, user, given.decision)
    return DecidedApproval(approval=ApprovalOut.of(call))


routes.include_router(_conversations)
routes.include_router(_messages)


def respond(
    request: Request,
    context: ApiContext,
    waiting: AbstractAsyncContextManager[AnswerWaiter],
    status: int,
) -> Response:
    """The ended answer as JSON, or the answer's events if the client accepts them."""
    api, authenticator = context.service, context.authenticator
    token = bearer_token(request.headers) or ""
    if CONTENT_TYPE in request.headers.get("accept", ""):
        events = event_stream(api=api, authenticator=authenticator, token=token, waiting=waiting)
        return StreamingResponse(
            with_keepalives(events, context.keepalive_interval),
            status,
            {"Cache-Control": "no-store"},
            media_type=CONTENT_TYPE,
        )

    async def body() -> dict[str, Any]:
        async with (
            waiting as waiter,
            authenticator.enforcing(waiter.subscription, token, waiter.chat_id),
        ):
            try:
                return await answered_body(api, waiter, await waiter.until_ended())
            except AccessRevoked as error:
                raise denied(error.denial) from None

    return LateResponse(body, status)


def with_etag(model: CamelModel, if_none_match: str | None) -> Response:
    """The model as JSON with its ETag; 304 if the client already has that one."""
    content = model.model_dump_json(by_alias=True).encode()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    matches = if_none_match is not None and any(
        each.strip().removeprefix("W/") in ("*", etag) for each in if_none_match.split(",")
    )
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if matches:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)
