"""What every route is given: the use cases behind the API, and the user whose token came with the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials

from bot.api.auth import Authenticator, bearer
from bot.api.upload_limits import UploadLimits
from bot.chats.api_service import ApiService
from bot.chats.feed import Feed
from bot.chats.usage import UsageService
from bot.domain import User
from bot.runtime.memory import MemoryBudget, MemoryReservation


@dataclass(frozen=True)
class ApiContext:
    """What the routes of one application use; it is in the application's `state.context`."""

    service: ApiService
    feed: Feed
    usage: UsageService
    authenticator: Authenticator
    memory: MemoryBudget
    keepalive_interval: float
    """Seconds between two comments in an idle event stream."""
    upload_limits: UploadLimits


def context_of(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


def service_of(request: Request) -> ApiService:
    return context_of(request).service


def user_of(request: Request, _: HTTPAuthorizationCredentials | None = Depends(bearer)) -> User:
    """The token's user: `bot.api.bodies.GuardedRoute` has checked the token before reading the body."""
    user: User = request.state.user
    return user


def reservation_of(request: Request) -> MemoryReservation:
    """The memory that the request takes."""
    reservation: MemoryReservation = request.state.reservation
    return reservation


Context = Annotated[ApiContext, Depends(context_of)]
Service = Annotated[ApiService, Depends(service_of)]
CurrentUser = Annotated[User, Depends(user_of)]
Reservation = Annotated[MemoryReservation, Depends(reservation_of)]
