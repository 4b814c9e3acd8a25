"""The same conversations under other paths, for clients written for other servers.

`/api/v1/…` responds when the model has finished; `/new-chat`, `/chat-message` and the like respond immediately, and the
text follows on the WebSocket. None of them is OpenAI's API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from bot.api.attached import WithAttachments
from bot.api.bodies import GuardedRoute
from bot.api.context import Context, CurrentUser, Reservation, Service
from bot.api.errors import ApiError
from bot.api.responses import (
    ANSWER_RESPONSES,
    BODY_RESPONSES,
    COMMON_RESPONSES,
    NOT_FOUND_RESPONSES,
    LargeResponse,
    LateResponse,
    failure_sentence,
)
from bot.api.schemas import (
    MAX_KEY_LENGTH,
    ChatFields,
    Content,
    Identifier,
    Images,
    MessageFields,
    ModelName,
    NullIsEmpty,
    OptionalConversation,
    Title,
    chat_fields,
    image_links,
    message_fields,
    schema_name,
)
from bot.api.values import to_storable
from bot.api.waiting import AnswerWaiter, wait_for_answer
from bot.chats.api_service import ApiService, Exchange, as_waiting
from bot.domain import Chat, Message, Role, Status
from storage.messages import StoredMessage
from storage.pictures import Picture

MAX_CHATS_PAGE_SIZE = 1_000

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=MAX_KEY_LENGTH)]


@schema_name("ChatShape")
class CompatChat(ChatFields):
    last_message: Identifier | None = None

    @classmethod
    def of(cls, chat: Chat, newest: str | None) -> CompatChat:
        return cls(**chat_fields(chat), last_message=newest)


@schema_name("MessageShape")
class CompatMessage(MessageFields):
    chat: Identifier
    unreceived: bool = Field(
        description="The answer is still being written; its tokens follow on the socket."
    )

    images: Images = Field([])

    @classmethod
    def of(cls, message: Message, pictures: Sequence[Picture] = ()) -> CompatMessage:
        return cls(
            **message_fields(message),
            images=image_links(message, pictures),
            chat=message.chat_id,
            unreceived=message.role is Role.ASSISTANT and not message.status.ended,
        )


class V1Conversation(BaseModel):
    conversation_id: Identifier
    title: str


class V1Message(WithAttachments):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"conversation_id": "019c0f3e6a21b7d0c5e1f2a3b4c5d6e7", "message": "Hello"}
            ]
        }
    )

    conversation_id: str
    message: Content


@schema_name("V1Answered")
class V1AnsweredMessage(BaseModel):
    user_message: CompatMessage
    assistant_message: CompatMessage
    conversation_title: Title | None = None


@schema_name("V1Unanswered")
class V1FailedMessage(V1AnsweredMessage):
    success: Literal[False] = False
    error: str
    message: str


class ChatId(BaseModel):
    id: str


class NewChat(WithAttachments):
    initial_message: Content
    model: ModelName | None = None


class ChatMessage(WithAttachments):
    chat: str | ChatId
    message: Content


@schema_name("OfChat")
class ChatReference(BaseModel):
    chat: str | ChatId


@schema_name("Stored")
class StoredPair(BaseModel):
    """What was stored: the message, and the empty answer whose tokens follow on `/ws`."""

    chat: CompatChat
    user_message: CompatMessage
    assistant_message: CompatMessage


@schema_name("ListChats")
class ListChatsQuery(BaseModel):
    limit: int = Field(MAX_CHATS_PAGE_SIZE, ge=1, le=MAX_CHATS_PAGE_SIZE)
    cursor: str | None = Field(None, max_length=500)
    q: str | None = Field(None, max_length=500)


class ChatList(BaseModel):
    chats: list[CompatChat]
    next_cursor: str | None


@schema_name("Newest")
class NewestMessage(BaseModel):
    chat: Identifier
    message: Identifier | None = Field(description="Id of the newest message.")
    unreceived: bool = Field(
        description="Whether that message is an answer that is still being written."
    )


class MessageList(BaseModel):
    chat: Identifier
    messages: list[CompatMessage]


def chat_id_of(chat: str | ChatId) -> str:
    """The id, whether the client sends just that or the whole chat object that it received."""
    return chat if isinstance(chat, str) else chat.id


v1_routes = APIRouter(
    prefix="/api/v1",
    tags=["v1"],
    responses={**COMMON_RESPONSES, **BODY_RESPONSES},
    route_class=GuardedRoute,
)
"""The routes under `/api/v1`."""
call_routes = APIRouter(
    tags=["calls"], responses={**COMMON_RESPONSES, **BODY_RESPONSES}, route_class=GuardedRoute
)
"""The routes of clients that follow the WebSocket."""


@v1_routes.post("/conversations", status_code=201)
async def create(api: Service, user: CurrentUser, given: OptionalConversation) -> V1Conversation:
    """A new conversation, ready for its first message."""
    chat = await api.create(user, given.title, given.model)
    return V1Conversation(conversation_id=chat.id, title=chat.title)


@v1_routes.post(
    "/chat",
    response_model=V1AnsweredMessage,
    responses={**ANSWER_RESPONSES, 502: {"model": V1FailedMessage}},
)
async def chat(
    context: Context,
    user: CurrentUser,
    reservation: Reservation,
    given: V1Message,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Sends a message; responds when the answer is complete."""
    api = context.service
    message = await given.to_message(given.message, reservation, idempotency_key)
    stored = await api.send(user, given.conversation_id, message)

    async def body() -> dict[str, Any]:
        async with wait_for_answer(api, context.feed, user, stored.chat, stored.answer) as waiter:
            return await _answered(api, waiter)

    return LateResponse(body, 200)


async def _answered(api: ApiService, waiter: AnswerWaiter) -> dict[str, Any]:
    exchange = await waiter.until_ended()
    if exchange.answer.status is Status.FAILED:
        raise _model_failed(api, exchange)
    return V1AnsweredMessage(
        user_message=_asked(exchange),
        assistant_message=_written(exchange),
        conversation_title=await waiter.title(exchange),
    ).model_dump(exclude_none=True)


def _model_failed(api: ApiService, exchange: Exchange) -> ApiError:
    return ApiError(
        502,
        "Model failed",
        failure_sentence(api, exchange),
        user_message=_asked(exchange).model_dump(),
        assistant_message=_written(exchange).model_dump(),
    )


def _asked(exchange: Exchange) -> CompatMessage:
    return CompatMessage.of(exchange.question, exchange.pictures_of(exchange.question))


def _written(exchange: Exchange) -> CompatMessage:
    return CompatMessage.of(exchange.answer, exchange.pictures_of(exchange.answer))


@call_routes.post("/new-chat")
async def new_chat(
    api: Service, user: CurrentUser, reservation: Reservation, given: NewChat
) -> StoredPair:
    """A new chat with its first message. Returns at once; the answer's tokens follow on `/ws`."""
    message = await given.to_message(given.initial_message, reservation)
    stored = await api.start(user, message, given.model)
    return await _stored_exchange(api, stored)


@call_routes.post(
    "/chat-message",
    responses={**NOT_FOUND_RESPONSES, 409: ANSWER_RESPONSES[409], 429: ANSWER_RESPONSES[429]},
)
async def chat_message(
    api: Service,
    user: CurrentUser,
    reservation: Reservation,
    given: ChatMessage,
    idempotency_key: IdempotencyKey = None,
) -> StoredPair:
    """The next message of a chat. Returns at once; the answer's tokens follow on `/ws`."""
    message = await given.to_message(given.message, reservation, idempotency_key)
    return await _stored_exchange(api, await api.send(user, chat_id_of(given.chat), message))


async def _stored_exchange(api: ApiService, stored: StoredMessage) -> StoredPair:
    exchange = await api.exchange_of(stored.answer)
    answer = exchange.answer if stored.duplicate else as_waiting(exchange.answer)
    return StoredPair(
        chat=CompatChat.of(exchange.chat, exchange.answer.id),
        user_message=_asked(exchange),
        assistant_message=CompatMessage.of(answer, exchange.pictures_of(answer)),
    )


@call_routes.post("/list-chats")
async def list_chats(
    api: Service,
    user: CurrentUser,
    given: Annotated[ListChatsQuery, NullIsEmpty, Body(default_factory=ListChatsQuery)],
) -> ChatList:
    """Your chats, the most recently active first, without their messages."""
    page = await api.list_chats(
        user, limit=given.limit, cursor=given.cursor, search=to_storable(given.q or "")
    )
    newest = await api.newest_message_ids(*page.chats)
    chats = [CompatChat.of(chat, newest.get(chat.id)) for chat in page.chats]
    return ChatList(chats=chats, next_cursor=page.next_cursor)


@call_routes.post("/check-chat", responses=NOT_FOUND_RESPONSES)
async def check_chat(api: Service, user: CurrentUser, given: ChatReference) -> NewestMessage:
    """The newest message's id, for a client to see whether what it holds is stale."""
    chat = await api.chat(user, chat_id_of(given.chat))
    newest = (await api.newest_message_ids(chat)).get(chat.id)
    return NewestMessage(chat=chat.id, message=newest, unreceived=await api.is_unfinished(newest))


@call_routes.post("/list-messages", response_model=MessageList, responses=NOT_FOUND_RESPONSES)
async def list_messages(context: Context, user: CurrentUser, given: ChatReference) -> Response:
    """All messages of a chat in order."""
    api = context.service
    chat = await api.chat(user, chat_id_of(given.chat))

    async def made() -> Response:
        pictures = await api.pictures.of_chat(chat.id)
        found = await api.messages(chat)
        messages = [CompatMessage.of(each, pictures.get(each.id, ())) for each in found]
        content = MessageList(chat=chat.id, messages=messages).model_dump_json()
        return Response(content, media_type="application/json")

    return LargeResponse(context.memory, user, await api.text_length(chat), made)
