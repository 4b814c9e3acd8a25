"""Every error that a client can meet, in one shape: `{"success": false, "error", "message"}`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from bot import strings
from bot.errors import (
    BobbinError,
    ChatBusy,
    ChatNotFound,
    InvalidInput,
    LimitReached,
    ModelNotAllowed,
    NothingToRetry,
    StorageError,
)
from bot.observability import get_logger

log = get_logger(__name__)

NAMES = {401: "Unauthorized", 404: "Not found", 405: "Method not allowed", 422: "Invalid request"}


class ApiError(Exception):
    """An answer other than success. `more`: further fields of the body."""

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
        self.status, self.headers, self.body = status, headers, body(error, message, **more)


def body(error: str, message: str, **more: Any) -> dict[str, Any]:
    return {"success": False, "error": error, "message": message, **more}


def unauthorized() -> ApiError:
    message = "A valid token is needed: Authorization: Bearer … (from /chats token in Slack)."
    return ApiError(401, NAMES[401], message, headers={"WWW-Authenticate": "Bearer"})


def too_many_requests(wait: float) -> ApiError:
    seconds = max(1, int(wait) + 1)
    message = f"Too many requests with this token. Try again in {seconds} s."
    return ApiError(
        429,
        "Too many requests",
        message,
        headers={"Retry-After": str(seconds)},
        rateLimitReached=False,
    )


def going_down() -> ApiError:
    message = "Bobbin is restarting. The answer will be in the conversation; look there again in a moment."
    return ApiError(503, "Unavailable", message)


def translated(error: BobbinError) -> ApiError:
    """What an error of the use cases means to a client."""
    match error:
        case ChatNotFound():
            return ApiError(404, NAMES[404], "There is no such thing here.")
        case LimitReached():
            short = strings.LIMIT_SHORT
            return ApiError(429, short, short, rateLimitReached=True, content=strings.LIMIT_REACHED)
        case NothingToRetry():
            return ApiError(409, "Nothing to retry", strings.NOTHING_TO_RETRY)
        case ChatBusy():
            return ApiError(409, "Conversation busy", strings.BUSY_NOW)
        case ModelNotAllowed():
            return ApiError(
                422, NAMES[422], "That model is not offered. GET /chat/models lists those that are."
            )
        case InvalidInput():
            return ApiError(422, NAMES[422], str(error))
        case StorageError():
            log.warning("storage_unreachable", reason=str(error))
            return ApiError(503, "Unavailable", strings.SAVE_FAILED, headers={"Retry-After": "2"})
    log.error("request_failed", exc_info=error)
    return ApiError(500, "Internal error", "Something went wrong inside.")


def install(app: FastAPI) -> None:
    """Every way in which a request can fail leads to the one shape."""

    async def on_api_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return respond(error)

    async def on_own_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, BobbinError)
        return respond(translated(error))

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return respond(ApiError(422, NAMES[422], _first_fault(error)))

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 400:  # a body that cannot even be read
            return respond(ApiError(422, NAMES[422], "The body must be JSON in UTF-8."))
        name = NAMES.get(error.status_code, "Error")
        headers = dict(error.headers) if error.headers else None
        return respond(ApiError(error.status_code, name, str(error.detail), headers=headers))

    async def on_anything(_: Request, error: Exception) -> Response:
        return respond(ApiError(500, "Internal error", "Something went wrong inside."))

    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(BobbinError, on_own_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_anything)


def respond(error: ApiError) -> JSONResponse:
    return JSONResponse(error.body, error.status, error.headers)


def _first_fault(error: RequestValidationError) -> str:
    """Where and what, without the input: it may be large, or no text at all."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"] if part != "body")
    text = f"{where}: {fault['msg']}" if where else str(fault["msg"])
    return text.encode("utf-8", "replace").decode()[:300]
