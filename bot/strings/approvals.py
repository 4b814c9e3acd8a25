"""The message in which a tool call is allowed or denied."""

from __future__ import annotations

APPROVAL_ASKS = "I'd like to call the tool {tool}. Only <@{user}> can allow it."
APPROVAL_CALL = "The tool {tool}, with:"
APPROVAL_FALLBACK = "A call of the tool {tool}"
APPROVAL_ONCE_BUTTON = "Allow once"
APPROVAL_ALWAYS_BUTTON = "Always in this chat"
APPROVAL_DENY_BUTTON = "Deny"
APPROVAL_CUT = "[{count} more characters]"
APPROVAL_ALLOWED = "Allowed by <@{user}>."
APPROVAL_DONE = "Allowed by <@{user}>, and done."
APPROVAL_FAILED = "Allowed by <@{user}>, but it failed."
APPROVAL_DENIED = "Denied by <@{user}>."
APPROVAL_LAPSED = "Nobody allowed this call in time, so it wasn't made."
APPROVAL_STOPPED = "The answer ended before that, so it wasn't called."
APPROVAL_UNKNOWN = (
    "I don't know whether this call took effect. I won't repeat it. "
    "Please check before you ask for it again."
)
APPROVAL_NOT_YOURS = "Only <@{user}> can decide about this, because it's their question."
APPROVAL_DECIDED = "This has already been decided."
APPROVAL_UNKNOWN_CALL = "I don't know this call any more. Please ask again."
