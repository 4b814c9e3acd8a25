"""Which models there are: every provider's list, kept in memory and refreshed in the background."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Self

from bot.domain import ModelInfo, ModelRef
from bot.errors import ProviderError
from bot.observability import get_logger
from bot.providers.base import Provider
from bot.providers.model_search import best_matches, fair_shares

log = get_logger(__name__)

FIRST_RETRY = 2.0
"""Seconds until a provider that failed is asked again; each failure doubles them."""
SPACING = 1.0
"""Seconds between two requests for one list, however many callers want it fresh."""


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """One provider's part of the menu."""

    provider: str
    label: str
    models: tuple[ModelInfo, ...]


@dataclass(slots=True)
class _Shelf:
    """What is known of one provider."""

    provider: Provider
    models: dict[str, ModelInfo] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)
    """Models that refused to answer, and until when they are hidden."""
    stale: asyncio.Event = field(default_factory=asyncio.Event)
    tried: asyncio.Event = field(default_factory=asyncio.Event)


class Catalogue:
    """Every provider's models, in menu order. An async context manager: inside it the lists are kept fresh.

    Answers come from memory. A provider that is down keeps its last list; one that never answered has no group
    until it does. `allowed`: glob patterns over `provider:name` or `name`; empty allows all. Times are in seconds.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        allowed: Sequence[str] = (),
        max_age: float = 300.0,
        first_wait: float = 1.5,
    ) -> None:
        self._shelves = {provider.name: _Shelf(provider) for provider in providers}
        self._allowed = tuple(pattern.strip() for pattern in allowed if pattern.strip())
        self._max_age = max_age
        self._first_wait = first_wait
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for shelf in self._shelves.values():
            self._tasks.append(
                asyncio.create_task(self._keep(shelf), name=f"models of {shelf.provider.name}")
            )
        await self.ready(self._first_wait)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def ready(self, seconds: float) -> None:
        """Wait until every provider has been asked once, at most so long."""
        waits = [asyncio.ensure_future(shelf.tried.wait()) for shelf in self._shelves.values()]
        if waits:
            try:
                await asyncio.wait(waits, timeout=seconds)
            finally:
                for wait in waits:
                    wait.cancel()

    def models(self) -> tuple[ModelInfo, ...]:
        """All that is offered now."""
        return tuple(info for group in self.groups() for info in group.models)

    def groups(self) -> tuple[ModelGroup, ...]:
        """All that is offered now, by provider; none is empty."""
        groups = (
            ModelGroup(shelf.provider.name, shelf.provider.label, tuple(self._offered(shelf)))
            for shelf in self._shelves.values()
        )
        return tuple(group for group in groups if group.models)

    def find(self, ref: ModelRef) -> ModelInfo | None:
        """The entry of a model that is offered now."""
        shelf = self._shelves.get(ref.provider)
        info = shelf.models.get(ref.name) if shelf else None
        return info if shelf and info and self._offers(shelf, info) else None

    def allows(self, ref: ModelRef) -> bool:
        """Whether the operator lets this model be used, listed or not."""
        return ref.provider in self._shelves and self._allowed_by_patterns(ref)

    def search(self, query: str = "", limit: int = 100) -> tuple[ModelGroup, ...]:
        """The groups that a menu shows for what was typed: best matches first, `limit` entries over all groups.

        Every word must be found; every provider with a match is represented.
        """
        groups = [
            ModelGroup(g.provider, g.label, best_matches(g.models, query)) for g in self.groups()
        ]
        groups = [group for group in groups if group.models]
        shares = fair_shares([len(group.models) for group in groups], limit)
        return tuple(
            ModelGroup(group.provider, group.label, group.models[:share])
            for group, share in zip(groups, shares, strict=True)
            if share
        )

    def default_for(self, preferred: Iterable[ModelRef | str | None] = ()) -> ModelInfo | None:
        """The model to preselect: the first of `preferred` that is offered, else the first provider's default,
        else the first of all; None when nothing is offered. Texts are `provider:name` or just a name."""
        for wish in preferred:
            info = (
                self.find_by_name(wish)
                if isinstance(wish, str)
                else self.find(wish)
                if wish
                else None
            )
            if info is not None:
                return info
        for shelf in self._shelves.values():
            default = shelf.provider.default_model
            info = self.find(ModelRef(shelf.provider.name, default)) if default else None
            if info is not None:
                return info
        return next((group.models[0] for group in self.groups()), None)

    def find_by_name(self, text: str) -> ModelInfo | None:
        """The offered model that an operator calls `provider:name` or just `name` (names may hold colons too)."""
        provider, _, name = text.strip().partition(":")
        refs = [
            ModelRef(provider, name),
            *(ModelRef(shelf, text.strip()) for shelf in self._shelves),
        ]
        return next((info for ref in refs if (info := self.find(ref)) is not None), None)

    def mark_gone(self, ref: ModelRef) -> None:
        """A model turned out not to exist: it is hidden for a while, and its provider's list is asked for again."""
        shelf = self._shelves.get(ref.provider)
        if shelf is not None:
            shelf.gone[ref.name] = asyncio.get_running_loop().time() + self._max_age
            shelf.stale.set()

    def refresh(self) -> None:
        """Ask for all lists again soon."""
        for shelf in self._shelves.values():
            shelf.stale.set()

    def _offered(self, shelf: _Shelf) -> Iterable[ModelInfo]:
        return (info for info in shelf.models.values() if self._offers(shelf, info))

    def _offers(self, shelf: _Shelf, info: ModelInfo) -> bool:
        until = shelf.gone.get(info.ref.name)
        if until is not None and asyncio.get_running_loop().time() < until:
            return False
        return self._allowed_by_patterns(info.ref)

    def _allowed_by_patterns(self, ref: ModelRef) -> bool:
        names = (str(ref).lower(), ref.name.lower())
        return not self._allowed or any(
            fnmatchcase(n, p.lower()) for p in self._allowed for n in names
        )

    async def _keep(self, shelf: _Shelf) -> None:
        failures = 0
        while True:
            shelf.stale.clear()
            failures = 0 if await self._load(shelf) else failures + 1
            shelf.tried.set()
            pause = (
                min(self._max_age, FIRST_RETRY * 2 ** min(failures - 1, 16))
                if failures
                else self._max_age
            )
            await asyncio.sleep(min(SPACING, pause))
            try:
                async with asyncio.timeout(pause * random.uniform(0.9, 1.1)):
                    await shelf.stale.wait()
            except TimeoutError:
                pass

    async def _load(self, shelf: _Shelf) -> bool:
        try:
            models = await shelf.provider.models()
        except ProviderError as error:
            if not shelf.provider.optional:
                log.warning("models_unavailable", provider=shelf.provider.name, code=error.code)
            return False
        except Exception:  # a list of a shape nobody thought of must not end the refreshing
            log.exception("models_unreadable", provider=shelf.provider.name)
            return False
        now = asyncio.get_running_loop().time()
        shelf.models = {info.ref.name: info for info in models}
        shelf.gone = {name: until for name, until in shelf.gone.items() if until > now}
        return True
