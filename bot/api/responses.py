"""The responses that several routes share: their OpenAPI descriptions, and a message with its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from bot import sentences
from bot.api.bodies import make_room
from bot.api.errors import ApiError
from bot.api.schemas import ConversationMessage, FailedMessage, LimitProblem, Problem, WrittenAnswer
from bot.api.waiting import AnswerWaiter
from bot.chats.api_service import ApiService, Exchange
from bot.domain import Status, User
from bot.runtime.memory import MemoryBudget

_LARGE = 100_000
"""Characters from which on a response counts in the memory budget."""
_TEXT_COST = 6
"""Bytes for each character: as read, as JSON, and while being sent."""
Responses = dict[int | str, dict[str, Any]]
COMMON_RESPONSES: Responses = {
    401: {"model": Problem, "description": "No valid token."},
    403: {
        "model": Problem,
        "description": "The operator's rules do not allow you, or the conversation's channel.",
    },
    422: {
        "model": Problem,
        "description": "The request is invalid; `message` says why.",
    },
    429: {"model": LimitProblem, "description": "You ask too often (see `Retry-After`)."},
    503: {
        "model": Problem,
        "description": "The database cannot be reached, or Bobbin is restarting.",
    },
}
BODY_RESPONSES: Responses = {
    408: {"model": Problem, "description": "The body did not come in time."},
    413: {"model": Problem, "description": "The body is too large."},
}
NOT_FOUND_RESPONSES: Responses = {
    404: {"model": Problem, "description": "No such conversation or message of yours."}
}
ANSWER_RESPONSES: Responses = {
    **BODY_RESPONSES,
    **NOT_FOUND_RESPONSES,
    409: {"model": Problem, "description": "An answer is being written in this conversation."},
    429: {
        "model": LimitProblem,
        "description": "The conversation is full, or you ask too often.",
    },
    502: {
        "model": FailedMessage,
        "description": "The model failed. The message is stored, its answer can be retried.",
    },
}


class LateResponse(Response):
    """JSON that is awaited only when the response is sent: by then the request's body no longer takes memory."""

    def __init__(self, body: Callable[[], Awaitable[dict[str, Any]]], status_code: int) -> None:
        super().__init__(status_code=status_code)
        self._make = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises what making the body raises, before anything is sent."""
        await JSONResponse(await self._make(), self.status_code)(scope, receive, send)


class LargeResponse(Response):
    """A response that takes memory while it is made and sent, as soon as there is room for it."""

    def __init__(
        self, memory: MemoryBudget, user: User, size: int, make: Callable[[], Awaitable[Response]]
    ) -> None:
        """`size`: characters of its texts."""
        super().__init__()
        self._memory = memory
        self._name = f"{user.team} {user.id}"
        self._cost = _TEXT_COST * size if size > _LARGE else 0
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises what making it raises, and ApiError (503) if there is no room."""
        with self._memory.reserve(self._name) as reservation:
            await make_room(reservation, self._cost)
            response = await self._make()
            await response(scope, receive, send)


async def answered_body(
    api: ApiService, waiter: AnswerWaiter, exchange: Exchange
) -> dict[str, Any]:
    """The message with its ended answer, as a body. Raises ApiError (502) if the model failed."""
    body = exchange_body(exchange) | {"rateLimitReached": False}
    if exchange.answer.status is Status.FAILED:
        raise ApiError(502, "Model failed", failure_sentence(api, exchange), **body)
    title = await waiter.title(exchange)
    return body | ({"conversationTitle": title} if title else {})


def exchange_body(exchange: Exchange) -> dict[str, Any]:
    return {
        "userMessage": ConversationMessage.of(
            exchange.question, exchange.pictures_of(exchange.question)
        ).model_dump(by_alias=True),
        "assistantMessage": WrittenAnswer.of_result(
            exchange.answer, exchange.result, exchange.pictures_of(exchange.answer)
        ).model_dump(by_alias=True),
    }


def failure_sentence(api: ApiService, exchange: Exchange) -> str:
    """Why the model failed, in a sentence that says what to do, followed by the provider's own reason."""
    detail = exchange.result.detail if exchange.result else None
    return sentences.failure(exchange.answer.error, api.models.label(exchange.chat.model), detail)
