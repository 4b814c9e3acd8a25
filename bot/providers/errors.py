"""Translates the errors of model servers into ProviderErrors. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bot.errors import (
    ContentFiltered,
    ContextTooLong,
    KeyRejected,
    ModelBusy,
    ModelGone,
    ModelTimeout,
    NoCredit,
    ProviderError,
    ProviderServerError,
    RequestRefused,
)

_MAX_DETAIL_LENGTH = 300

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: KeyRejected,
    402: NoCredit,
    403: KeyRejected,
    404: ModelGone,
    408: ModelTimeout,
    410: ModelGone,
    413: ContextTooLong,
    429: ModelBusy,
}

_NO_STATUS = 0
"""In place of a status: the error arrived in a stream that had begun with 200, and has no number of its own."""


def _any_of(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives))


# Some statuses mean many things, so the words of the error decide first. The first match wins.
_BY_WORDS: tuple[tuple[type[ProviderError], frozenset[int], re.Pattern[str]], ...] = (
    (
        NoCredit,
        frozenset({_NO_STATUS, 400, 403, 429}),
        _any_of(
            r"insufficient[_ ](quota|credit|balance|funds)",
            r"billing[_ ]hard[_ ]limit",
            r"your current quota",
        ),
    ),
    (
        ContextTooLong,
        frozenset({_NO_STATUS, 400, 422}),
        _any_of(
            r"context[_ -]?(length|window|size)|maximum context|string_above_max",
            r"too many (input )?tokens|reduce the length|(prompt|input|request) is too (long|large)",
            r"exceeds? the (maximum|max|available|limit).{0,40}tokens",
        ),
    ),
    (
        ContentFiltered,
        frozenset({_NO_STATUS, 400, 403, 422}),
        _any_of(r"content[_ ](filter|policy)", r"moderation", r"flagged", r"safety system"),
    ),
    (
        KeyRejected,
        frozenset({_NO_STATUS, 400}),
        _any_of(
            r"(invalid|incorrect|missing|expired)[_ ]api[_ ]?key|authentication_error|unauthori[sz]ed",
            r"api[_ ]?key (is |was )?(not valid|invalid|expired)",
        ),
    ),
    (RequestRefused, frozenset({_NO_STATUS, 404}), _any_of(r"support image", r"image input")),
    (
        ModelGone,
        frozenset({_NO_STATUS, 400, 422}),
        _any_of(
            r"model[_ ](not[_ ](found|available|exist)|decommissioned|deprecated)",
            r"(unknown|invalid|unsupported|no such) model|not a valid model",
            r"\bmodel\b.{0,120}\b(not found|does(n't| not) exist|not exist|is unknown)",
            r"\bmodel\b.{0,120}\b(is not available|no longer (available|supported)|decommissioned)",
            r"\bmodel\b.{0,120}\bhas been (removed|deprecated|retired)",
        ),
    ),
    (
        ModelBusy,
        frozenset({_NO_STATUS}),
        _any_of(r"rate[_ ]limit", r"too many requests", r"overloaded"),
    ),
    (ModelTimeout, frozenset({_NO_STATUS}), _any_of(r"timed?[_ -]?out")),
    (RequestRefused, frozenset({_NO_STATUS}), _any_of(r"invalid[_ ]request", r"bad[_ ]?request")),
)

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
    """The seconds that a `Retry-After` header asks for. It contains seconds or a date."""
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
    """The error in a JSON value, or None: `{"error": …}`, `{"object": "error", …}`, `{"detail": …}`."""
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    if not isinstance(payload, dict):
        return None
    if payload.get("error"):
        return payload["error"]
    if payload.get("choices"):
        return None
    if payload.get("object") == "error" or payload.get("type") == "error" or payload.get("detail"):
        return payload
    return None


def error_from_object(
    error: Any,
    *,
    status: int = _NO_STATUS,
    secrets: Iterable[str] = (),
    retry_after: float | None = None,
) -> ProviderError:
    """The ProviderError for a server's error object. `status`: of the response, if that was an error too."""
    codes, message = _codes(error), _message(error)
    status = status or next((int(code) for code in codes if code.isdecimal()), _NO_STATUS)
    kind = _kind(status, " ".join([*codes, message]).lower())
    said = message or " ".join(codes) or (f"HTTP {status}" if status else "")
    return kind(redact(said, secrets), retry_after=retry_after)


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str] = ()
) -> ProviderError:
    """The ProviderError for a response that is not 2xx."""
    seconds = parse_retry_after(headers)
    text = body.decode("utf-8", "replace").strip()
    try:
        payload = json.loads(text)
    except ValueError:
        payload = None
    error = find_error(payload) or payload
    if error is None:
        error = {"message": f"HTTP {status}" if not text or text.startswith("<") else text}
    return error_from_object(error, status=status, secrets=secrets, retry_after=seconds)


def _kind(status: int, words: str) -> type[ProviderError]:
    for kind, statuses, pattern in _BY_WORDS:
        if status in statuses and pattern.search(words):
            return kind
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return RequestRefused if 300 <= status < 500 else ProviderServerError


def _codes(error: Any) -> list[str]:
    """The server's codes for the error: a number, names, or both."""
    if not isinstance(error, dict):
        return []
    values = (error.get(key) for key in ("code", "type", "status"))
    return [str(value) for value in values if type(value) in (str, int) and value != ""]


def _message(error: Any) -> str:
    """The message of an error object; a router's message is followed by that of the server behind it."""
    if isinstance(error, str):
        return error
    if not isinstance(error, dict):
        return json.dumps(error)[:_MAX_DETAIL_LENGTH] if error else ""
    words = next(
        (error[key] for key in ("message", "detail", "msg", "error") if error.get(key)), ""
    )
    metadata = error.get("metadata")
    behind = metadata.get("raw") if isinstance(metadata, dict) else None
    parts = [
        part if isinstance(part, str) else json.dumps(part) for part in (words, behind) if part
    ]
    return ": ".join(parts)
