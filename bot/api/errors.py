"""Turns every failure into one kind of response: `{"success": false, "error": …, "message": …}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from bot import english_strings, strings
from bot.access.rules import Verdict
from bot.chats.feed_events import Denial
from bot.errors import (
    AlreadyDecided,
    BobbinError,
    ChatBusy,
    ChatNotFound,
    InvalidInput,
    LimitReached,
    ModelNotAllowed,
    NoModelOffered,
    NothingToRetry,
    NotTheAsker,
    PlaceNotAllowed,
    SearchTooLong,
    StorageError,
)
from bot.observability import get_logger
from bot.usage.limits import BudgetReached
from bot.usage.sentences import budget_reached

log = get_logger(__name__)

_ERROR_NAMES = {401: "Unauthorized", 404: "Not found", 405: "Method not allowed"}
"""For errors of the framework."""


_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class ApiError(Exception):
    """A response other than success. `more`: further fields of its body."""

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ):
        super().__init__(error)
        self.status = status
        self.headers = headers
        self.body = error_body(error, message, **more)


def error_body(error: str, message: str, **more: Any) -> dict[str, Any]:
    return {"success": False, "error": error, "message": message, **more}


def unauthorized() -> ApiError:
    message = "A valid token is needed: Authorization: Bearer … (from /chats token in Slack)."
    return ApiError(401, "Unauthorized", message, headers={"WWW-Authenticate": "Bearer"})


def not_allowed(verdict: Verdict) -> ApiError:
    """The token is valid, but its user may not use Bobbin."""
    text = strings.NOT_ALLOWED[verdict]
    if verdict is Verdict.UNKNOWN:
        return ApiError(503, "Unavailable", text, headers={"Retry-After": "5"})
    return ApiError(403, "Not allowed", text)


def denied(denial: Denial) -> ApiError:
    """The response to a client that may no longer subscribe."""
    if denial is Denial.CHAT:
        return from_use_case(ChatNotFound())
    return unauthorized() if denial is Denial.TOKEN else not_allowed(Verdict.USER_NOT_ALLOWED)


def too_many_requests(wait: float) -> ApiError:
    seconds = max(1, int(wait) + 1)
    message = f"Too many requests. Try again in {seconds} s."
    return ApiError(
        429,
        "Too many requests",
        message,
        headers={"Retry-After": str(seconds)},
        rateLimitReached=False,
    )


def _budget_reached(error: BudgetReached) -> ApiError:
    return ApiError(
        429,
        "Budget reached",
        budget_reached(error),
        headers={"Retry-After": str(error.seconds_to_wait())},
        budgetReached=True,
        rateLimitReached=False,
    )


def _conflict(error: ChatBusy) -> ApiError:
    match error:
        case NothingToRetry():
            return ApiError(409, "Nothing to retry", strings.NOTHING_TO_RETRY)
        case AlreadyDecided():
            return ApiError(409, "Already decided", strings.APPROVAL_DECIDED)
    return ApiError(409, "Conversation busy", strings.ANSWER_IN_PROGRESS)


def invalid(message: str) -> ApiError:
    return ApiError(422, "Invalid request", message)


def shutting_down() -> ApiError:
    message = "Bobbin is restarting. The answer will be in the conversation; look there again in a moment."
    return ApiError(503, "Unavailable", message)


def from_use_case(error: BobbinError) -> ApiError:
    """The response for an error of the use cases."""
    match error:
        case ChatNotFound():
            return ApiError(404, "Not found", "There is no such thing here.")
        case PlaceNotAllowed():
            return not_allowed(Verdict.CHANNEL_NOT_ALLOWED)
        case LimitReached():
            short = english_strings.LIMIT_SHORT
            return ApiError(
                429, short, short, rateLimitReached=True, content=english_strings.LIMIT_REACHED
            )
        case BudgetReached():
            return _budget_reached(error)
        case ChatBusy():
            return _conflict(error)
        case NotTheAsker():
            return ApiError(403, "Not yours to decide", english_strings.APPROVAL_NOT_YOURS)
        case ModelNotAllowed():
            return _of_model(error)
        case InvalidInput():
            return invalid(str(error))
        case StorageError():
            return _of_storage(error)
    log.error("request_failed", exc_info=error)
    return ApiError(500, "Internal error", "Something went wrong inside.")


def _of_model(error: ModelNotAllowed) -> ApiError:
    if isinstance(error, NoModelOffered):
        wait = {"Retry-After": "10"}
        return ApiError(503, "Unavailable", english_strings.NO_MODELS, headers=wait)
    return invalid("That model is not offered. GET /chat/models lists those that are.")


def _of_storage(error: StorageError) -> ApiError:
    if isinstance(error, SearchTooLong):
        log.warning("search_too_long", reason=str(error))
        return ApiError(422, "Search too long", strings.SEARCH_TOO_LONG)
    log.warning("storage_unreachable", reason=str(error))
    return ApiError(503, "Unavailable", strings.SAVE_FAILED, headers={"Retry-After": "2"})


def install_error_handlers(app: FastAPI) -> None:
    """Turns every failure of a request into a response of this form."""

    async def on_api_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return to_response(error)

    async def on_own_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, BobbinError)
        return to_response(from_use_case(error))

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return to_response(invalid(_wrong_content_type(request, error) or _first_fault(error)))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 400:  # FastAPI could not parse the body
            return to_response(invalid("The body must be JSON in UTF-8."))
        name = _ERROR_NAMES.get(error.status_code, "Error")
        headers = dict(error.headers) if error.headers else None
        if error.status_code == 405:
            headers = {"Allow": ", ".join(_allowed_methods(request))}
        return to_response(ApiError(error.status_code, name, str(error.detail), headers=headers))

    async def on_anything(_: Request, error: Exception) -> Response:
        return to_response(ApiError(500, "Internal error", "Something went wrong inside."))

    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(BobbinError, on_own_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_anything)


def to_response(error: ApiError) -> JSONResponse:
    return JSONResponse(error.body, error.status, error.headers)


def _allowed_methods(request: Request) -> list[str]:
    """What may be done at this address. The framework names only the methods of the first route."""
    allowed = [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.router.routes
        )
    ]
    return [*allowed, "HEAD"] if "GET" in allowed else allowed


def _wrong_content_type(request: Request, error: RequestValidationError) -> str | None:
    """The message for a body that was not even read, because its content type is not JSON."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = given == "application/json" or given.endswith("+json")
    if is_json or error.errors()[0]["loc"] != ("body",):
        return None
    return "Send the header Content-Type: application/json with the JSON in the body."


def _first_fault(error: RequestValidationError) -> str:
    """Where the first fault is and what it is, without the input, which may be large or not valid text."""
    fault = error.errors()[0]
    if fault["type"] == "json_invalid":
        return f"The body is not JSON, from character {fault['loc'][-1] + 1} on."
    place = [str(part) for part in fault["loc"] if part != "body"]
    text = ": ".join([*filter(None, [".".join(place)]), _words(fault)])
    return text.encode("utf-8", "replace").decode()[:300]


def _words(fault: Mapping[str, Any]) -> str:
    """Describes the fault in terms of JSON; pydantic's own messages are about Python."""
    details = fault.get("ctx", {})
    if fault["type"] == "model_attributes_type":
        return "Input should be a JSON object"
    if details.get("field_type") == "Value":  # a text that was checked before its length was
        bound, limit = (
            ("most", "max_length") if fault["type"] == "too_long" else ("least", "min_length")
        )
        unit = "character" if details[limit] == 1 else "characters"
        return f"Input should have at {bound} {details[limit]:,} {unit}"
    return str(fault["msg"])
