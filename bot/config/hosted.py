"""The providers that need only a key, through their OpenAI-compatible endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from bot.config.group import SettingsGroup
from bot.config.values import NAMED_MODELS, Credential, Names, Valid, WebAddress, reveal
from bot.providers.base import ProviderSettings
from bot.providers.dialects import HOSTED, Hosted

Address = Annotated[WebAddress | None, Valid("a web address such as https://api.example.com/v1")]
_ELSEWHERE = "another address for it, such as a gateway's"


class HostedSettings(SettingsGroup):
    """A key for each provider, and its address if it is not the usual one."""

    anthropic_api_key: Credential | None = Field(None, description="Anthropic (Claude)")
    anthropic_base_url: Address = Field(None, description=_ELSEWHERE)
    anthropic_models: Names = Field((), description=NAMED_MODELS)
    gemini_api_key: Credential | None = Field(None, description="Google Gemini")
    gemini_base_url: Address = Field(None, description=_ELSEWHERE)
    gemini_models: Names = Field((), description=NAMED_MODELS)
    groq_api_key: Credential | None = Field(None, description="Groq")
    groq_base_url: Address = Field(None, description=_ELSEWHERE)
    groq_models: Names = Field((), description=NAMED_MODELS)
    mistral_api_key: Credential | None = Field(None, description="Mistral")
    mistral_base_url: Address = Field(None, description=_ELSEWHERE)
    mistral_models: Names = Field((), description=NAMED_MODELS)
    deepseek_api_key: Credential | None = Field(None, description="DeepSeek")
    deepseek_base_url: Address = Field(None, description=_ELSEWHERE)
    deepseek_models: Names = Field((), description=NAMED_MODELS)
    xai_api_key: Credential | None = Field(None, description="xAI (Grok)")
    xai_base_url: Address = Field(None, description=_ELSEWHERE)
    xai_models: Names = Field((), description=NAMED_MODELS)
    together_api_key: Credential | None = Field(None, description="Together AI")
    together_base_url: Address = Field(None, description=_ELSEWHERE)
    together_models: Names = Field((), description=NAMED_MODELS)

    def hosted_providers(self) -> Iterator[ProviderSettings]:
        """The providers whose keys are set, in the order of the model menu."""
        for hosted in HOSTED:
            if key := reveal(getattr(self, f"{hosted.kind}_api_key")):
                yield self._hosted_provider(hosted, key)

    def _hosted_provider(self, hosted: Hosted, key: str) -> ProviderSettings:
        return ProviderSettings(
            hosted.kind,
            hosted.label,
            hosted.address(getattr(self, f"{hosted.kind}_base_url")),
            key,
            models=getattr(self, f"{hosted.kind}_models"),
            kind=hosted.kind,
        )
