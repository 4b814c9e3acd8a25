"""Builds the ASGI application that serves everything over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp

from bot.access.access_control import AccessControl
from bot.api import compat, errors, rest, sockets, usage
from bot.api.auth import MAX_REQUESTS_PER_MINUTE, Authenticator
from bot.api.context import ApiContext
from bot.api.docs_page import docs_routes
from bot.api.health import Check, operator_routes
from bot.api.middleware import MAX_SLACK_BODY_BYTES, BodyLimit, PathNormalizer
from bot.api.upload_limits import UploadLimits
from bot.chats.api_service import ApiService
from bot.chats.api_tokens import ApiTokens
from bot.chats.feed import Feed
from bot.chats.usage import UsageService
from bot.observability import Metrics
from bot.runtime.memory import MemoryBudget
from bot.timing import Timing
from storage.coordination import Coordination

DESCRIPTION = """\
The conversations that people have in Slack, for programs. `/chats token` in Slack gives a token; it names one person in
one workspace: `Authorization: Bearer bob_…`. Errors are `{"success": false, "error", "message"}`. Every change comes on
the WebSocket `/ws`.
"""


@dataclass(frozen=True)
class ApiParts:
    """What the HTTP side needs."""

    service: ApiService
    feed: Feed
    usage: UsageService
    tokens: ApiTokens
    access_control: AccessControl
    """The operator's rules about who may do what."""
    coordination: Coordination
    metrics: Metrics
    checks: Mapping[str, Check]
    """What must work for this process to be ready."""
    memory: MemoryBudget
    timing: Timing
    slack: Mapping[str, ASGIApp] = field(default_factory=dict)
    """Applications for Slack's requests, by path. Each checks signatures itself."""
    requests_per_minute: int = MAX_REQUESTS_PER_MINUTE


def create_app(parts: ApiParts) -> ASGIApp:
    """The application: health and metrics, Slack's requests, the API, and its documentation at `/docs`."""
    return PathNormalizer(routed_app(parts))


def routed_app(parts: ApiParts) -> FastAPI:
    """All routes."""
    app = FastAPI(
        title="Bobbin",
        version=version("bobbin"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # see `PathNormalizer`
    )
    authenticator = Authenticator(
        tokens=parts.tokens,
        access_control=parts.access_control,
        service=parts.service,
        coordination=parts.coordination,
        requests_per_minute=parts.requests_per_minute,
        recheck_interval=parts.timing.token_recheck_interval,
    )
    upload_limits = UploadLimits(parts.timing.http_body_gap_timeout)
    app.state.context = ApiContext(
        service=parts.service,
        feed=parts.feed,
        usage=parts.usage,
        authenticator=authenticator,
        memory=parts.memory,
        keepalive_interval=parts.timing.sse_keepalive_interval,
        upload_limits=upload_limits,
    )
    for routes in (rest.routes, usage.routes, compat.v1_routes, compat.call_routes):
        app.include_router(routes)
    app.include_router(
        sockets.socket_router(parts.service, parts.feed, authenticator, parts.memory)
    )
    # First: FastAPI builds its own routes while it looks for a match, and Slack's first event would wait for that.
    app.router.routes[:0] = [
        *(
            _slack_route(path, slack, parts.memory, upload_limits)
            for path, slack in parts.slack.items()
        ),
        *operator_routes(parts.metrics, parts.checks),
        *docs_routes(),
    ]
    errors.install_error_handlers(app)
    return app


def _slack_route(
    path: str, app: ASGIApp, memory: MemoryBudget, upload_limits: UploadLimits
) -> Route:
    limited = BodyLimit(
        app,
        memory=memory,
        upload_limits=upload_limits,
        most=MAX_SLACK_BODY_BYTES,
    )
    return Route(path, limited, methods=["GET", "POST"])
