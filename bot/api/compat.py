"""The same conversations in the words of other clients: `/api/v1/…`, and `/new-chat` with its kin for the socket."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict, Field

from bot.api.auth import Gate
from bot.api.errors import ApiError
from bot.api.rest import COMMON, EXCHANGE, MISSING, WITH_BODY, failure
from bot.api.schemas import (
    LONGEST_KEY,
    Content,
    Enclosures,
    Identifier,
    ModelName,
    NewConversation,
    RoleName,
    StatusName,
    Time,
    Title,
    iso,
    storable,
)
from bot.api.waiting import waiting
from bot.chats.api_service import ApiMessage, ApiService, MessagePair, as_waiting
from bot.chats.feed import Feed
from bot.domain import Chat, Message, Role, Status, User
from storage.chats import StoredMessage

MOST_CHATS = 1_000


class ChatShape(BaseModel):
    id: Identifier
    title: str
    model: str
    created_at: Time
    updated_at: Time
    message_count: int
    last_message: Identifier | None = None

    @classmethod
    def of(cls, chat: Chat, newest: str | None) -> ChatShape:
        return cls(
            id=chat.id,
            title=chat.title,
            model=str(chat.model),
            created_at=iso(chat.created_at),
            updated_at=iso(chat.updated_at),
            message_count=chat.message_count,
            last_message=newest,
        )


class MessageShape(BaseModel):
    id: Identifier
    chat: Identifier
    role: RoleName
    content: str
    status: StatusName
    unreceived: bool = Field(
        description="The answer is still being written; its tokens follow on the socket."
    )
    created_at: Time

    @classmethod
    def of(cls, message: Message) -> MessageShape:
        return cls(
            id=message.id,
            chat=message.chat_id,
            role=message.role.value,
            content=message.text,
            status=message.status.value,
            unreceived=message.role is Role.ASSISTANT and not message.status.ended,
            created_at=iso(message.created_at),
        )


class V1Conversation(BaseModel):
    conversation_id: Identifier
    title: str


class V1Message(Enclosures):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"conversation_id": "019c0f3e6a21b7d0c5e1f2a3b4c5d6e7", "message": "Hello"}
            ]
        }
    )

    conversation_id: str
    message: Content


class V1Answered(BaseModel):
    user_message: MessageShape
    assistant_message: MessageShape
    conversation_title: Title | None = None


class V1Unanswered(V1Answered):
    success: Literal[False] = False
    error: str
    message: str


class ChatId(BaseModel):
    id: str


class NewChat(Enclosures):
    initial_message: Content
    model: ModelName | None = None


class ChatMessage(Enclosures):
    chat: str | ChatId
    message: Content


class OfChat(BaseModel):
    chat: str | ChatId


class Stored(BaseModel):
    """What was stored: the message, and the empty answer whose tokens follow on `/ws`."""

    chat: ChatShape
    user_message: MessageShape
    assistant_message: MessageShape


class ListChats(BaseModel):
    limit: int = Field(MOST_CHATS, ge=1, le=MOST_CHATS)
    cursor: str | None = Field(None, max_length=500)
    q: str | None = Field(None, max_length=500)


class ChatList(BaseModel):
    chats: list[ChatShape]
    next_cursor: str | None


class Newest(BaseModel):
    chat: Identifier
    message: Identifier | None = Field(description="Id of the newest message.")
    unreceived: bool = Field(
        description="Whether that message is an answer that is still being written."
    )


class MessageList(BaseModel):
    chat: Identifier
    messages: list[MessageShape]


def named(chat: str | ChatId) -> str:
    """Clients may hand back the chat's id, or the chat that they were given."""
    return chat if isinstance(chat, str) else chat.id


def v1(api: ApiService, feed: Feed, gate: Gate) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["v1"], responses={**COMMON, **WITH_BODY})

    @routes.post("/conversations", status_code=201)
    async def create(
        given: NewConversation | None = None, user: User = Depends(gate)
    ) -> V1Conversation:
        """A new conversation, ready for its first message."""
        given = given or NewConversation()
        chat = await api.create(user, given.title, given.model)
        return V1Conversation(conversation_id=chat.id, title=chat.title)

    @routes.post(
        "/chat",
        response_model_exclude_none=True,
        responses={**EXCHANGE, 502: {"model": V1Unanswered}},
    )
    async def chat(
        given: V1Message,
        idempotency_key: str | None = Header(None, min_length=1, max_length=LONGEST_KEY),
        user: User = Depends(gate),
    ) -> V1Answered:
        """Says something, and answers when the model's answer is whole."""
        said = await api.send(
            user, given.conversation_id, given.post(given.message, idempotency_key)
        )
        async with waiting(api, feed, user, said.chat, said.answer) as wait:
            exchange = await wait.whole()
            pair = {
                "user_message": MessageShape.of(exchange.question),
                "assistant_message": MessageShape.of(exchange.answer),
            }
            if exchange.answer.status is Status.FAILED:
                raise _failed(api, exchange, pair)
            return V1Answered(**pair, conversation_title=await wait.title(exchange))

    return routes


def _failed(api: ApiService, exchange: MessagePair, pair: dict[str, MessageShape]) -> ApiError:
    shown = {name: shape.model_dump() for name, shape in pair.items()}
    return ApiError(502, "Model failed", failure(api, exchange), headers=None, **shown)


def calls(api: ApiService, gate: Gate) -> APIRouter:
    routes = APIRouter(tags=["calls"], responses={**COMMON, **WITH_BODY})

    async def stored(said: StoredMessage) -> Stored:
        exchange = await api.pair_of(said.answer)
        answer = exchange.answer if said.duplicate else as_waiting(exchange.answer)
        return Stored(
            chat=ChatShape.of(exchange.chat, exchange.answer.id),
            user_message=MessageShape.of(exchange.question),
            assistant_message=MessageShape.of(answer),
        )

    @routes.post("/new-chat")
    async def new_chat(given: NewChat, user: User = Depends(gate)) -> Stored:
        """A new chat with its first message. Returns at once; the answer's tokens follow on `/ws`."""
        return await stored(await api.start(user, given.post(given.initial_message), given.model))

    @routes.post("/chat-message", responses={**MISSING, 409: EXCHANGE[409], 429: EXCHANGE[429]})
    async def chat_message(
        given: ChatMessage,
        idempotency_key: str | None = Header(None, min_length=1, max_length=LONGEST_KEY),
        user: User = Depends(gate),
    ) -> Stored:
        """The next message of a chat. Returns at once; the answer's tokens follow on `/ws`."""
        post: ApiMessage = given.post(given.message, idempotency_key)
        return await stored(await api.send(user, named(given.chat), post))

    @routes.post("/list-chats")
    async def list_chats(given: ListChats | None = None, user: User = Depends(gate)) -> ChatList:
        """Your chats, the most recently active first, without their messages."""
        given = given or ListChats()
        page = await api.list_chats(
            user, limit=given.limit, cursor=given.cursor, search=storable(given.q or "")
        )
        newest = await api.newest_message_ids(*page.chats)
        found = [ChatShape.of(chat, newest.get(chat.id)) for chat in page.chats]
        return ChatList(chats=found, next_cursor=page.next_cursor)

    @routes.post("/check-chat", responses=MISSING)
    async def check_chat(given: OfChat, user: User = Depends(gate)) -> Newest:
        """The newest message's id, for a client to see whether what it holds is stale."""
        chat = await api.chat(user, named(given.chat))
        newest = (await api.newest_message_ids(chat)).get(chat.id)
        return Newest(chat=chat.id, message=newest, unreceived=await api.is_unfinished(newest))

    @routes.post("/list-messages", responses=MISSING)
    async def list_messages(given: OfChat, user: User = Depends(gate)) -> MessageList:
        """All messages of a chat in order."""
        chat = await api.chat(user, named(given.chat))
        return MessageList(
            chat=chat.id, messages=[MessageShape.of(one) for one in await api.messages(chat)]
        )

    return routes
