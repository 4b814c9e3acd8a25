"""Slack's behaviour where it varies between occasions. Tests choose a variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class SlackVariants:
    """The defaults are Slack's usual behaviour."""

    mention_order: Literal["random", "mention_first", "message_first"] = "random"
    """Which of the two events of a mention is sent first."""
    file_mention_as_message_only: bool = False
    """A mention in a message with files comes as a `message` event alone."""
    guests_name_their_own_team: bool = False
    """Interactions of people from another workspace name that workspace in messages too, not only in views."""
