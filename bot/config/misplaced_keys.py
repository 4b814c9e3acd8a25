"""Detects keys and tokens in the wrong variable, by how they begin."""

from __future__ import annotations

from collections.abc import Iterator

from bot.config.group import SettingsGroup
from bot.config.values import reveal

_BEGINNINGS = {
    "xoxb-": "SLACK_BOT_TOKEN",
    "xapp-": "SLACK_APP_TOKEN",
    "sk-or-": "OPENROUTER_API_KEY",
    "sk-ant-": "ANTHROPIC_API_KEY",
    "gsk_": "GROQ_API_KEY",
    "xai-": "XAI_API_KEY",
    "AIza": "GEMINI_API_KEY",
}
"""The variable for each key that begins like this."""
_OF_SLACK = ("slack_signing_secret", "slack_client_secret")


def misplaced_keys(settings: SettingsGroup) -> Iterator[str]:
    """One line for each, which shows none of it.

    A custom server (`…_BASE_URL`) may use any provider's key, but none of Slack's tokens.
    """
    for field in type(settings).model_fields:
        if field not in _OF_SLACK and not field.endswith("_api_key"):
            continue
        key = reveal(getattr(settings, field))
        start = next((start for start in _BEGINNINGS if key.startswith(start)), None)
        if start is not None and not _belongs(settings, field, _BEGINNINGS[start]):
            yield (
                f"{field.upper()} holds what belongs into {_BEGINNINGS[start]} (it begins with {start}): move it "
                "there, or copy the right one"
            )


def _belongs(settings: SettingsGroup, field: str, owner: str) -> bool:
    if field.upper() == owner:
        return True
    address = field.replace("_api_key", "_base_url")
    return owner.endswith("_API_KEY") and address in settings.model_fields_set
