"""Which offered models a budget in US dollars can't count, because their cost is unknown so far."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass

from bot import english_strings
from bot.domain import ModelInfo, ModelRef
from bot.errors import StorageError
from bot.observability import get_logger
from bot.providers.base import ProviderSettings
from bot.providers.catalogue import Catalogue
from bot.providers.dialects import reports_cost
from bot.usage.limits import Limits, Unit
from storage.ledger import Ledger

log = get_logger(__name__)

_MAX_NAMED = 10
_LISTS_WAIT = 30.0
"""Seconds after the start within which the providers' lists of models arrive; otherwise the operator is not warned."""


@dataclass(frozen=True, slots=True)
class ModelsWithoutPrice:
    """Models whose costs do not count under these settings."""

    variables: tuple[str, ...]
    models: tuple[ModelRef, ...]

    def __str__(self) -> str:
        """One line for operators."""
        names = ", ".join(map(str, self.models[:_MAX_NAMED]))
        more = len(self.models) - _MAX_NAMED
        if more > 0:
            names += english_strings.AND_MORE.format(count=more)
        return english_strings.MODELS_WITHOUT_PRICE.format(names=names)


async def uncounted(
    limits: Limits,
    models: Iterable[ModelInfo],
    providers: Collection[ProviderSettings],
    ledger: Ledger,
) -> ModelsWithoutPrice | None:
    """None if there is no budget in US dollars, or every model counts in it. Raises StorageError."""
    dollars = [each for each in limits.budgets if each.unit is Unit.USD]
    if not dollars:
        return None
    reported = {each.name for each in providers if reports_cost(each.kind)}
    priced = await ledger.priced_models()
    refs = [info.ref for info in models if info.price is None and info.ref.provider not in reported]
    unpriced = tuple(ref for ref in refs if str(ref) not in priced)
    variables = tuple(f"BOBBIN_BUDGET_{each.scope.upper()}" for each in dollars)
    return ModelsWithoutPrice(variables, unpriced) if unpriced else None


async def warn_of_uncounted(
    limits: Limits,
    catalogue: Catalogue,
    providers: Collection[ProviderSettings],
    ledger: Ledger,
) -> None:
    """Warns the operator in the log, once the lists of models have been loaded."""
    await catalogue.ready(_LISTS_WAIT)
    with suppress(StorageError):
        if found := await uncounted(limits, catalogue.models(), providers, ledger):
            log.warning("models_without_price", settings=found.variables, problem=str(found))
