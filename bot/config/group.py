"""What every group of settings has in common."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsGroup(BaseSettings):
    """Settings of one subject. Each field is an environment variable, its name in capitals."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        """The environment may contain any bytes; text that is not UTF-8 can be neither sent nor stored."""
        if isinstance(value, str):
            value.encode()  # raises a ValueError
        return value
