"""Which model servers there are, and which of their models are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr

from bot.config.hosted import HostedSettings
from bot.config.values import (
    NAMED_MODELS,
    Credential,
    Globs,
    Names,
    Valid,
    WebAddress,
    own_default_model,
    reveal,
)
from bot.errors import SettingsError
from bot.providers.base import ProviderSettings
from bot.providers.dialects import HOSTED


class ModelSettings(HostedSettings):
    """Any number of providers, and which of their models to offer."""

    openrouter_api_key: Credential | None = Field(
        None, description="OpenRouter: every model in its list"
    )
    openrouter_base_url: Annotated[
        WebAddress, Valid("a web address such as https://openrouter.ai/api/v1")
    ] = Field("https://openrouter.ai/api/v1", description="where OpenRouter is")
    venice_api_key: Credential | None = Field(None, description="Venice")
    venice_base_url: Annotated[
        WebAddress, Valid("a web address such as https://api.venice.ai/api/v1")
    ] = Field("https://api.venice.ai/api/v1", description="where Venice is")
    venice_chat_model: str = Field("venice-uncensored", description="Venice's preselected model")
    openai_api_key: Credential | None = Field(None, description="OpenAI")
    openai_base_url: Annotated[
        WebAddress | None, Valid("a web address such as https://api.openai.com/v1")
    ] = Field(
        None,
        description="any server that speaks OpenAI's chat completions (vLLM, llama.cpp, LiteLLM, LM Studio), with or "
        "without a key; unset: OpenAI itself",
    )
    ollama_base_url: Annotated[
        WebAddress | None, Valid("a web address such as http://localhost:11434")
    ] = Field(
        None,
        description="a local Ollama; unset: used when one is found running at `http://localhost:11434`",
    )
    bobbin_providers: Names = Field(
        (),
        description="names of further servers that speak OpenAI's chat completions, separated by commas or spaces; for "
        "each `NAME_BASE_URL`, and optionally `NAME_API_KEY`, `NAME_LABEL` (its heading in the menu), `NAME_MODELS`",
    )
    openrouter_models: Names = Field((), description=NAMED_MODELS)
    venice_models: Names = Field((), description=NAMED_MODELS)
    openai_models: Names = Field((), description=NAMED_MODELS)
    ollama_models: Names = Field((), description=NAMED_MODELS)
    bobbin_default_model: str | None = Field(None, description="the model preselected in the menu")
    bobbin_title_model: str | None = Field(
        None, description="the model that writes titles; unset: the chat's own"
    )
    bobbin_transcribe_model: str | None = Field(
        None,
        description="the model that turns voice clips into text, as `provider:model` (`groq:whisper-large-v3`); it is "
        "asked at its provider's `/audio/transcriptions`; unset, or not allowed by BOBBIN_ALLOWED_MODELS: voice clips "
        "are not read",
    )
    bobbin_allowed_models: Globs = Field(
        (),
        description="glob patterns, separated by commas or spaces; only these models are offered and accepted",
    )
    bobbin_model_timeout: Annotated[float, Valid("a number of seconds above 0, at most 3600")] = (
        Field(
            60,
            gt=0,
            le=3600,
            description="seconds in which the model says nothing (no text, no sign of reasoning; keep-alive signals do "
            "not count) before the answer counts as failed",
        )
    )

    _further_providers: tuple[ProviderSettings, ...] = PrivateAttr(())
    """The providers in `bobbin_providers`, whose variables are not fields."""

    def providers(self) -> tuple[ProviderSettings, ...]:
        """The providers that are configured, in the order of the model menu."""
        configured = (
            *self._routers(),
            *self.hosted_providers(),
            *self._openai(),
            *self._further_providers,
            *self._ollama(),
        )
        default = own_default_model(self.bobbin_default_model, [each.name for each in configured])
        return tuple(replace(each, models=each.models or default(each.name)) for each in configured)

    def local_ollama(self) -> ProviderSettings | None:
        """The Ollama that may be running at its usual address; None when OLLAMA_BASE_URL is set."""
        if self.ollama_base_url:
            return None
        return ProviderSettings(
            "ollama", "Ollama", "http://localhost:11434", kind="ollama", optional=True
        )

    def _routers(self) -> Iterator[ProviderSettings]:
        """The providers that offer other companies' models."""
        if key := reveal(self.openrouter_api_key):
            yield ProviderSettings(
                "openrouter",
                "OpenRouter",
                self.openrouter_base_url,
                key,
                models=self.openrouter_models,
                kind="openrouter",
            )
        if key := reveal(self.venice_api_key):
            yield ProviderSettings(
                "venice",
                "Venice",
                self.venice_base_url,
                key,
                self.venice_chat_model,
                self.venice_models,
                kind="venice",
            )

    def _openai(self) -> Iterator[ProviderSettings]:
        if self.openai_api_key or self.openai_base_url:
            url = self.openai_base_url or "https://api.openai.com/v1"
            label = "OpenAI" if urlsplit(url).hostname == "api.openai.com" else "OpenAI-compatible"
            key = reveal(self.openai_api_key) or None
            yield ProviderSettings("openai", label, url, key, models=self.openai_models)

    def _ollama(self) -> Iterator[ProviderSettings]:
        if self.ollama_base_url:
            yield ProviderSettings(
                "ollama", "Ollama", self.ollama_base_url, models=self.ollama_models, kind="ollama"
            )


NO_TRANSCRIBER = (
    "BOBBIN_TRANSCRIBE_MODEL names no provider that is set: write it as provider:model, "
    "such as groq:whisper-large-v3"
)


def not_allowed(model: str) -> str:
    """What is wrong with a setting that names this model."""
    return f"BOBBIN_ALLOWED_MODELS does not allow {model}: add it there"


def no_models() -> SettingsError:
    """The error for a setup without any provider or running Ollama."""
    keys = ", ".join(f"{each.kind.upper()}_API_KEY" for each in HOSTED)
    return SettingsError(
        f"No model provider: set OPENROUTER_API_KEY, VENICE_API_KEY, OPENAI_API_KEY, {keys}, "
        "or OPENAI_BASE_URL or BOBBIN_PROVIDERS for servers of your own, or start Ollama (OLLAMA_BASE_URL)"
    )
