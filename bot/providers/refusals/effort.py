"""Reasoning effort, and what happens if a model refuses it: the answer comes without it, and a denied step says so."""

from __future__ import annotations

import re
from dataclasses import replace

from bot.domain.model_options import Effort
from bot.domain.steps import StepKind, StepStatus
from bot.domain.stream_events import StepChanged
from bot.errors import ProviderError
from bot.providers.base import ModelRequest
from bot.providers.refusals.parts import ModelMemory, Part, ProcessMemory, names

_NAME = "reasoning effort"
_DENIED = StepChanged(_NAME, StepKind.THINKING, StepStatus.DENIED)
_WORDS = re.compile(r"reasoning|effort|thinking", re.IGNORECASE)
"""In a refusal, these words refer to the effort."""


class Efforts:
    """Which models refuse which effort, as far as this process knows: many accept only some."""

    def __init__(self) -> None:
        self._refusing: dict[Effort, ModelMemory] = {each: ProcessMemory() for each in Effort}

    def parts(self, request: ModelRequest) -> list[Part]:
        """The effort as a part of a request, if it has one."""
        effort = request.options.effort
        if effort is None:
            return []
        refusing = self._refusing[effort]
        return [Part(_NAME, _without, refusing, _is_meant, _DENIED)]


def _is_meant(error: ProviderError, request: ModelRequest) -> bool:
    return names(_WORDS, error, request)


def _without(request: ModelRequest) -> ModelRequest:
    return replace(request, options=replace(request.options, effort=None))
