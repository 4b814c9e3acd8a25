"""What is chosen beside a model, where it is offered: kept with the chat. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Effort(StrEnum):
    """How much a model is to reason before it answers. The names are stored, sent to providers, and part of the API."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is asked."""

    web_search: bool = False
    """The provider is to search the web, if it can."""
    effort: Effort | None = None
    """None: as the provider does by itself."""


NO_OPTIONS = ModelOptions()
