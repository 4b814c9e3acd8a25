"""The Web API's HTTP endpoint: authentication, rate limits, scopes, faults and journal for every method."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from bot.sandbox.errors import RateLimited, SlackRefusal
from bot.sandbox.faults import Fault, Faults
from bot.sandbox.journal import CallRecord, Journal, public_arguments
from bot.sandbox.limits import RateLimiter
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Arguments, Call, Method

_FORMS = frozenset({"application/x-www-form-urlencoded", "text/plain"})
"""Possible bodies that are neither JSON nor multipart."""
_CHANNEL_ARGUMENTS = {"chat.postMessage": "channel", "assistant.threads.setStatus": "channel_id"}


class ConnectionAborted(Exception):
    """The connection must be closed without a response."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The app's credentials: the bot token for methods, the app-level token for Socket Mode."""

    bot: str
    app: str


class WebApi:
    """Answers `/api/<method>`. A plain ASGI application, because it is the sandbox's hot path."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        methods: Mapping[str, Method],
        scopes: frozenset[str],
        tokens: Tokens,
        faults: Faults,
        journal: Journal,
        abort_connection: Callable[[Scope, Receive], Awaitable[None]],
    ) -> None:
        self.workspace = workspace
        self.methods = methods
        self.scopes = scopes
        self.tokens = tokens
        self.faults = faults
        self.journal = journal
        self.rate_limiter = RateLimiter(workspace.limits, workspace.clock)
        self._granted = ",".join(sorted(scopes))
        self._abort_connection = abort_connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        method = scope["path"].rsplit("/", 1)[-1]
        given = await _read(request)
        record = CallRecord(
            self.journal.new_id(), self.workspace.clock(), method, public_arguments(given.values)
        )
        try:
            status, headers, body = await self._handle(method, given, record)
        except ConnectionAborted:
            status, headers, body = 0, {}, b""
        record.status = status
        record.duration = self.workspace.clock() - record.at
        self.journal.record_call(record)
        if status:
            await _send(send, status, {"x-oauth-scopes": self._granted, **headers}, body)
        else:
            await self._abort_connection(scope, receive)

    async def _handle(
        self, method: str, given: _Given, record: CallRecord
    ) -> tuple[int, dict[str, str], bytes]:
        fault = self.faults.next_fault(method, given.values)
        if fault is not None and fault.mode not in ("lost", "slow") and not fault.after_effect:
            return await self._apply_fault(fault, record)
        await self._delay(method, fault)
        headers: dict[str, str] = {}
        status = 200
        try:
            given.check()
            answer = self.run(method, given.values, given.token)
        except RateLimited as refusal:
            answer, status, headers = (
                refusal.answer(),
                429,
                {"retry-after": str(refusal.retry_after)},
            )
        except SlackRefusal as refusal:
            answer = refusal.answer()
        record.result = answer
        record.error = answer.get("error")
        if fault is not None and fault.mode == "slow" and fault.after_effect:
            await self.faults.hang(fault.seconds)
        elif fault is not None and (fault.mode == "lost" or fault.after_effect):
            return await self._apply_fault(fault, record)
        return status, headers, json.dumps(answer).encode()

    async def _delay(self, method: str, fault: Fault | None) -> None:
        latency = self.workspace.limits.latencies.get(method, self.workspace.limits.latency)
        if latency > 0:
            await asyncio.sleep(latency)
        if fault is not None and fault.mode == "slow" and not fault.after_effect:
            await self.faults.hang(fault.seconds)

    async def _apply_fault(
        self, fault: Fault, record: CallRecord
    ) -> tuple[int, dict[str, str], bytes]:
        record.injected = True
        record.error = {"error": fault.error, "ratelimited": "ratelimited"}.get(
            fault.mode, f"fault:{fault.mode}"
        )
        if fault.mode == "error":
            record.result = {"ok": False, "error": fault.error}
            return 200, {}, json.dumps(record.result).encode()
        if fault.mode == "ratelimited":
            body = b'{"ok": false, "error": "ratelimited"}'
            return 429, {"retry-after": str(fault.retry_after)}, body
        if fault.mode == "status":
            return fault.status, {"content-type": "text/plain"}, b"upstream error"
        if fault.mode == "garbage":
            return 200, {"content-type": "text/html"}, b"<!doctype html><title>Slack</title>"
        await self.faults.hang(fault.seconds if fault.mode == "hang" else 0.0)
        raise ConnectionAborted

    def run(self, name: str, values: Json, token: str) -> Json:
        """Runs a method as Slack would; SlackRefusal when it refuses."""
        method = self.methods.get(name)
        if method is None:
            raise SlackRefusal("unknown_method", req_method=name)
        self._authenticate(method, token)
        self.rate_limiter.count_call(name, str(values.get(_CHANNEL_ARGUMENTS.get(name, ""), "")))
        call = Call(name, Arguments(values), self.workspace, self.scopes)
        if method.scopes:
            call.needs(*method.scopes)
        return {"ok": True, **method.run(call)}

    def _authenticate(self, method: Method, token: str) -> None:
        if method.caller == "anyone":
            return
        if not token:
            raise SlackRefusal("not_authed")
        wanted, other = self.tokens.bot, self.tokens.app
        if method.caller == "app":
            wanted, other = other, wanted
        if secrets.compare_digest(token, wanted):
            return
        raise SlackRefusal(
            "not_allowed_token_type" if secrets.compare_digest(token, other) else "invalid_auth"
        )


@dataclass(frozen=True, slots=True)
class _Given:
    """The arguments of query and body together, and the token. `problem`: why the body could not be read."""

    values: Json
    token: str
    problem: str = ""

    def check(self) -> None:
        """Raises SlackRefusal if the body could not be read."""
        if self.problem:
            raise SlackRefusal(self.problem)


async def _read(request: Request) -> _Given:
    values: Json = dict(request.query_params)
    problem = ""
    try:
        values.update(await _body(request))
    except SlackRefusal as refusal:
        problem = refusal.error
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    token = credentials.strip() if scheme.lower() == "bearer" else str(values.get("token") or "")
    return _Given(values, token, problem)


async def _body(request: Request) -> Json:
    """The arguments in the body. Raises SlackRefusal with Slack's name for what is wrong with it."""
    if request.method != "POST":
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _multipart(request)
    body = await request.body()
    if kind == "application/json":
        return _json_object(body)
    if body and kind not in _FORMS:
        raise SlackRefusal("invalid_post_type" if kind else "missing_post_type")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except ValueError:
        raise SlackRefusal("invalid_form_data") from None


async def _multipart(request: Request) -> Json:
    try:
        async with request.form() as form:
            return {name: value for name, value in form.items() if isinstance(value, str)}
    except HTTPException:
        raise SlackRefusal("invalid_form_data") from None


def _json_object(body: bytes) -> Json:
    try:
        values = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise SlackRefusal("invalid_json") from None
    if not isinstance(values, dict):
        raise SlackRefusal("json_not_object")
    return values


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = {
        "content-type": "application/json; charset=utf-8",
        "content-length": str(len(body)),
        **headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in raw.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
