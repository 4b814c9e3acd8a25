"""Where the process keeps its data, where it listens, and what it logs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BeforeValidator, Field

from bot.config.group import SettingsGroup
from bot.config.values import DatabaseAddress, RedisAddress, Valid, lower, reveal, upper


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class ProcessSettings(SettingsGroup):
    """Database, Redis, HTTP server, shutdown and logs."""

    database_url: Annotated[
        DatabaseAddress | None,
        Valid(
            "an address such as sqlite:///bobbin.sqlite3 or postgresql://user:password@host/name"
        ),
    ] = Field(
        None,
        description="`postgresql://…` in production; unset: an SQLite file in the user's data folder",
    )
    redis_url: Annotated[
        RedisAddress | None, Valid("an address such as redis://localhost:6379/0")
    ] = Field(
        None,
        description="unset: one process; set: replicas share rate limits, stop signals and live text through it",
    )
    host: str = Field("127.0.0.1", description="where the HTTP side listens")
    port: Annotated[int, Valid("a whole number from 0 to 65535")] = Field(
        3000, ge=0, le=65535, description="its port; `0` picks a free one"
    )
    log_level: Annotated[
        LogLevel, BeforeValidator(upper), Valid("DEBUG, INFO, WARNING or ERROR")
    ] = Field(LogLevel.INFO, description="`DEBUG`, `INFO`, `WARNING` or `ERROR`")
    log_format: Annotated[
        Literal["text", "json"] | None, BeforeValidator(lower), Valid("text or json")
    ] = Field(None, description="`text` or `json`; unset: `text` on a terminal, else `json`")
    bobbin_grace: Annotated[float, Valid("a number of seconds from 0 to 3600")] = Field(
        8,
        ge=0,
        le=3600,
        description="seconds that running answers get at SIGTERM or Ctrl-C; an idle process ends at once",
    )

    def database(self) -> str:
        """The URL of the database: DATABASE_URL, or by default that of an SQLite file in the user's data folder."""
        return reveal(self.database_url) or f"sqlite:///{self.data_file('bobbin.sqlite3')}"

    @staticmethod
    def data_file(name: str) -> Path:
        """A file in the user's data folder."""
        return platformdirs.user_data_path("bobbin", appauthor=False) / name
