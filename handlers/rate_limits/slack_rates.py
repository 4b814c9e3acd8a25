"""How many calls of each method Slack allows.

Slack counts calls per method, workspace and app (posts: per channel) and documents how many it allows a minute, but not
how many at once. So every method has the documented rate and a cautious burst.
"""

from __future__ import annotations

from dataclasses import dataclass

START = "chat.startStream"
APPEND = "chat.appendStream"
STOP = "chat.stopStream"
UPDATE = "chat.update"
POST = "chat.postMessage"


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit: the documented calls per second, and the most calls that are sent at once."""

    per_second: float
    burst: float


UNCOUNTED = frozenset({"auth.test", "apps.connections.open", "bots.info", "oauth.v2.access"})
"""Methods called at startup, to connect or to install: once each, and without a scheduler."""
RATES: dict[str, Rate] = {
    START: Rate(20 / 60, 4),
    APPEND: Rate(100 / 60, 20),
    STOP: Rate(20 / 60, 4),
    UPDATE: Rate(50 / 60, 10),
    POST: Rate(1.0, 3),
    "chat.postEphemeral": Rate(100 / 60, 20),
    "chat.delete": Rate(50 / 60, 10),
    "conversations.replies": Rate(50 / 60, 10),
    "conversations.history": Rate(50 / 60, 10),
    "conversations.info": Rate(50 / 60, 10),
    "conversations.members": Rate(100 / 60, 20),
    "conversations.open": Rate(50 / 60, 10),
    "files.info": Rate(100 / 60, 20),
    "files.getUploadURLExternal": Rate(100 / 60, 20),
    "files.completeUploadExternal": Rate(100 / 60, 20),
    "users.info": Rate(100 / 60, 20),
    "reactions.add": Rate(50 / 60, 10),
    "reactions.remove": Rate(20 / 60, 4),
    "views.open": Rate(100 / 60, 20),
    "views.update": Rate(100 / 60, 20),
    "views.publish": Rate(100 / 60, 20),
    "assistant.threads.setStatus": Rate(1.0, 10),
    "assistant.threads.setTitle": Rate(100 / 60, 20),
    "assistant.threads.setSuggestedPrompts": Rate(100 / 60, 20),
    "agents.sessions.setStatus": Rate(50 / 60, 10),
    "agents.sessions.rename": Rate(50 / 60, 10),
}
PER_CHANNEL = frozenset({POST, "assistant.threads.setStatus"})
DEFAULT_RATE = Rate(20 / 60, 4)
"""For methods without a documented rate."""
