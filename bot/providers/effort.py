"""How much a model reasons: what if it refuses to be told. The answer is without it then, which a denied step says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from bot.model_options import Effort
from bot.providers.base import ModelRequest
from bot.providers.refusals import Ask, ModelMemory, ProcessMemory, stream_or_tell
from bot.steps import StepKind, StepStatus
from bot.stream_events import StepChanged, StreamEvent

_DENIED = StepChanged("reasoning effort", StepKind.THINKING, StepStatus.DENIED)


class Efforts:
    """Which models refuse which effort, as far as this process has learnt: many take only some."""

    def __init__(self) -> None:
        self._refusing: dict[Effort, ModelMemory] = {each: ProcessMemory() for each in Effort}

    def stream(self, ask: Ask, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        """The answer, by a second request if the first was refused with the effort and is not without it."""
        effort = request.options.effort
        if effort is None:
            return ask(request)
        without = replace(request, options=replace(request.options, effort=None))
        return stream_or_tell(ask, request, without, self._refusing[effort], _DENIED)
