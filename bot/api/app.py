"""The HTTP side as one application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp

from bot.api import compat, errors, rest, sockets
from bot.api.auth import PER_MINUTE, Gate
from bot.api.health import Check, operations
from bot.api.middleware import LARGEST_EVENT, BodyLimit
from bot.chats.api_service import ApiService
from bot.chats.feed import Feed
from bot.observability import Metrics
from storage.coordination import Coordination
from storage.tokens import Tokens

DESCRIPTION = """\
The conversations that people have in Slack, for programs. `/chats token` in Slack gives a token; it names one person in
one workspace: `Authorization: Bearer bob_…`. Errors are `{"success": false, "error", "message"}`. Every change comes on
the WebSocket `/ws`.
"""


@dataclass(frozen=True)
class Parts:
    """What the HTTP side is made of."""

    service: ApiService
    feed: Feed
    tokens: Tokens
    coordination: Coordination
    metrics: Metrics
    checks: Mapping[str, Check]
    """What must be well for this process to be ready."""
    slack: Mapping[str, ASGIApp] = field(default_factory=dict)
    """Applications for what Slack sends, by path: each speaks for itself and checks signatures."""
    per_minute: int = PER_MINUTE


def create_app(parts: Parts) -> ASGIApp:
    """The application: operations, Slack's requests, the API and its documentation at `/docs`."""
    app = FastAPI(
        title="Bobbin", version=version("bobbin"), description=DESCRIPTION, redoc_url=None
    )
    gate = Gate(parts.tokens, parts.coordination, parts.per_minute)
    app.include_router(rest.router(parts.service, parts.feed, gate))
    app.include_router(compat.v1(parts.service, parts.feed, gate))
    app.include_router(compat.calls(parts.service, gate))
    app.include_router(sockets.router(parts.service, parts.feed, gate))
    # In front: FastAPI makes its own routes while it looks for one, and Slack's first event would wait for all of them.
    app.router.routes[:0] = [
        *(Route(path, slack, methods=["GET", "POST"]) for path, slack in parts.slack.items()),
        *operations(parts.metrics, parts.checks),
    ]
    errors.install(app)
    return BodyLimit(app, dict.fromkeys(parts.slack, LARGEST_EVENT))
