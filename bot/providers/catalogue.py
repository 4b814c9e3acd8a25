"""The offered models: every provider's list, kept in memory and refreshed in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Self

from bot.domain import ModelInfo, ModelRef, Price
from bot.errors import ModelTimeout, ProviderError
from bot.observability import get_logger
from bot.providers.base import Provider
from bot.providers.model_search import best_matches, fair_shares
from bot.runtime.tasks import Tasks
from bot.timing import Timing

log = get_logger(__name__)

JITTER = 0.1
"""The fraction by which refreshes come earlier or later, so that replicas do not all act at the same time."""


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """One provider's part of the menu."""

    provider: str
    label: str
    models: tuple[ModelInfo, ...]
    hidden: int = 0
    """How many more models it has for which the menu has no room."""


def _larger(models: Sequence[ModelInfo], than: int | None) -> frozenset[ModelRef]:
    """The models with a larger window than that, or of unknown size; all models if there are none."""
    larger = [m.ref for m in models if than is None or m.context is None or m.context > than]
    return frozenset(larger or (m.ref for m in models))


@dataclass(slots=True)
class _ProviderModels:
    """The list of one provider, as it was last loaded."""

    provider: Provider
    models: dict[str, ModelInfo] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Models that turned out not to exist: hidden until a list loaded after that names them."""
    stale: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the list should be reloaded soon."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the list was requested, successfully or not."""
    failures: int = 0
    """Failed loads since the last good one."""


class Catalogue:
    """Every provider's models, in menu order. An async context manager: inside it the lists are kept fresh.

    All look-ups are answered from memory. A provider that is down keeps its last list; one that has never responded has
    no group until it does.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        allowed: Sequence[str] = (),
        max_age: float = 300.0,
        first_wait: float = 1.5,
        timing: Timing = Timing(),
    ) -> None:
        """`allowed`: glob patterns for `provider:name` or `name`; empty allows all.

        `max_age`: seconds after which a list is reloaded. `first_wait`: seconds that entering waits for the lists.
        """
        self._lists = {provider.name: _ProviderModels(provider) for provider in providers}
        self._allowed = tuple(pattern.strip() for pattern in allowed if pattern.strip())
        self._max_age = max_age
        self._first_wait = first_wait
        self._timing = timing
        self._tasks = Tasks(exit_timeout=0.0)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        for listed in self._lists.values():
            self._tasks.repeat(
                partial(self._refresh, listed),
                partial(self._pause, listed),
                f"models of {listed.provider.name}",
                jitter=JITTER,
                wake=listed.stale,
            )
        await self.ready(self._first_wait)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._tasks.__aexit__(*error)

    async def ready(self, seconds: float) -> None:
        """Returns when every provider has been asked once, or after this many seconds."""
        waits = [asyncio.ensure_future(listed.tried.wait()) for listed in self._lists.values()]
        if waits:
            try:
                await asyncio.wait(waits, timeout=seconds)
            finally:
                for wait in waits:
                    wait.cancel()

    def models(self) -> tuple[ModelInfo, ...]:
        """Every model that is offered now."""
        return tuple(info for group in self.groups() for info in group.models)

    def groups(self) -> tuple[ModelGroup, ...]:
        """Every model that is offered now, by provider; no group is empty.

        Providers are in the order of `ModelSettings.providers`, models in that of their server's list.
        """
        groups = (
            ModelGroup(listed.provider.name, listed.provider.label, tuple(self._offered(listed)))
            for listed in self._lists.values()
        )
        return tuple(group for group in groups if group.models)

    def find(self, ref: ModelRef) -> ModelInfo | None:
        """The entry of a model that is offered now."""
        listed = self._lists.get(ref.provider)
        info = listed.models.get(ref.name) if listed else None
        return info if listed and info and self._offers(listed, info) else None

    def price(self, ref: ModelRef) -> Price | None:
        """The price in its provider's list, whether or not the model is offered."""
        listed = self._lists.get(ref.provider)
        info = listed.models.get(ref.name) if listed else None
        return info.price if info else None

    def search(
        self,
        query: str = "",
        limit: int = 100,
        *,
        larger_than: int | None = None,
        drawing: bool = True,
    ) -> tuple[ModelGroup, ...]:
        """The groups that a menu shows for the typed text: best matches first, at most `limit` models in all groups.

        Every word must match; every provider with a match is represented. `larger_than`: tokens that the context window
        must exceed, where it is known; without effect if no model has a larger one. `drawing`: also models that only
        make pictures.
        """
        fitting = _larger([m for m in self.models() if m.writes or drawing], larger_than)
        groups = [
            ModelGroup(
                g.provider,
                g.label,
                best_matches([m for m in g.models if m.ref in fitting], query),
            )
            for g in self.groups()
        ]
        groups = [group for group in groups if group.models]
        shares = fair_shares([len(group.models) for group in groups], limit)
        return tuple(
            ModelGroup(group.provider, group.label, group.models[:share], len(group.models) - share)
            for group, share in zip(groups, shares, strict=True)
            if share
        )

    def default_for(
        self, preferred: Iterable[ModelRef | str | None] = (), *, drawing: bool = True
    ) -> ModelInfo | None:
        """The model to preselect; None when nothing is offered.

        The first of `preferred` that is offered (a text is `provider:name` or just a name), else the first provider's
        default, else the first model that writes text. `drawing`: a model that only makes pictures may be preferred.
        """
        for wish in preferred:
            info = self._find_any(wish)
            if info is not None and (info.writes or drawing):
                return info
        for listed in self._lists.values():
            default = listed.provider.default_model
            info = self.find(ModelRef(listed.provider.name, default)) if default else None
            if info is not None:
                return info
        return min(self.models(), key=lambda info: not info.writes, default=None)

    def find_by_name(self, text: str) -> ModelInfo | None:
        """The offered model that a text names as `provider:name` or just `name`. A name may contain colons itself."""
        provider, _, name = text.strip().partition(":")
        refs = [
            ModelRef(provider, name),
            *(ModelRef(each, text.strip()) for each in self._lists),
        ]
        return next((info for ref in refs if (info := self.find(ref)) is not None), None)

    def _find_any(self, wish: ModelRef | str | None) -> ModelInfo | None:
        if wish is None:
            return None
        return self.find_by_name(wish) if isinstance(wish, str) else self.find(wish)

    def allows(self, ref: ModelRef) -> bool:
        """Whether the operator allows this model to be used, listed or not."""
        return not self._allowed or any(matches(ref, pattern) for pattern in self._allowed)

    def mark_gone(self, ref: ModelRef) -> None:
        """Hides a model that turned out not to exist, and reloads its provider's list, which may name it again."""
        listed = self._lists.get(ref.provider)
        if listed is not None:
            listed.gone.add(ref.name)
            listed.stale.set()

    def _offered(self, listed: _ProviderModels) -> Iterable[ModelInfo]:
        return (info for info in listed.models.values() if self._offers(listed, info))

    def _offers(self, listed: _ProviderModels, info: ModelInfo) -> bool:
        return info.ref.name not in listed.gone and self.allows(info.ref)

    async def _refresh(self, listed: _ProviderModels) -> None:
        """Loads one list, and waits for the minimum time between two loads."""
        listed.failures = 0 if await self._load(listed) else listed.failures + 1
        listed.tried.set()
        await asyncio.sleep(min(self._timing.model_list_min_interval, self._pause(listed)))

    def _pause(self, listed: _ProviderModels) -> float:
        """Seconds until a list is reloaded, unless that is requested earlier. Doubles with each failure."""
        if not listed.failures:
            return self._max_age
        doublings = min(listed.failures - 1, 16)
        return min(self._max_age, self._timing.model_list_first_retry * 2.0**doublings)

    async def _load(self, listed: _ProviderModels) -> bool:
        name = listed.provider.name
        gone_before = frozenset(listed.gone)
        try:
            async with asyncio.timeout(self._timing.model_list_timeout):
                models = await listed.provider.models()
        except TimeoutError:
            log.warning("models_unavailable", provider=name, code=ModelTimeout.code)
            return False
        except ProviderError as error:
            if not listed.provider.optional:
                log.warning("models_unavailable", provider=name, code=error.code)
            return False
        except Exception:  # a list of an unexpected shape
            log.exception("models_unreadable", provider=name)
            return False
        listed.models = {info.ref.name: info for info in models}
        listed.gone -= gone_before
        return True


def matches(ref: ModelRef, pattern: str) -> bool:
    """Whether a glob pattern names this model, as `provider:name` or just `name`, in upper or lower case."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for name in (str(ref), ref.name))
