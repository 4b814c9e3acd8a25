"""The audit log: security-relevant actions, and who performed them.

All entries are the same log event, `audit` of the logger `bot.audit`, with the fields `action`, `actor`, `team` and
`target`, and never contain text or a secret. They are logged at every `LOG_LEVEL`.
"""

from __future__ import annotations

from enum import StrEnum

from bot.domain import User
from bot.observability import get_logger

log = get_logger(__name__)

OPERATOR = "operator"
"""The actor of actions by the command line or by Bobbin itself."""


class Action(StrEnum):
    """What was done. The names are in logs that people search."""

    TOKEN_ISSUED = "token_issued"  # noqa: S105 - no password
    TOKENS_REVOKED = "tokens_revoked"
    CHANNEL_SETTINGS_CHANGED = "channel_settings_changed"
    TOOL_CALLED = "tool_called"
    EXPORTED = "exported"
    ERASED = "erased"


def record(
    action: Action,
    *,
    team: str | None,
    actor: str = OPERATOR,
    target: str = "",
    **facts: str | float,
) -> None:
    """Logs one entry.

    `actor`: Slack id of the user who performed the action. `team`: id of the workspace; None: all. `target`: id of the
    user, channel or chat that it affected. `facts`: numbers and names with details, never texts.
    """
    log.info("audit", action=str(action), actor=actor, team=team, target=target, **facts)


def record_by(user: User, action: Action, *, target: str = "", **facts: str | int) -> None:
    """Logs a user's action in their workspace; without a `target` it affects the user themselves."""
    record(action, team=user.team, actor=user.id, target=target or user.id, **facts)
