"""Response URLs, through which the app answers a command or an interaction without a token, five times in half an
hour.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.journal import CallRecord, Journal
from bot.sandbox.state.records import Container, Ephemeral, Message
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.validation.blocks import check_message_blocks
from bot.sandbox.web_api.message_content import checked_attachments

UNUSABLE_URL_ERRORS = ("used_url", "expired_url", "invalid_url")


@dataclass(slots=True)
class ResponseUrl:
    """One response URL: whom it answers, where, and which message it may replace."""

    user: str
    channel: str
    thread_ts: str | None
    expires: float
    uses: int = 0
    message: Message | None = None
    ephemeral: Ephemeral | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What the app posted, checked."""

    text: str
    blocks: list[Json]
    attachments: list[Json]


class ResponseUrls:
    """Issues response URLs and applies what is posted to them."""

    def __init__(self, workspace: Workspace, journal: Journal) -> None:
        self._workspace = workspace
        self._journal = journal
        self._issued: dict[str, ResponseUrl] = {}

    def issue(self, user: str, container: Container) -> str:
        """Issues a URL that can replace the message in `container` or answer beside it."""
        source: Any = container.message or container.ephemeral
        return self._issue(
            ResponseUrl(
                user=user,
                channel=source.channel,
                thread_ts=source.thread_ts,
                expires=self._expiry_time(),
                message=container.message,
                ephemeral=container.ephemeral,
            )
        )

    def issue_for_command(self, user: str, channel: str) -> str:
        return self._issue(ResponseUrl(user, channel, None, self._expiry_time()))

    def _expiry_time(self) -> float:
        return self._workspace.clock() + self._workspace.limits.response_url_ttl

    def _issue(self, url: ResponseUrl) -> str:
        key = f"{self._workspace.team_id}/{secrets.token_hex(12)}"
        self._issued[key] = url
        return f"{self._workspace.base_url}/response/{key}"

    def post(self, key: str, body: Json) -> None:
        """Applies what the app posted to a response URL. Raises SlackRefusal `used_url`, `expired_url`, or for its
        content.
        """
        url = self._issued.get(key)
        if url is None:
            raise SlackRefusal("invalid_url")
        if url.uses >= self._workspace.limits.response_url_uses:
            raise SlackRefusal("used_url")
        if self._workspace.clock() >= url.expires:
            raise SlackRefusal("expired_url")
        self._apply(url, body)
        url.uses += 1

    async def receive(self, request: Request) -> Response:
        """Responds to a POST to a response URL, and records it."""
        body = await _read(request)
        record = CallRecord(self._journal.new_id(), self._workspace.clock(), "response_url", body)
        try:
            self.post(request.path_params["key"], body)
        except SlackRefusal as refusal:
            record.result = refusal.answer()
            record.error = refusal.error
            record.status = 404 if refusal.error in UNUSABLE_URL_ERRORS else 400
        self._journal.record_call(record)
        if record.error:
            return JSONResponse(record.result, record.status)
        return PlainTextResponse("ok")

    def show(self, address: str, body: Json) -> None:
        """Applies a message from the acknowledgement of a command. Does not count as a use of the URL."""
        self._apply(self._issued[address.partition("/response/")[2]], body)

    def _apply(self, url: ResponseUrl, body: Json) -> None:
        if _as_flag(body.get("delete_original")):
            self._delete(url)
            return
        blocks, text = body.get("blocks") or [], str(body.get("text") or "")
        attachments = checked_attachments(self._workspace, body.get("attachments") or [])
        if not blocks and not text and not attachments:
            raise SlackRefusal("no_text")
        check_message_blocks(blocks)
        content = Content(text, self._workspace.with_block_ids(blocks), attachments)
        if _as_flag(body.get("replace_original")) and (url.message or url.ephemeral):
            self._replace(url, content)
        elif body.get("response_type") == "in_channel":
            self._post_message(url, content, body.get("thread_ts"))
        else:
            self._post_ephemeral(url, content, body.get("thread_ts"))

    def _delete(self, url: ResponseUrl) -> None:
        if url.ephemeral is not None:
            self._workspace.delete_ephemeral(url.ephemeral)
        elif url.message is not None and url.message.deleted_at is None:
            self._workspace.delete(url.message)

    def _replace(self, url: ResponseUrl, content: Content) -> None:
        text, blocks = content.text, content.blocks
        revision = self._workspace.revision("mrkdwn", text, blocks)
        if url.message is not None:
            url.message.attachments = content.attachments
            self._workspace.edit(url.message, revision, self._workspace.bot.id)
        elif url.ephemeral is not None:
            url.ephemeral.text = revision.text
            url.ephemeral.fallback = text
            url.ephemeral.blocks = blocks
            url.ephemeral.attachments = content.attachments
            self._workspace.post_ephemeral(url.ephemeral)

    def _post_message(self, url: ResponseUrl, content: Content, thread_ts: Any) -> None:
        bot = self._workspace.bot
        revision = self._workspace.revision("mrkdwn", content.text, content.blocks)
        message = Message(
            channel=url.channel,
            ts=self._workspace.next_ts(),
            user=bot.id,
            thread_ts=thread_ts or url.thread_ts,
            revisions=[revision],
            bot_id=bot.bot_id,
            app_id=bot.app_id,
            attachments=content.attachments,
        )
        self._workspace.post(message)

    def _post_ephemeral(self, url: ResponseUrl, content: Content, thread_ts: Any) -> None:
        revision = self._workspace.revision("mrkdwn", content.text, content.blocks)
        # Only the URL of an interaction can replace a message; that of a command posts a new one each time.
        ephemeral = Ephemeral(
            id=self._workspace.new_id("E"),
            channel=url.channel,
            thread_ts=thread_ts or url.thread_ts,
            ts=self._workspace.next_ts(),
            viewer=url.user,
            author=self._workspace.bot.id,
            format="mrkdwn",
            text=revision.text,
            blocks=content.blocks,
            fallback=content.text,
            at=self._workspace.clock(),
            attachments=content.attachments,
        )
        self._workspace.post_ephemeral(ephemeral)


async def _read(request: Request) -> Json:
    """The posted message, as JSON or in the form field `payload`; empty if it is neither."""
    raw = (await request.body()).decode(errors="replace")
    try:
        body = json.loads(parse_qs(raw).get("payload", [raw])[0])
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _as_flag(value: Any) -> bool:
    """Apps send true, or the word."""
    return value is True or str(value).lower() == "true"
