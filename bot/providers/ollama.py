"""Ollama: chats in the common format, but with its own format for its list of models."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from bot.domain import ModelInfo, ModelRef
from bot.errors import ProviderError, WrongAddress
from bot.providers.base import ProviderSettings
from bot.providers.model_list import has_vision_by_name
from bot.providers.openai_compatible import CONNECT_TIMEOUT, OpenAICompatible
from bot.timing import Timing

_MAX_PARALLEL_DETAILS = 4
_Details = Mapping[str, Any]


class Ollama(OpenAICompatible):
    """A local Ollama. The details of each version of a model are read once."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: ProviderSettings,
        *,
        timeout: float = 60.0,
        connect_timeout: float = CONNECT_TIMEOUT,
        timing: Timing = Timing(),
    ) -> None:
        self._server = replace(settings, base_url=settings.url("", without="/v1"))
        settings = replace(settings, base_url=self._server.url("/v1"))
        super().__init__(
            client, settings, timeout=timeout, connect_timeout=connect_timeout, timing=timing
        )
        self._details: dict[tuple[str, str], _Details] = {}

    async def models(self) -> Sequence[ModelInfo]:
        try:
            payload = await self._get(self._server.url("/api/tags"))
        except WrongAddress:  # another server, which speaks the common format
            return await super().models()
        entries = payload.get("models") if isinstance(payload, dict) else None
        named = [
            e
            for e in entries or ()
            if isinstance(e, dict) and isinstance(e.get("name"), str) and e["name"]
        ]
        limit = asyncio.Semaphore(_MAX_PARALLEL_DETAILS)
        shown = await asyncio.gather(*(self._describe(entry, limit) for entry in named))
        pairs = list(zip(named, shown, strict=True))
        self._details = {_key(entry): details for entry, details in pairs if details}
        found = (self._info(entry, details) for entry, details in pairs)
        return tuple(info for info in found if info is not None)

    async def _describe(self, entry: _Details, limit: asyncio.Semaphore) -> _Details:
        known = self._details.get(_key(entry))
        if known is not None:
            return known
        async with limit:
            try:
                body = {"model": entry["name"]}
                details = await self._json("POST", self._server.url("/api/show"), body)
            except ProviderError:
                return {}
        return details if isinstance(details, dict) else {}

    def _info(self, entry: _Details, details: _Details) -> ModelInfo | None:
        name: str = entry["name"]
        capabilities = details.get("capabilities")
        if not isinstance(capabilities, list):  # older versions do not list them
            capabilities = ["completion"] + (
                ["vision"] if has_vision_by_name(name) or _has_vision_by_family(entry) else []
            )
        if "completion" not in capabilities:
            return None
        context = _context(details.get("model_info"))
        ref = ModelRef(self.name, name)
        return ModelInfo(
            ref,
            name.removesuffix(":latest"),
            self.label,
            context=context,
            vision="vision" in capabilities,
            takes_effort="thinking" in capabilities,
        )


def _key(entry: _Details) -> tuple[str, str]:
    return entry["name"], str(entry.get("digest") or entry.get("modified_at") or "")


def _context(facts: object) -> int | None:
    for key, value in facts.items() if isinstance(facts, dict) else ():
        if str(key).endswith(".context_length") and type(value) is int:
            return value
    return None


def _has_vision_by_family(entry: _Details) -> bool:
    details = entry.get("details")
    families = details.get("families") if isinstance(details, dict) else None
    return isinstance(families, list) and bool(
        {"clip", "mllama"} & {str(family) for family in families}
    )
