"""The responses that several routes share: how OpenAPI describes them, and a message with its answer."""

from __future__ import annotations

from typing import Any

from bot import strings
from bot.api.errors import ApiError
from bot.api.schemas import ConversationMessage, FailedMessage, LimitProblem, Problem, WrittenAnswer
from bot.api.waiting import AnswerWaiter
from bot.chats.api_service import ApiService, Exchange
from bot.domain import Status

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


async def answered_body(
    api: ApiService, waiter: AnswerWaiter, exchange: Exchange
) -> dict[str, Any]:
    """The message with its answer, which has ended, as a body. Raises ApiError (502) when the model failed."""
    body = exchange_body(exchange) | {"rateLimitReached": False}
    if exchange.answer.status is Status.FAILED:
        raise ApiError(502, "Model failed", failure_sentence(api, exchange), **body)
    title = await waiter.title(exchange)
    return body | ({"conversationTitle": title} if title else {})


def exchange_body(exchange: Exchange) -> dict[str, Any]:
    return {
        "userMessage": ConversationMessage.of(exchange.question).model_dump(by_alias=True),
        "assistantMessage": WrittenAnswer.of_result(exchange.answer, exchange.result).model_dump(
            by_alias=True
        ),
    }


def failure_sentence(api: ApiService, exchange: Exchange) -> str:
    """Why the model failed, in a sentence that says what to do, and the provider's own reason."""
    detail = exchange.result.detail if exchange.result else None
    return strings.failure(exchange.answer.error, api.models.label(exchange.chat.model), detail)
