"""Parses a provider's list of models, in each provider's format, for the menu. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain import ModelInfo, ModelRef
from bot.errors import InvalidResponse
from bot.providers.base import ProviderKind, ProviderSettings
from bot.providers.dialects import can_search, takes_pdfs
from bot.providers.errors import error_from_object, find_error
from bot.providers.published_prices import price_of

_NOT_FOR_CHAT = re.compile(
    r"(^|/)(whisper|tts-|dall-e|babbage-|davinci-|gpt-3\.5-turbo-instruct|gpt-image|chatgpt-image|gpt-audio|sora"
    r"|imagen-|veo-|lyria-|aqa$|grok-(2-image|imagine)|flux|stable-diffusion|sdxl|bge-|e5-|gte-|nomic-|voyage-|colbert"
    r"|all-minilm|mxbai-|jina-|playai-|orpheus|speech-|parakeet|kokoro)"
    r"|-(realtime|transcribe|transcription|tts|embeddings?|audio-preview|native-audio|live|ocr)\b"
    r"|\b(\w*embed(ding|dings)?|re-?rank(er)?|moderation|(prompt-|llama-)?guard(rails?)?|shieldgemma|safeguard)\b"
    r"|\b(text-to-(speech|image|video)|speech-to-text)\b"
)
"""Names of models that only embed, rank, speak, transcribe, moderate or draw, for lists that do not say so."""
_CHATS = frozenset({"text", "llm", "vlm", "chat"})
_DOES_NOT_CHAT = frozenset(
    {
        "image", "images", "embedding", "embeddings", "tts", "asr", "stt", "upscale", "inpaint", "video", "music",
        "audio", "speech", "transcribe", "transcription", "rerank", "reranker", "moderation", "language",
    }
)  # fmt: skip
"""Kinds of models, as lists name them. Together's `language` models only complete a text."""

_ANSWERS = frozenset({"text", "image"})
"""What an answer may consist of, as lists name the outputs of a model."""
_HAS_VISION = re.compile(
    r"(^|/)(gpt-4o|gpt-4\.1|gpt-4-turbo|gpt-5|chatgpt-4o|o1$|o1-20|o3|o4|gemini|claude-(3|opus|sonnet|haiku)|gemma-?3"
    r"|llama-?4|pixtral|llava|minicpm-v|moondream)|vision|[-_]vl\b"
)
"""Model families with vision, for servers whose list does not say."""

_TAKES_EFFORT = re.compile(
    r"(^|/)(o1(?!-(mini|preview))|o[34]|gpt-([5-9]|oss)(?!.*-chat)|gemini-(2\.5|[3-9])|grok-3-mini|grok-4\.[3-9]"
    r"|mistral-(small|medium-3[.-]5|large-4))\b"
)
"""Model families whose reasoning effort can be set, for servers whose list does not say so. A wrong match costs one
more request.
"""


def parse_models(payload: Any, settings: ProviderSettings) -> tuple[ModelInfo, ...]:
    """The chat models of a list, in its order, without duplicates. Raises ProviderError if it is not a list."""
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


def names_in(payload: Any) -> frozenset[str]:
    """The ids of a list's models, of every kind."""
    entries = payload.get("data", payload.get("models")) if isinstance(payload, dict) else payload
    named = (each.get("id") for each in entries or () if isinstance(each, dict))
    return frozenset(name for name in named if isinstance(name, str))


def has_vision_by_name(name: str) -> bool:
    """Whether a model of this name is known to accept images."""
    return _HAS_VISION.search(name.lower()) is not None


def _model(entry: Mapping[str, Any], settings: ProviderSettings) -> ModelInfo | None:
    name = entry.get("id") or entry.get("name")
    if not isinstance(name, str) or not name.strip() or not _can_chat(name, entry):
        return None
    if settings.kind == "gemini":
        name = name.removeprefix("models/")
    spec = _mapping(entry.get("model_spec"))
    if spec.get("offline") is True or entry.get("active") is False:
        return None
    label = _label(name, entry, spec, settings)
    sees = _vision(name, entry, spec)
    return ModelInfo(
        ref=ModelRef(settings.name, name),
        label=" ".join(label.split()),
        provider_label=settings.label,
        context=_context(entry, spec),
        vision=sees,
        draws="image" in (outputs := _modalities(entry, "output_modalities") or ()),
        writes=not outputs or "text" in outputs,
        takes_pdfs=takes_pdfs(settings, sees=sees),
        searches=can_search(settings.kind) and _searches(spec),
        takes_effort=_takes_effort(name, entry, spec, settings.kind),
        price=price_of(entry, settings.kind),
    )


def _label(
    name: str, entry: Mapping[str, Any], spec: Mapping[str, Any], settings: ProviderSettings
) -> str:
    texts = [entry.get("display_name"), entry.get("name"), spec.get("name")]
    if (
        settings.kind == "mistral"
    ):  # lists each model under all its names, and puts the first one into each
        texts = []
    return next((text for text in texts if isinstance(text, str) and text.strip()), name)


def _can_chat(name: str, entry: Mapping[str, Any]) -> bool:
    outputs = _modalities(entry, "output_modalities")
    if outputs is not None:
        return not _ANSWERS.isdisjoint(outputs)
    declared = _capability(entry, "completion_chat", "chat_completion")
    if declared is not None:
        return declared
    kind = entry.get("type")
    if kind in _CHATS:
        return True
    return kind not in _DOES_NOT_CHAT and not _NOT_FOR_CHAT.search(name.lower())


def _context(entry: Mapping[str, Any], spec: Mapping[str, Any]) -> int | None:
    values = (
        entry.get("context_length"),
        entry.get("max_model_len"),
        entry.get("max_context_length"),
        entry.get("context_window"),
        entry.get("max_input_tokens"),
        spec.get("availableContextTokens"),
    )
    return next((value for value in values if type(value) is int and value > 0), None)


def _vision(name: str, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    inputs = _modalities(entry, "input_modalities")
    if inputs is not None:
        return "image" in inputs
    declared = _capability(spec, "supportsVision")
    if declared is None:
        declared = _capability(entry, "vision", "image_input")
    if declared is not None:
        return declared
    return entry.get("type") == "vlm" or has_vision_by_name(name)


def _searches(spec: Mapping[str, Any]) -> bool:
    """False if the list says that this model cannot use search results."""
    return _capability(spec, "supportsWebSearch") is not False


def _takes_effort(
    name: str, entry: Mapping[str, Any], spec: Mapping[str, Any], kind: ProviderKind
) -> bool:
    """Whether its reasoning effort can be set, according to the list or else the provider's documentation."""
    parameters = entry.get("supported_parameters")
    if isinstance(parameters, list):
        return not {"reasoning", "reasoning_effort"}.isdisjoint(map(str, parameters))
    declared = _capability(spec, "supportsReasoningEffort")
    if declared is not None or kind in ("openrouter", "venice", "anthropic"):
        return bool(declared)
    return kind == "deepseek" or _TAKES_EFFORT.search(name.lower()) is not None


def _capability(holder: Mapping[str, Any], *names: str) -> bool | None:
    """Whether a model has a capability, if it lists its capabilities: `true`, or `{"supported": true}`."""
    capabilities = _mapping(holder.get("capabilities"))
    for name in names:
        value = capabilities.get(name)
        value = value.get("supported") if isinstance(value, dict) else value
        if isinstance(value, bool):
            return value
    return None


def _modalities(entry: Mapping[str, Any], which: str) -> Sequence[Any] | None:
    for holder in (_mapping(entry.get("architecture")), entry):
        if isinstance(holder.get(which), list):
            return list(holder[which])
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
