"""Translates the errors of model servers into ProviderErrors. Pure."""

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
    ContentFiltered,
    ContextTooLong,
    DailyLimit,
    DataPolicy,
    KeyRejected,
    ModelBusy,
    ModelGone,
    ModelTimeout,
    NoAccess,
    NoCredit,
    OutOfMemory,
    ProviderError,
    ProviderServerError,
    RegionRefused,
    RequestRefused,
    SystemRoleRefused,
    ToolsRefused,
    WrongAddress,
)
from bot.untrusted_json import parsed

_MAX_DETAIL_LENGTH = 300
_MAX_DETAILS_LENGTH = 4_000

_NO_STATUS = 0
"""In place of a status: the error arrived in a stream that had begun with 200, and has no number of its own."""

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
_REFUSING_PAGES = frozenset({401, 403, 407, 451, 511})
"""Statuses that mean a proxy or a firewall when the body is a web page: a provider sends JSON."""
_FIREWALL = re.compile(r"error code: 1\d{3}")
"""All that Cloudflare says to a client that it refuses."""


def _any_of(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.DOTALL)


def _statuses(*statuses: int) -> frozenset[int]:
    return frozenset({_NO_STATUS, *statuses})


# Some statuses mean many things, so the words of the error decide first. The first match wins. The words are those of
# the providers' documentation and of their users' reports (docs/why.md, "Errors by their words").
_BY_WORDS: tuple[tuple[type[ProviderError], frozenset[int], re.Pattern[str]], ...] = (
    (
        ToolsRefused,
        _statuses(400, 404, 405, 422, 500, 501),
        _any_of(
            r"(does(n't| not)|do not|not|never|cannot) (support|allow|accept|have).{0,30}\b(tools?|functions?)\b",
            r"(tools?|tool[ _-]?(use|call(ing|s)?|choice)|function[ _-]?call(ing|s)?).{0,30}(not|n't|un)[ -]?"
            r"(supported|available|allowed|enabled|permitted)",
            r"no endpoints found that support.{0,40}tool",
            r"(unrecognized|unknown|unexpected|extra|unsupported|invalid)[^.]{0,40}\W(tools|tool_choice)\b",
            r"\btools?\b.{0,40}(requires?|need).{0,10}--",
            r"tool choice requires",
        ),
    ),
    (
        SystemRoleRefused,
        _statuses(400, 404, 422, 500),
        _any_of(
            r"(system|developer) (role|message|prompt|instruction)s?\b.{0,40}\b(not|n't|un)",
            r"(does(n't| not)|not|never) (support|allow|accept).{0,20}\bsystem\b",
            r"(un(supported|expected|known)|invalid) (message )?role:? .?system",
            r"only .{0,20}user.{0,20}assistant.{0,20} roles|input should be 'user'",
            r"roles must alternate",  # said of a system message too, since all other messages do alternate
        ),
    ),
    (
        OutOfMemory,
        _statuses(400, 500, 502, 503, 507),
        _any_of(
            r"out of memory|outofmemory|\boom\b|more (system |gpu |video )?memory than",
            r"(insufficient|not enough) (system |gpu |video )?(memory|v?ram)|requires more (system )?memory",
            r"insufficient system resources|bad_alloc|(fail\w*|unable) to allocate .{0,40}buffer",
        ),
    ),
    (
        DailyLimit,
        _statuses(402, 403, 429),
        _any_of(
            r"per[ _-]?day|perday|\b[rt]pd\b|\bdaily\b|per 24 ?h|(today|tomorrow|24 hours)",
            r"per[ _-]?(week|month)|\b(weekly|monthly) (\w+ )?(limit|quota|request)",
        ),
    ),
    (
        ModelBusy,
        _statuses(413, 429),
        _any_of(r"per[ _-]?(minute|second|hour)|perminute|\b[rt]pm\b|rate[_ ]?limit[_ ]exceeded"),
    ),
    (
        NoCredit,
        _statuses(400, 401, 403, 429),
        _any_of(
            r"insufficient[_ ](quota|credit|balance|funds)|(credit|account)[_ ]balance|arrearage",
            r"billing|(no|any|more|enough|available|of|all) (\w+ )?credits?\b|payment required|spending[_ ]limit",
            r"exceeded your (\w+ ){0,3}(credits?|quota|balance)|budget.{0,20}exceeded|exceeded\w{0,10}[ _]?budget",
            r"your current quota|key limit exceeded|balance.{0,20}(too low|not enough|insufficient|exhausted)",
        ),
    ),
    (
        RegionRefused,
        _statuses(400, 401, 403, 404),
        _any_of(
            r"unsupported_country|(country|region|territory|location).{0,60}(not (supported|available)|restricted)",
            r"not (supported|available) in (your|this|the) .{0,20}(country|region|territory|location)",
        ),
    ),
    (
        DataPolicy,
        _statuses(400, 403, 404),
        _any_of(
            r"data[_ ]policy|privacy[_ ]settings?|zero[_ -]data[_ -]retention|\bzdr\b",
            r"no allowed providers|data (training|retention) (settings?|polic)",
        ),
    ),
    (
        ContextTooLong,
        _statuses(400, 403, 413, 422, 500),
        _any_of(
            r"context[_ -]?(length|window|size)|maximum context|string_above_max",
            r"too many (input )?tokens|reduce the length|(prompt|input|request|message)s? (is|are) too (long|large)",
            r"exceeds? the (\w+ )?(maximum|max|available|limit).{0,40}tokens|token (count|limit).{0,40}exceed",
        ),
    ),
    (
        ContentFiltered,
        _statuses(400, 403, 422, 451),
        _any_of(
            r"content[_ ](filter|policy|management)|moderation|flagged|safety|guardrail|responsible ?ai",
            r"content exists risk|data_inspection_failed|inappropriate|(prohibited|sensitive)[_ ]content",
        ),
    ),
    (
        KeyRejected,
        _statuses(400, 401, 403),
        _any_of(
            r"(invalid|incorrect|missing|expired|wrong|no)[_ ](api|subscription|access)[_ ]?(key|token)",
            r"authentication_error|unauthori[sz]ed",
            r"((api|subscription|access)[_ ]?key|token|credentials?) (is |was |are )?"
            r"(not valid|invalid|expired|missing|revoked|disabled)",
        ),
    ),
    (
        NoAccess,
        _statuses(400, 401, 403, 404),
        _any_of(
            r"must be verified|verify (your )?organi[sz]ation|\bgated\b|permission[_ ]?(denied|error)|accessdenied",
            r"(requires?|upgrade|needs?) (to )?(a |an |your )?(\w+ )?(pro|paid|plus|plan|subscription|tier)\b",
            r"\b(pro|paid|plus)[_ -]?only|only available (to|for|on|in|with) .{0,40}(pro|paid|plus|plan|subscri|tier)",
        ),
    ),
    (ModelGone, _statuses(400, 404), _any_of(r"does not exist or you do not have access")),
    (
        NoAccess,
        _statuses(400, 401, 403),
        _any_of(
            r"(no|not|n't) (\w+ ){0,3}(access|permi|allowed|authori[sz]ed|entitled|enabled)",
            r"access (\w+ ){0,4}denied|model[_ ]access|insufficient permissions?",
        ),
    ),
    (
        RequestRefused,
        _statuses(404, 410),
        _any_of(
            r"support (\w+ )?(image|tool|function|audio|file|vision|video)|image input|tool[_ ](use|choice)",
            r"no endpoints found that can handle the requested parameters",
        ),
    ),
    (
        ModelGone,
        _statuses(400, 403, 404, 410, 422),
        _any_of(
            r"model[_ ](not[_ ](found|available|exist|supported)|decommissioned|deprecated)|deploymentnotfound",
            r"(unknown|invalid|unsupported|no such) model|not a valid model|model identifier is invalid",
            r"\b(model|deployment)s?\b.{0,120}\b(not found|does(n't| not) exist|not exist|is unknown)",
            r"\bmodel\b.{0,120}\b(is not available|no longer (available|supported)|decommissioned)",
            r"\bmodel\b.{0,120}\b(has been|was|is) (removed|deprecated|retired|shut ?down|sunset)",
            r"no endpoints found(?! (that|matching|which))",
        ),
    ),
    (
        ModelBusy,
        _statuses(500, 502, 503),
        _any_of(
            r"rate[_ ]limit|too many requests|overloaded|(model|is) (is )?(still )?loading|loading model"
        ),
    ),
    (ModelTimeout, _statuses(), _any_of(r"timed?[_ -]?out")),
    (RequestRefused, _statuses(), _any_of(r"invalid[_ ]request|bad[_ ]?request")),
)

_MESSAGE_FIELDS = ("message", "detail", "msg", "error_msg", "error_message", "status_msg", "errors")
"""Fields that hold the words of an error."""
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
    """The error in a JSON value, or None: `{"error": …}`, or words of an error where an answer should be."""
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
    status: int = _NO_STATUS,
    secrets: Iterable[str] = (),
    retry_after: float | None = None,
) -> ProviderError:
    """The ProviderError for a server's error object. `status`: of the response, if that was an error too."""
    error = _opened(error)
    codes, message = _codes(error), _message(error)
    status = status or next((int(code) for code in codes if code.isdecimal()), _NO_STATUS)
    kind = _kind(status, " ".join([*codes, message, _details(error)]).lower())
    said = message or " ".join(codes) or (f"HTTP {status}" if status else "")
    return kind(redact(said, secrets), retry_after=retry_after)


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
    """The error for a body that is not JSON. It may come from something before the server.

    So it never makes a model be gone for everybody, whatever its words.
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
    for kind, statuses, pattern in _BY_WORDS:
        if status in statuses and pattern.search(words):
            return kind
    return _by_status(status)


def _by_status(status: int) -> type[ProviderError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return RequestRefused if 300 <= status < 500 else ProviderServerError


def _opened(error: Any) -> Any:
    """The error that a router has put into another as text, else the error itself."""
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
    """What some providers add for programs, such as which of their limits was reached."""
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
