"""The options chosen along with a model; stored with the chat. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Effort(StrEnum):
    """How much a model reasons before it answers. The names are stored, sent to providers, and part of the API."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is asked."""

    web_search: bool = False
    """The provider searches the web, if it can."""
    effort: Effort | None = None
    """None: the provider's default."""


NO_OPTIONS = ModelOptions()
