"""Parses a provider's list of models, in each provider's format, into what the menu offers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain import ModelInfo, ModelRef
from bot.errors import InvalidResponse
from bot.providers.base import ProviderSettings
from bot.providers.errors import error_from_object, find_error

_NOT_FOR_CHAT = re.compile(
    r"(^|/)(text-embedding|whisper|tts-|dall-e|babbage-|davinci-|omni-moderation|text-moderation|gpt-image|sora)"
    r"|-(realtime|transcribe|tts|embedding)\b|\bembed(ding)?\b"
)
"""Names of models that cannot chat: OpenAI's, and others that are served beside chat models."""

_HAS_VISION = re.compile(
    r"(^|/)(gpt-4o|gpt-4\.1|gpt-4-turbo|gpt-5|chatgpt-4o|o1$|o1-20|o3|o4|gemini|claude-(3|opus|sonnet|haiku)|gemma-?3"
    r"|llama-?4|pixtral|llava|minicpm-v|moondream)|vision|[-_]vl\b"
)
"""Model families with vision, for servers whose list does not say."""


def parse_models(payload: Any, settings: ProviderSettings) -> tuple[ModelInfo, ...]:
    """The chat models of a list, in its order, without duplicates. Raises ProviderError when it is no list."""
    entries = payload.get("data", payload.get("models")) if isinstance(payload, dict) else payload
    if not isinstance(entries, list):
        error = find_error(payload)
        raise (
            error_from_object(error)
            if error is not None
            else InvalidResponse("not a list of models")
        )
    found: dict[str, ModelInfo] = {}
    for entry in entries:
        info = _model(entry, settings) if isinstance(entry, dict) else None
        if info is not None:
            found.setdefault(info.ref.name, info)
    return tuple(found.values())


def has_vision_by_name(name: str) -> bool:
    """Whether a model of this name is known to accept images."""
    return _HAS_VISION.search(name.lower()) is not None


def _model(entry: Mapping[str, Any], settings: ProviderSettings) -> ModelInfo | None:
    name = entry.get("id") or entry.get("name")
    if not isinstance(name, str) or not name.strip() or not _can_chat(name, entry):
        return None
    spec = _mapping(entry.get("model_spec"))
    if spec.get("offline") is True:
        return None
    label = next(
        (
            text
            for text in (entry.get("name"), spec.get("name"))
            if isinstance(text, str) and text.strip()
        ),
        name,
    )
    return ModelInfo(
        ref=ModelRef(settings.name, name),
        label=" ".join(label.split()),
        provider_label=settings.label,
        context=_context(entry, spec),
        vision=_vision(name, entry, spec),
    )


def _can_chat(name: str, entry: Mapping[str, Any]) -> bool:
    outputs = _modalities(entry, "output_modalities")
    if outputs is not None:
        return "text" in outputs
    kind = entry.get("type")
    if kind in ("text", "llm", "vlm", "chat"):
        return True
    if kind in (
        "image",
        "embedding",
        "embeddings",
        "tts",
        "asr",
        "upscale",
        "inpaint",
        "video",
        "music",
        "audio",
        "rerank",
    ):
        return False
    return not _NOT_FOR_CHAT.search(name.lower())


def _context(entry: Mapping[str, Any], spec: Mapping[str, Any]) -> int | None:
    values = (
        entry.get("context_length"),
        entry.get("max_model_len"),
        entry.get("max_context_length"),
        entry.get("context_window"),
        spec.get("availableContextTokens"),
    )
    return next((value for value in values if type(value) is int and value > 0), None)


def _vision(name: str, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    inputs = _modalities(entry, "input_modalities")
    if inputs is not None:
        return "image" in inputs
    declared = _mapping(spec.get("capabilities")).get(
        "supportsVision", _mapping(entry.get("capabilities")).get("vision")
    )
    if isinstance(declared, bool):
        return declared
    return entry.get("type") == "vlm" or has_vision_by_name(name)


def _modalities(entry: Mapping[str, Any], which: str) -> Sequence[Any] | None:
    for holder in (_mapping(entry.get("architecture")), entry):
        if isinstance(holder.get(which), list):
            return list(holder[which])
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
