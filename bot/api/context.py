"""What every route is given: the use cases behind the API, and the user whose token came with the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials

from bot.api.auth import Authenticator, bearer
from bot.chats.api_service import ApiService
from bot.chats.feed import Feed
from bot.chats.usage import UsageService
from bot.domain import User


@dataclass(frozen=True)
class ApiContext:
    """What the routes of one application use; it stands in the application's `state.context`."""

    service: ApiService
    feed: Feed
    usage: UsageService
    authenticator: Authenticator
    keepalive_interval: float
    """Seconds between two comments in an idle event stream."""


def context_of(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


def service_of(request: Request) -> ApiService:
    return context_of(request).service


async def user_of(
    request: Request, credentials: HTTPAuthorizationCredentials | None = Depends(bearer)
) -> User:
    """Raises ApiError: 401 without a valid token, 429 when it is used too often."""
    token = credentials.credentials if credentials else None
    return await context_of(request).authenticator.authenticate(token)


Context = Annotated[ApiContext, Depends(context_of)]
Service = Annotated[ApiService, Depends(service_of)]
CurrentUser = Annotated[User, Depends(user_of)]
