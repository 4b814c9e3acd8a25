"""Handles parts of requests that models refuse: repeats the request without the part, and omits it from later
requests.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, cast

from bot.domain import ModelRef
from bot.domain.stream_events import StepChanged, StreamEvent
from bot.errors import ModelGone, ProviderError, RequestRefused
from bot.observability import get_logger
from bot.providers.base import ModelRequest

log = get_logger(__name__)

_NO_ENDPOINT = re.compile(r"endpoints?\b.*\b(support|handle)|parameter", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://\S+")
Ask = Callable[[ModelRequest], AsyncIterator[StreamEvent]]


class ModelMemory(Protocol):
    """A set of models that outlives the process; implemented by `storage.models_without_system_role`."""

    def __contains__(self, model: ModelRef) -> bool: ...

    async def add(self, model: ModelRef) -> None:
        """Adds a model. Never raises: what could not be stored is remembered until the process ends."""
        ...


class ProcessMemory:
    """A `ModelMemory` that lasts as long as the process."""

    def __init__(self) -> None:
        self._models: set[ModelRef] = set()

    def __contains__(self, model: ModelRef) -> bool:
        return model in self._models

    async def add(self, model: ModelRef) -> None:
        self._models.add(model)


class NoMemory:
    """A `ModelMemory` that remembers nothing, because the refusal depends on the request more than on the model."""

    def __contains__(self, model: ModelRef) -> bool:
        return False

    async def add(self, model: ModelRef) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request that a model may refuse."""

    name: str
    without: Callable[[ModelRequest], ModelRequest]
    """The request without it; the same object if it has none."""
    refusing: ModelMemory
    """The models that are known to refuse it."""
    is_meant: Callable[[ProviderError, ModelRequest], bool]
    """Whether the refusal of a request is about this part."""
    denied: StepChanged | None = None
    """Tells people that the answer lacks it. With this, it is also left out after a refusal that names no part."""


async def stream_without_refused(
    ask: Ask, request: ModelRequest, parts: Sequence[Part]
) -> AsyncGenerator[StreamEvent, None]:
    """The answer, after one more request for each part that the model refuses; each is left out at most once.

    Nothing is asked again once the answer has begun. `parts`: the least important come first, and the first of them is
    left out if a refusal names none. If it took several guesses, only the last one is remembered.
    """
    attempt = _Attempt(request, parts)
    attempt.leave_out_known()
    while True:
        begun = False
        try:
            async with closing(ask(attempt.request)) as events:
                async for event in events:
                    if not (begun or isinstance(event, StepChanged)):
                        begun = True
                        await attempt.learn()
                        for step in attempt.denied_steps():
                            yield step
                    yield event
            return
        except ProviderError as error:
            refused = None if begun else attempt.refused(error)
            if refused is None:
                raise
            log.info("asked_again", model=str(request.model), reason=refused.name)
            attempt.leave_out(refused, error)


def names(words: re.Pattern[str], error: ProviderError, request: ModelRequest) -> bool:
    """Whether a refusal contains one of the words, outside the model's name and URLs."""
    wording = _ADDRESS.sub("", error.detail).replace(request.model.name, "")
    return _is_refusal(error) and words.search(wording) is not None


def _is_refusal(error: ProviderError) -> bool:
    """Whether the error may refuse a part: OpenRouter reports it with HTTP 404 if no endpoint of a model supports the
    part.
    """
    if isinstance(error, ModelGone):
        return _NO_ENDPOINT.search(error.detail) is not None
    return isinstance(error, RequestRefused)


class _Attempt:
    """A request that becomes smaller with each refusal."""

    def __init__(self, request: ModelRequest, parts: Sequence[Part]) -> None:
        self.request = request
        self._left = list(parts)
        self._out: list[Part] = []
        self._refused: list[Part] = []
        """The parts that refusals have named."""
        self._guessed: Part | None = None

    def leave_out_known(self) -> None:
        for part in [each for each in self._left if self.request.model in each.refusing]:
            if self._has(part):
                self._remove(part)

    def refused(self, error: ProviderError) -> Part | None:
        """The part that a refusal is about, or may be about."""
        for part in self._left:
            if part.is_meant(error, self.request) and self._has(part):
                return part
        if not _is_refusal(error):
            return None
        guesses = (part for part in self._left if part.denied is not None and self._has(part))
        return next(guesses, None)

    def _has(self, part: Part) -> bool:
        """Whether the request has this part; asked last, because building a request without it may be expensive."""
        return part.without(self.request) is not self.request

    def leave_out(self, part: Part, error: ProviderError) -> None:
        if part.is_meant(error, self.request):
            self._refused.append(part)
            self._guessed = None
        else:
            self._guessed = part
        self._remove(part)

    async def learn(self) -> None:
        """Remembers what the model refuses, now that it answers: the named parts, and the last guessed one.

        Only the last guess made the difference; earlier ones may have been wrong.
        """
        for part in (*self._refused, *filter(None, [self._guessed])):
            await part.refusing.add(self.request.model)

    def denied_steps(self) -> Iterator[StepChanged]:
        """The parts that the answer lacks."""
        return (part.denied for part in self._out if part.denied is not None)

    def _remove(self, part: Part) -> None:
        self.request = part.without(self.request)
        self._left.remove(part)
        self._out.append(part)


def closing(events: AsyncIterator[StreamEvent]) -> aclosing[AsyncGenerator[StreamEvent, None]]:
    """A provider's answer, which ends immediately when its reader does."""
    return aclosing(cast("AsyncGenerator[StreamEvent, None]", events))
