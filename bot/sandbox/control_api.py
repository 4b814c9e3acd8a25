"""Fault injection over HTTP, `/sandbox/control/…`, for programs outside the sandbox's process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.events.socket_mode import SocketMode
from bot.sandbox.faults import Fault, Faults
from bot.sandbox.journal import Journal
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.user_actions.agent_sessions import AgentSessionActions

_FAULT_FIELDS = frozenset(field.name for field in fields(Fault)) - {"hits", "method", "mode"}


class ControlApi:
    """The control routes. Each answers `{ok: true, …}`, or 400 with `{ok: false, error}`."""

    def __init__(
        self,
        workspace: Workspace,
        faults: Faults,
        journal: Journal,
        sockets: SocketMode,
        agent_sessions: AgentSessionActions,
    ) -> None:
        self._workspace = workspace
        self._faults = faults
        self._journal = journal
        self._sockets = sockets
        self._agent_sessions = agent_sessions

    def routes(self) -> list[BaseRoute]:
        controls: dict[str, Callable[[Json], Awaitable[Json]]] = {
            "fail": self._fail,
            "clear": self._clear,
            "drop": self._drop,
            "disconnect": self._disconnect,
            "refuse": self._refuse,
            "copies": self._copies,
            "expire": self._expire,
            "vanish": self._delete_message,
            "stop": self._stop,
        }
        made: list[BaseRoute] = [
            Route(f"/sandbox/control/{name}", _endpoint(control), methods=["POST"])
            for name, control in controls.items()
        ]
        return [
            *made,
            Route("/sandbox/control", self._list),
            Route("/sandbox/control/calls", self._calls),
        ]

    async def _list(self, request: Request) -> Response:
        faults = self._faults
        waiting = [asdict(fault) for fault in faults.pending]
        sockets = len(self._sockets.connections)
        return JSONResponse(
            {"ok": True, "waiting": waiting, "copies": faults.copies, "sockets": sockets}
        )

    async def _calls(self, request: Request) -> Response:
        wanted = request.query_params.get("method")
        calls = [asdict(call) for call in self._journal.calls if wanted in (None, call.method)]
        return JSONResponse({"ok": True, "calls": calls, "refusals": len(self._journal.refusals)})

    async def _fail(self, body: Json) -> Json:
        details: dict[str, Any] = {
            name: value for name, value in body.items() if name in _FAULT_FIELDS
        }
        self._faults.add(str(body["method"]), body.get("mode", "error"), **details)
        return {}

    async def _clear(self, body: Json) -> Json:
        self._faults.clear()
        return {}

    async def _drop(self, body: Json) -> Json:
        await self._sockets.drop()
        return {}

    async def _disconnect(self, body: Json) -> Json:
        await self._sockets.disconnect(body.get("reason", "refresh_requested"))
        return {}

    async def _refuse(self, body: Json) -> Json:
        self._sockets.refuse(float(body["seconds"]))
        return {}

    async def _copies(self, body: Json) -> Json:
        self._faults.copies = int(body["copies"])
        return {}

    async def _expire(self, body: Json) -> Json:
        self._workspace.expire_stream(self._workspace.message(body["channel"], body["ts"]))
        return {}

    async def _delete_message(self, body: Json) -> Json:
        self._workspace.delete(self._workspace.message(body["channel"], body["ts"]))
        return {}

    async def _stop(self, body: Json) -> Json:
        await self._agent_sessions.stop(body["user"], body["channel"], body["thread_ts"])
        return {}


def _endpoint(
    control: Callable[[Json], Awaitable[Json]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await request.json() if await request.body() else {}
            return JSONResponse({"ok": True, **await control(body)})
        except (LookupError, ValueError, TypeError, SlackRefusal) as wrong:
            return JSONResponse({"ok": False, "error": f"{type(wrong).__name__}: {wrong}"}, 400)

    return endpoint
