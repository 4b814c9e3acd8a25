"""The app's incoming webhook: an address that posts to `#general` whatever is sent to it, without a token."""

from __future__ import annotations

import json
import secrets
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.journal import CallRecord, Journal
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Arguments, Call
from bot.sandbox.web_api.messages import new_message

CHANNEL = "general"
_SCOPE = "incoming-webhook"
_FIELDS = frozenset({"text", "blocks", "attachments", "thread_ts", "metadata", "unfurl_links"})
"""The fields that a webhook accepts. Its app, name and channel are fixed."""


class IncomingWebhook:
    """`secret` is the last part of its address."""

    def __init__(
        self, workspace: Workspace, scopes: frozenset[str], secret: str, journal: Journal
    ) -> None:
        self._workspace = workspace
        self._scopes = scopes
        self._secret = secret
        self._journal = journal

    @property
    def url(self) -> str:
        """Its address; empty unless the app has the scope."""
        bot = self._workspace.bot
        place = f"{self._workspace.team_id}/{bot.bot_id}/{self._secret}"
        return f"{self._workspace.base_url}/services/{place}" if _SCOPE in self._scopes else ""

    async def receive(self, request: Request) -> Response:
        """Posts a message. Responds with `ok`, or a word that says what is wrong."""
        body = _message(await request.body())
        record = CallRecord(
            self._journal.new_id(), self._workspace.clock(), "incoming_webhook", body or {}
        )
        given = request.path_params["secret"].encode()
        try:
            if not self.url or not secrets.compare_digest(given, self._secret.encode()):
                raise SlackRefusal("invalid_token")
            self._post(body)
        except SlackRefusal as refusal:
            record.error = refusal.error
            record.status = 403 if refusal.error == "invalid_token" else 400
        self._journal.record_call(record)
        return PlainTextResponse(record.error or "ok", record.status)

    def _post(self, body: Json | None) -> None:
        if body is None:
            raise SlackRefusal("invalid_payload")
        kept = {name: value for name, value in body.items() if name in _FIELDS}
        call = Call("incoming_webhook", Arguments(kept), self._workspace, self._scopes)
        message, _ = new_message(call, self._workspace.channel(CHANNEL))
        message.ts = self._workspace.next_ts()
        self._workspace.post(message)


def _message(raw: bytes) -> Json | None:
    """The message, as JSON or in the form field `payload`; None if it is neither."""
    text = raw.decode(errors="replace")
    try:
        body = json.loads(parse_qs(text).get("payload", [text])[0])
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
