"""The prices that lists of models name, in each provider's words."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain import Price
from bot.providers.base import ProviderKind
from bot.providers.published_prices import price_of

TOLD: dict[str, tuple[ProviderKind, dict[str, Any], Price | None]] = {
    "OpenRouter": (
        "openrouter",
        {"pricing": {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"}},
        Price(3e-6, 15e-6, 3e-7),
    ),
    "OpenRouter, for nothing": ("openrouter", {"pricing": {"prompt": "0", "completion": "0"}}, Price(0, 0)),
    "OpenRouter's own choice": ("openrouter", {"pricing": {"prompt": "-1", "completion": "-1"}}, None),
    "Venice": (
        "venice",
        {"model_spec": {"pricing": {"input": {"usd": 0.5, "diem": 5}, "output": {"usd": 2}}}},
        Price(5e-7, 2e-6),
    ),
    "Venice, a picture": ("venice", {"model_spec": {"pricing": {"generation": {"usd": 0.01}}}}, None),
    "Together": ("together", {"pricing": {"input": 0.25, "output": 1.25, "hourly": 0}}, Price(2.5e-7, 1.25e-6)),
    "some other server": ("openai", {"pricing": {"input": 0.25, "output": 1.25}}, None),
    "none": ("openai", {"id": "x"}, None),
    "no mapping": ("openai", {"pricing": ["1"], "model_spec": 3}, None),
    "no number": ("openrouter", {"pricing": {"prompt": "NaN", "completion": None}}, None),
    "too much": ("openrouter", {"pricing": {"prompt": "3", "completion": "15"}}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_prices_are_read_as_each_provider_names_them(case: str) -> None:
    kind, entry, price = TOLD[case]
    found = price_of(entry, kind)
    if price is None:
        assert found is None
        return
    assert found is not None
    assert (found.prompt, found.completion, found.cached) == pytest.approx(
        (price.prompt, price.completion, price.cached)
    )
