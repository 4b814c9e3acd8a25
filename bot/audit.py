"""The audit log: who did something that an operator may have to answer for.

All entries are one kind of log event, `audit` of the logger `bot.audit`, with the fields `action`, `actor`, `team` and
`target`, and never with text or a secret. They are logged at every `LOG_LEVEL`.
"""

from __future__ import annotations

from enum import StrEnum

from bot.domain import User
from bot.observability import get_logger

log = get_logger(__name__)

OPERATOR = "operator"
"""The actor of what the command line or Bobbin itself does."""


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

    `actor`: Slack id of the user who did it. `team`: id of the workspace; None: in all. `target`: id of the user,
    channel or chat to which it was done. `facts`: numbers and names of what exactly, never texts.
    """
    log.info("audit", action=str(action), actor=actor, team=team, target=target, **facts)


def record_by(user: User, action: Action, *, target: str = "", **facts: str | int) -> None:
    """Logs what a user did in their workspace; without a `target` to what is theirs."""
    record(action, team=user.team, actor=user.id, target=target or user.id, **facts)
