"""What can go wrong with a call to Slack, and what each failure means for whether the call took effect.

BobbinError
├── NotInstalled         the app is not installed in this workspace, or not any more
└── SlackError           a call did not succeed
    ├── SlackRejected    Slack refused; the same call would be refused again      nothing happened
    ├── RateLimited      HTTP 429                                                 nothing happened
    ├── TooLate          its turn did not come within `max_wait` seconds          nothing happened
    ├── Superseded       a newer call that sets the same came while it waited     nothing happened
    ├── ConnectFailed    no connection                                            nothing happened
    └── OutcomeUnknown   a fault inside Slack                                     it may have happened
        └── Unanswered   timeout or broken connection                             it may happen later
"""

from __future__ import annotations

from typing import Any

from slack_sdk.errors import SlackApiError

from bot.errors import BobbinError
from handlers.rate_limits.slack_rates import START

NO_STREAMING_CODES = frozenset(
    {"unknown_method", "feature_not_enabled", "not_allowed_token_type", "method_deprecated"}
)
"""Rejections of native streaming that apply to the whole workspace."""
METHOD_UNAVAILABLE_CODES = frozenset(
    {"unknown_method", "method_deprecated", "feature_disabled", "feature_not_enabled", "not_agent_app",
     "not_allowed_token_type", "missing_scope", "invalid_auth", "not_authed", "account_inactive", "token_revoked"}
)  # fmt: skip
"""Rejections of an optional method that apply to the whole workspace, so it is not called again for a while."""
CARD_REFUSALS = frozenset(
    {"invalid_chunks", "invalid_chunk", "invalid_chunk_type", "unknown_chunk_type", "invalid_arguments",
     "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_many"}
)  # fmt: skip
"""How Slack may reject the task cards among a stream's chunks."""
FATAL_CODES = frozenset(
    {
        "account_inactive", "channel_not_found", "ekm_access_denied", "invalid_auth", "is_archived", "is_inactive",
        "messages_tab_disabled", "no_permission", "not_authed", "not_in_channel", "org_login_required",
        "restricted_action", "restricted_action_non_threadable_channel", "restricted_action_read_only_channel",
        "restricted_action_thread_locked", "restricted_action_thread_only_channel", "team_access_not_granted",
        "thread_not_found", "invalid_thread_ts", "token_expired", "token_revoked", "missing_scope",
        "cannot_reply_to_message", "user_is_bot", "access_denied", "not_allowed_token_type",
    }
)  # fmt: skip
"""Rejections after which no other way of writing to this channel or thread can succeed."""
STOPPED_BY_PERSON = "stopped_by_user"
STREAM_ENDED_CODES = frozenset(
    {
        "message_not_in_streaming_state",
        "message_not_found",
        "message_not_owned_by_app",
        STOPPED_BY_PERSON,
    }
)
"""Rejections of a streaming call after which the message may be edited."""
MESSAGE_LOST_CODES = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""Rejections of an edit after which the text needs a new message."""
START_ONLY_CODES = frozenset({"not_allowed_token_type", "missing_scope"})
"""Fatal elsewhere; if `chat.startStream` is rejected with one, posts and edits may still work."""
INVALID_TOKEN_CODES = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"}
)
_UNKNOWN_OUTCOME_CODES = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
_NO_SUCH_METHOD_STATUSES = frozenset({404, 405, 410, 501})
"""How a server or proxy in Slack's place responds to a method that it does not support."""
_PASSING_STATUSES = frozenset({408, 425, 429})
"""Client errors after which the same request may succeed."""
_GATEWAY_TIMEOUT_STATUSES = frozenset({504, 522, 524})
"""How a proxy tells that the server behind it did not respond; 522 and 524 are Cloudflare's."""
_DISPENSABLE_METHODS = frozenset({START, "chat.postEphemeral", "reactions.add"})
_DISPENSABLE_FAMILIES = ("agents.", "assistant.", "views.")
"""With the methods above: those that have a substitute, or whose absence loses nothing that anybody waits for."""
_RATE_LIMIT_CODES = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded_temporarily"})


class NotInstalled(BobbinError):
    """The app is not installed in this workspace, or not any more."""


class SlackError(BobbinError):
    """A call to Slack did not succeed. `result` is what the metrics call it."""

    result = "failed"


class SlackRejected(SlackError):
    """Slack understood the call and refused it. `code` is Slack's name for the reason."""

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code
        self.result = code


class RateLimited(SlackError):
    """Too many calls of this method (HTTP 429). `retry_after` is in seconds."""

    result = "limited"

    def __init__(self, method: str, retry_after: float) -> None:
        super().__init__(f"{method}: retry after {retry_after} s")
        self.retry_after = retry_after


class TooLate(SlackError):
    """The rate limits allowed no call within the caller's time limit."""

    result = "too_late"


class Superseded(SlackError):
    """The call is no longer needed: a newer one, which sets the same, arrived while it waited for its turn."""

    result = "superseded"


class ConnectFailed(SlackError):
    """No connection could be made, so nothing happened."""

    result = "unreached"


class OutcomeUnknown(SlackError):
    """The call timed out, its connection broke, or Slack failed internally: it may or may not have taken effect."""

    result = "unsure"


class Unanswered(OutcomeUnknown):
    """Slack did not respond, or not to the proxy between: the call may also take effect later."""


TRANSIENT_RESULTS = frozenset(
    error.result for error in (RateLimited, TooLate, ConnectFailed, OutcomeUnknown)
)
"""Failures that may be temporary; all others are refusals."""


def error_code(error: SlackApiError) -> str | None:
    """Slack's error code; None if the response is not JSON, as happens while Slack is down."""
    data = getattr(error.response, "data", None)
    return data.get("error") if isinstance(data, dict) else None


def from_response(method: str, error: SlackApiError) -> SlackError:
    """The error for an unsuccessful response."""
    response = error.response
    status = int(getattr(response, "status_code", None) or getattr(response, "status", 0) or 0)
    code = error_code(error) or ""
    if status == 429 or code in _RATE_LIMIT_CODES:
        return RateLimited(method, _retry_after(getattr(response, "headers", {})))
    if not code and _is_not_offered(method, status):
        return SlackRejected(method, "unknown_method")
    if status in _GATEWAY_TIMEOUT_STATUSES:
        return Unanswered(f"{method}: HTTP {status}")
    if status >= 500 or code in _UNKNOWN_OUTCOME_CODES or not code:
        return OutcomeUnknown(f"{method}: HTTP {status} {code}".rstrip())
    return SlackRejected(method, code)


def _is_not_offered(method: str, status: int) -> bool:
    """Whether a server or proxy in front of Slack, or in its place, lacks the method or blocks it.

    Slack itself refuses with a code. A page that blocks a method may be gone a moment later, so only calls that can be
    done without learn from it. For all others, such as posts, edits, deletions and searches, it is waited out.
    """
    if status in _NO_SUCH_METHOD_STATUSES:
        return True
    blocked = 400 <= status < 500 and status not in _PASSING_STATUSES
    return blocked and _is_dispensable(method)


def _is_dispensable(method: str) -> bool:
    return method in _DISPENSABLE_METHODS or method.startswith(_DISPENSABLE_FAMILIES)


def _retry_after(headers: Any) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After", 1)))
    except (TypeError, ValueError):
        return 1.0
