"""Model prices from the lists of those providers that publish them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.domain import Price
from bot.providers.base import ProviderKind

_MILLION = 1e6
_MAX_PRICE = 0.01
"""US dollars per token: a higher price is a mistake."""


def price_of(entry: Mapping[str, Any], kind: ProviderKind) -> Price | None:
    """The price in a list's entry, in the format of OpenRouter, Venice or Together; None unless both prices are given.

    OpenRouter gives the price of one token, as text, and -1 for a model that stands for others; the others give that of
    a million tokens.
    """
    spec = entry.get("model_spec")
    holder = spec if isinstance(spec, dict) else entry
    pricing = holder.get("pricing")
    if not isinstance(pricing, dict):
        return None
    if "prompt" in pricing:
        names, tokens = ("prompt", "completion", "input_cache_read"), 1.0
    elif kind == "together" or isinstance(pricing.get("input"), dict):
        names, tokens = ("input", "output", "cache_input"), _MILLION
    else:
        return None
    prompt, completion, cached = (_dollars(pricing.get(name), tokens) for name in names)
    if prompt is None or completion is None:
        return None
    return Price(prompt, completion, cached)


def _dollars(value: Any, tokens: float) -> float | None:
    """For one token."""
    stated: Any = value.get("usd") if isinstance(value, dict) else value
    try:
        price = float(stated) / tokens
    except (TypeError, ValueError):
        return None
    return price if 0 <= price <= _MAX_PRICE else None
