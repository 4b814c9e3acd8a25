"""The requests and responses under `/chat`: camelCase names, times in ISO 8601 and UTC, opaque ids.

The docstrings and descriptions of models are part of the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from operator import not_
from typing import Annotated, Any, Literal, Self, TypeVar

from fastapi import Body
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)
from pydantic.alias_generators import to_camel

from bot.api.answer_parts import ApprovalOut, PictureLink, SourceLink, StepOut
from bot.api.attached import Text, WithAttachments
from bot.api.values import format_time
from bot.domain import AnswerResult, Chat, Message, ModelInfo, Role
from bot.domain.model_options import Effort
from bot.domain.tool_calls import StoredCall
from storage.pictures import Picture

MAX_MESSAGE_LENGTH = 200_000
"""Characters of one message."""
MAX_KEY_LENGTH = 255


Content = Annotated[
    Text, Field(min_length=1, max_length=MAX_MESSAGE_LENGTH, description="What the person says.")
]
Title = Annotated[Text, Field(max_length=200)]
ModelName = Annotated[Text, Field(max_length=500, description="An id from `GET /chat/models`.")]
Time = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-01-31T12:00:00.000Z"])
]
M = TypeVar("M", bound=BaseModel)
Identifier = Annotated[str, Field(examples=["019c0f3e6a21b7d0c5e1f2a3b4c5d6e7"])]
RoleName = Literal["user", "assistant"]
StatusName = Literal["waiting", "running", "done", "stopped", "failed"]


def schema_name(name: str) -> Callable[[type[M]], type[M]]:
    """The name of a model's schema in the OpenAPI document: clients generate code from it, so these names never
    change.
    """

    def rename(model: type[M]) -> type[M]:
        model.__name__ = model.__qualname__ = name
        model.model_rebuild(force=True)
        return model

    return rename


class CamelModel(BaseModel):
    # No docstring: it would describe every model in the OpenAPI document that has none.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Problem(BaseModel):
    """Why a request did not succeed."""

    success: Literal[False] = False
    error: str = Field(examples=["Not found"])
    message: str = Field(examples=["There is no such thing here."])


@schema_name("TooMany")
class LimitProblem(Problem, CamelModel):
    """The conversation is full (`rateLimitReached` true, with `content` for the person), a budget or rate is used up
    (`budgetReached` true, with `Retry-After`), or the token is used too often (neither, with `Retry-After`)."""

    rate_limit_reached: bool
    budget_reached: bool | None = None
    content: str | None = None


class NewConversation(CamelModel):
    title: Title | None = None
    model: ModelName | None = None
    search: bool = Field(
        False,
        description="The web is searched for its answers, if the operator allows it and the model's provider can.",
    )
    reasoning: Effort | None = Field(
        None,
        description="How much the model is to reason, if it can be told; null: as its provider does by itself.",
    )
    continues: Text | None = Field(
        None,
        max_length=100,
        description="The id of a conversation that this one continues with a summary of it, with the same model. There "
        "is at most one; `title` and `model` are ignored.",
    )
    from_: Text | None = Field(
        None,
        alias="from",
        max_length=100,
        description="The id of a question, or of its answer: the conversation is repeated up to there, and `model` "
        "is asked. There is at most one for each model; `title` is ignored.",
    )


NullIsEmpty = BeforeValidator(lambda body: {} if body is None else body)
"""For bodies that may be missing: not `| None`, for which generated clients would have another type."""
OptionalConversation = Annotated[
    NewConversation, NullIsEmpty, Body(default_factory=NewConversation)
]


class ChatFields(BaseModel):
    id: Identifier
    title: str
    model: str
    created_at: Time
    updated_at: Time
    message_count: int


def chat_fields(chat: Chat) -> dict[str, Any]:
    """The values of `ChatFields`."""
    return {
        "id": chat.id,
        "title": chat.title,
        "model": str(chat.model),
        "created_at": format_time(chat.created_at),
        "updated_at": format_time(chat.updated_at),
        "message_count": chat.message_count,
    }


class MessageFields(BaseModel):
    id: Identifier
    role: RoleName
    content: str
    status: StatusName
    created_at: Time
    sources: list[SourceLink] = Field(
        [],
        description="Of an answer that names any: at most ten, in order.",
        exclude_if=lambda sources: not sources,
    )


def message_fields(message: Message) -> dict[str, Any]:
    """The values of `MessageFields`."""
    return {
        "id": message.id,
        "role": message.role.value,
        "content": message.text,
        "status": message.status.value,
        "created_at": format_time(message.created_at),
        "sources": [SourceLink(title=each.title, url=each.url) for each in message.sources],
    }


Images = Annotated[
    list[PictureLink],
    Field(
        description="The pictures in it: shared by a person, or made by the model.",
        exclude_if=lambda images: not images,
    ),
]


def image_links(message: Message, pictures: Sequence[Picture]) -> list[PictureLink]:
    return [PictureLink.of(message.chat_id, each) for each in pictures]


class Conversation(ChatFields, CamelModel):
    last_message_id: Identifier | None
    search: bool = Field(False, description="The web is searched.", exclude_if=not_)
    reasoning: Effort | None = Field(
        None, description="How much its model is to reason, where it was chosen.", exclude_if=not_
    )

    @classmethod
    def of(cls, chat: Chat, newest: str | None) -> Conversation:
        fields = chat_fields(chat) | {
            "last_message_id": newest,
            "search": chat.options.web_search,
            "reasoning": chat.options.effort,
        }
        if chat.continues is not None:
            return ContinuedConversation(
                **fields, continues=chat.continues, summary=chat.thread_context
            )
        if chat.branch_of is not None:
            return BranchedConversation(**fields, **{"from": chat.branch_of})
        return cls(**fields)


class ContinuedConversation(Conversation):
    """A conversation that continues another one."""

    continues: Identifier
    summary: str | None = Field(description="Of the other one; the model reads it too.")


class BranchedConversation(Conversation):
    """A conversation that asks another model a question of another conversation."""

    from_: Identifier = Field(alias="from", description="The id of the question.")


@schema_name("OneMessage")
class ConversationMessage(MessageFields, CamelModel):
    images: Images = Field([])

    @classmethod
    def of(cls, message: Message, pictures: Sequence[Picture] = (), **more: Any) -> Self:
        images = image_links(message, pictures)
        return cls(**message_fields(message), images=images, **more)


class UsageOut(CamelModel):
    """What the model call consumed."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="Those of the prompt that cost less.")
    cost: float | None = Field(None, description="US dollars, if the provider states it.")


class WrittenAnswer(ConversationMessage):
    """An answer, with what is known of the model call that wrote it."""

    steps: list[StepOut] = Field(
        [],
        description="Of an answer whose model thought, searched or called tools: in order.",
        exclude_if=lambda steps: not steps,
    )
    approvals: list[ApprovalOut] = Field(
        [],
        description="Of an answer that waits: calls of tools about which whoever asked has to decide.",
        exclude_if=lambda approvals: not approvals,
    )
    usage: UsageOut | None = None
    summarised: int | None = Field(
        None, description="Earlier messages of a long conversation that a summary stood for."
    )

    @classmethod
    def of_result(
        cls, message: Message, result: AnswerResult | None, pictures: Sequence[Picture] = ()
    ) -> WrittenAnswer:
        """The message, and what is known about the model call that wrote it."""
        if result is None:
            return cls.of(message, pictures)
        usage = None if result.usage is None else UsageOut(**asdict(result.usage))
        summarised = result.prompt.summarised or None
        steps = [StepOut.of(step) for step in result.steps]
        return cls.of(message, pictures, steps=steps, usage=usage, summarised=summarised)


class CreatedConversation(CamelModel):
    conversation: ContinuedConversation | BranchedConversation | Conversation


class Conversations(CamelModel):
    conversations: list[ContinuedConversation | BranchedConversation | Conversation]
    next_cursor: str | None


class History(CamelModel):
    conversation: ContinuedConversation | BranchedConversation | Conversation
    messages: list[WrittenAnswer | ConversationMessage]

    @classmethod
    def of(
        cls,
        chat: Chat,
        messages: Sequence[Message],
        results: Mapping[str, AnswerResult],
        pictures: Mapping[str, Sequence[Picture]],
        waiting: Sequence[StoredCall] = (),
    ) -> History:
        """`results`: how answers ended, by answer id. `pictures`: those of messages, by message id.

        `waiting`: tool calls that wait for a decision.
        """
        asked = [ApprovalOut.of(call) for call in waiting]
        return cls(
            conversation=Conversation.of(chat, messages[-1].id if messages else None),
            messages=[
                ConversationMessage.of(one, pictures.get(one.id, ()))
                if one.role is Role.USER
                else WrittenAnswer.of_result(
                    one, results.get(one.id), pictures.get(one.id, ())
                ).model_copy(update={"approvals": [it for it in asked if it.message == one.id]})
                for one in messages
            ],
        )


class NewMessageIn(WithAttachments):
    model_config = ConfigDict(json_schema_extra={"examples": [{"content": "What is a bobbin?"}]})

    content: Content


@schema_name("Answered")
class AnsweredMessage(CamelModel):
    """A message and its answer."""

    user_message: ConversationMessage
    assistant_message: WrittenAnswer
    rate_limit_reached: Literal[False] = False
    conversation_title: str | None = Field(
        None, description="With the first exchange, once the model has written it."
    )


@schema_name("Unanswered")
class FailedMessage(AnsweredMessage):
    """The model failed: the message is stored, its answer is `failed` and can be retried."""

    success: Literal[False] = False
    error: str = Field(examples=["Model failed"])
    message: str


class Model(CamelModel):
    id: str
    name: str
    provider: str
    context: int | None = None
    vision: bool
    reasoning: list[Effort] = Field(
        [],
        description="What `reasoning` of a new conversation may be, for models that can be told how much to reason.",
        exclude_if=not_,
    )

    @classmethod
    def of(cls, info: ModelInfo) -> Model:
        return cls(
            id=str(info.ref),
            name=info.label,
            provider=info.provider_label,
            context=info.context,
            vision=info.vision,
            reasoning=list(Effort) if info.takes_effort else [],
        )


class Models(CamelModel):
    models: list[Model]
    default: str | None = Field(description="What a new conversation gets when it names none.")
