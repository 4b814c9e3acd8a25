"""Translates model servers' errors into ProviderErrors. Pure."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bot.errors import (
    Blocked,
    ContextTooLong,
    KeyRejected,
    ModelBusy,
    ModelGone,
    ModelTimeout,
    NoAccess,
    NoCredit,
    ProviderError,
    ProviderServerError,
    RegionRefused,
    RequestRefused,
    WrongAddress,
)
from bot.providers.error_words import BY_WORDS, NO_STATUS
from bot.text.untrusted_json import parsed

_MAX_DETAIL_LENGTH = 300
_MAX_DETAILS_LENGTH = 4_000

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: KeyRejected,
    402: NoCredit,
    403: NoAccess,
    404: WrongAddress,
    405: WrongAddress,
    407: Blocked,
    408: ModelTimeout,
    413: ContextTooLong,
    429: ModelBusy,
    511: Blocked,
    529: ModelBusy,
    451: RegionRefused,
    501: WrongAddress,
}
_STATUS = re.compile(r"[1-5]\d\d", re.ASCII)
_REFUSING_PAGES = frozenset({401, 403, 407, 451, 511})
"""Statuses that indicate a proxy or a firewall if the body is a web page: a provider sends JSON."""
_FIREWALL = re.compile(r"error code: 1\d{3}")
"""The whole response of Cloudflare to a client that it refuses."""


_MESSAGE_FIELDS = ("message", "detail", "msg", "error_msg", "error_message", "status_msg", "errors")
"""Fields that contain the message of an error."""
_SECRETS = (
    (re.compile(r"(?<=://)[^\s/@]+@"), ""),
    (re.compile(r"(?i)\b(bearer)\s+\S+"), r"\1 …"),
    (re.compile(r"(?i)\b((?:api[_-]?)?key|token|secret|password)=[^\s&]+"), r"\1=…"),
    (re.compile(r"\b(?:sk|pk|rk|key|gsk|xai|hf|nvapi|AIza)[-_]?[A-Za-z0-9*_-]{12,}"), "…"),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """A provider's message, fit to be shown: one line, at most 300 characters, without keys and credentials in URLs."""
    text = text[:4_000]
    for secret in secrets:
        text = text.replace(secret, "…")
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (
        line if len(line) <= _MAX_DETAIL_LENGTH else line[: _MAX_DETAIL_LENGTH - 1].rstrip() + "…"
    )


def parse_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The seconds in a `Retry-After` header, which contains seconds or a date."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _until(value, now or datetime.now(UTC))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return math.nan
    return ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds()


def find_error(payload: Any) -> Any:
    """The error in a JSON value, or None: `{"error": …}`, or an error message where an answer should be."""
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    if not isinstance(payload, dict):
        return None
    if payload.get("error"):
        return payload["error"]
    for name in ("x_groq", "base_resp", "response"):
        inner = payload.get(name)
        if isinstance(inner, dict) and (inner.get("error") or inner.get("status_code")):
            return inner.get("error") or inner
    if payload.get("choices"):
        return None
    is_named = "error" in (payload.get("object"), payload.get("type"), payload.get("status"))
    has_words = any(
        isinstance(payload.get(name), str | list) and payload[name] for name in _MESSAGE_FIELDS
    )
    return payload if is_named or has_words else None


def error_from_object(
    error: Any,
    *,
    status: int = NO_STATUS,
    secrets: Iterable[str] = (),
    retry_after: float | None = None,
) -> ProviderError:
    """The ProviderError for a server's error object. `status`: of the response, if that was an error too."""
    error = _opened(error)
    codes, message = _codes(error), _message(error)
    status = status or next((int(code) for code in codes if _STATUS.fullmatch(code)), NO_STATUS)
    kind = _kind(status, " ".join([*codes, message, _details(error)]).lower())
    detail = message or " ".join(codes) or (f"HTTP {status}" if status else "")
    return kind(redact(detail, secrets), retry_after=retry_after)


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str] = ()
) -> ProviderError:
    """The ProviderError for a response that is not 2xx."""
    seconds = parse_retry_after(headers)
    text = body.decode("utf-8-sig", "replace").strip()
    try:
        payload = parsed(text)
    except ValueError:
        return _error_from_page(status, text, secrets, seconds)
    error = find_error(payload) or payload or {"message": f"HTTP {status}"}
    return error_from_object(error, status=status, secrets=secrets, retry_after=seconds)


def _error_from_page(
    status: int, text: str, secrets: Iterable[str], retry_after: float | None
) -> ProviderError:
    """The error for a body that is not JSON. It may come from something in front of the server.

    So it never marks a model as gone for everybody, whatever it says.
    """
    if text.startswith("<"):
        kind = Blocked if status in _REFUSING_PAGES else _by_status(status)
        text = _page_title(text)
    else:
        kind = Blocked if _FIREWALL.fullmatch(text) else _kind(status, text.lower())
        kind = _by_status(status) if kind is ModelGone else kind
    return kind(redact(text, secrets) or f"HTTP {status}", retry_after=retry_after)


def _page_title(page: str) -> str:
    title = re.search(r"<title[^>]*>(.*?)</title>", page[:20_000], re.IGNORECASE | re.DOTALL)
    return html.unescape(title[1]) if title else ""


def _kind(status: int, words: str) -> type[ProviderError]:
    for kind, statuses, pattern in BY_WORDS:
        if status in statuses and pattern.search(words):
            return kind
    return _by_status(status)


def _by_status(status: int) -> type[ProviderError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return RequestRefused if 300 <= status < 500 else ProviderServerError


def _opened(error: Any) -> Any:
    """The error that a router has embedded in another as text, else the error itself."""
    words = error if isinstance(error, str) else _message(error)
    try:
        inner = parsed(words) if words.lstrip().startswith(("{", "[{")) else None
    except ValueError:
        return error
    found = find_error(inner) or inner
    if not isinstance(found, dict) or not _message(found):
        return error
    return ({} if isinstance(error, str) else {"code": error.get("code")}) | found


def _codes(error: Any) -> list[str]:
    """The server's codes for the error: a number, names, or both."""
    if not isinstance(error, dict):
        return []
    values = (error.get(key) for key in ("code", "type", "status"))
    return [str(value) for value in values if type(value) in (str, int) and value != ""]


def _details(error: Any) -> str:
    """Machine-readable details that some providers add, such as which of their limits was reached."""
    if not isinstance(error, dict):
        return ""
    metadata = error.get("metadata")
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    return json.dumps([error.get("details"), headers])[:_MAX_DETAILS_LENGTH]


def _message(error: Any) -> str:
    """The message of an error object; a router's message is followed by that of the server behind it."""
    if isinstance(error, str):
        return error
    if not isinstance(error, dict):
        return json.dumps(error)[:_MAX_DETAIL_LENGTH] if error else ""
    words = next((error[key] for key in (*_MESSAGE_FIELDS, "error") if error.get(key)), "")
    if isinstance(words, list) and words and all(isinstance(each, dict) for each in words):
        words = "; ".join(filter(None, map(_message, words))) or words
    metadata = error.get("metadata")
    behind = metadata.get("raw") if isinstance(metadata, dict) else None
    parts = [
        part if isinstance(part, str) else json.dumps(part) for part in (words, behind) if part
    ]
    return ": ".join(parts)
