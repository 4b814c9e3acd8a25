"""The settings. Only this module reads the environment and `.env`.

Each field is an environment variable (its name in capitals), and its description is a row of README's table. An error
is one line that names the variable and says what to do; it never shows the value, which may be a secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import platformdirs
from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSetting

from bot.errors import SettingsError
from bot.providers.base import ProviderSettings
from bot.setting_values import (
    NAMED_MODELS,
    Credential,
    DatabaseAddress,
    Globs,
    Names,
    RedisAddress,
    SlackAddress,
    WebAddress,
    lower,
    own_default_model,
    upper,
)

DEFAULT_SYSTEM_PROMPT = (
    "You are Bobbin, a helpful assistant in a Slack thread. Several people may take part; when they do, each message "
    "begins with its author's name. Answer in the language of the latest message. Be accurate and to the point, and "
    "say so when you do not know. Write standard Markdown: short paragraphs, lists and tables where they help, and "
    "code in fenced blocks that name the language."
)


class StreamMode(StrEnum):
    """How an answer is shown in Slack while the model writes it."""

    AUTO = "auto"
    NATIVE = "native"
    EDIT = "edit"


class LongChatsMode(StrEnum):
    """What is sent of a chat that no longer fits the model's window."""

    SUMMARISE = "summarise"
    WHOLE = "whole"


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Delivery(StrEnum):
    """How Slack delivers events."""

    SOCKET = "socket"
    HTTP = "http"


class Settings(BaseSettings):
    """All settings, typed and frozen. Printing them does not show secrets."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    slack_bot_token: Credential | None = Field(
        None, description="one workspace: the bot's token, `xoxb-…`"
    )
    slack_app_token: Credential | None = Field(
        None, description="Socket Mode: the app-level token, `xapp-…`"
    )
    slack_signing_secret: Credential | None = Field(
        None,
        description="HTTP mode: events, commands, interactivity and menus all at `POST /slack/events`",
    )
    slack_client_id: str | None = Field(
        None,
        description="many workspaces: install at `/slack/install`, Slack returns to `/slack/oauth_redirect`",
    )
    slack_client_secret: Credential | None = Field(None, description="goes with `SLACK_CLIENT_ID`")
    bobbin_secret_key: SecretStr | None = Field(
        None,
        description="any long random text; encrypts the tokens of installed workspaces in the database",
    )
    slack_api_url: SlackAddress = Field(
        "https://slack.com/api/",
        description="base of Slack's Web API; Slack for government, a proxy, a test double",
    )
    openrouter_api_key: Credential | None = Field(
        None, description="OpenRouter: every model in its list"
    )
    openrouter_base_url: WebAddress = Field(
        "https://openrouter.ai/api/v1", description="where OpenRouter is"
    )
    venice_api_key: Credential | None = Field(None, description="Venice")
    venice_base_url: WebAddress = Field(
        "https://api.venice.ai/api/v1", description="where Venice is"
    )
    venice_chat_model: str = Field("venice-uncensored", description="Venice's preselected model")
    openai_api_key: Credential | None = Field(None, description="OpenAI")
    openai_base_url: WebAddress | None = Field(
        None,
        description="any server that speaks OpenAI's chat completions (vLLM, llama.cpp, LiteLLM, LM Studio), with or "
        "without a key; unset: OpenAI itself",
    )
    ollama_base_url: WebAddress | None = Field(
        None,
        description="a local Ollama; unset: used when one is found running at `http://localhost:11434`",
    )
    openrouter_models: Names = Field((), description=NAMED_MODELS)
    venice_models: Names = Field((), description=NAMED_MODELS)
    openai_models: Names = Field((), description=NAMED_MODELS)
    ollama_models: Names = Field((), description=NAMED_MODELS)
    bobbin_default_model: str | None = Field(None, description="the model preselected in the menu")
    bobbin_title_model: str | None = Field(
        None, description="the model that writes titles; unset: the chat's own"
    )
    bobbin_system_prompt: str = Field(
        DEFAULT_SYSTEM_PROMPT,
        description="the fixed instruction sent first with every request; a sensible default",
    )
    bobbin_max_messages: int = Field(
        100, ge=2, description="messages a chat may hold, those of people and of the model together"
    )
    bobbin_stream: Annotated[StreamMode, BeforeValidator(lower)] = Field(
        StreamMode.AUTO,
        description="`native` streams as Slack's own AI apps do, visible live to the asker alone; `edit` edits the "
        "message, visible live to all; `auto` begins native and edits once a second person takes part or native fails",
    )
    bobbin_long_chats: Annotated[LongChatsMode, BeforeValidator(lower)] = Field(
        LongChatsMode.SUMMARISE,
        description="when a chat no longer fits the model's window: `summarise` sends a stored summary in place of its "
        "middle; `whole` replaces nothing, and the person is told and offered a way on",
    )
    bobbin_model_timeout: float = Field(
        60,
        gt=0,
        le=3600,
        description="seconds in which the model says nothing (no text, no sign of reasoning; keep-alive signals do "
        "not count) before the answer counts as failed",
    )
    bobbin_grace: float = Field(
        8,
        ge=0,
        le=3600,
        description="seconds that running answers get at SIGTERM or Ctrl-C; an idle process ends at once",
    )
    bobbin_allowed_models: Globs = Field(
        (),
        description="glob patterns, separated by commas or spaces; only these models are offered and accepted",
    )
    database_url: DatabaseAddress | None = Field(
        None,
        description="`postgresql://…` in production; unset: an SQLite file in the user's data folder",
    )
    redis_url: RedisAddress | None = Field(
        None,
        description="unset: one process; set: replicas share rate limits, stop signals and live text through it",
    )
    host: str = Field("127.0.0.1", description="where the HTTP side listens")
    port: int = Field(3000, ge=0, le=65535, description="its port; `0` picks a free one")
    log_level: Annotated[LogLevel, BeforeValidator(upper)] = Field(
        LogLevel.INFO, description="`DEBUG`, `INFO`, `WARNING` or `ERROR`"
    )
    log_format: Annotated[Literal["text", "json"] | None, BeforeValidator(lower)] = Field(
        None, description="`text` or `json`; unset: `text` on a terminal, else `json`"
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        stripped = {
            key: value.strip() if isinstance(value, str) else value for key, value in values.items()
        }
        return {key: value for key, value in stripped.items() if value != ""}

    @classmethod
    def load(cls, env_file: str | Path | None = ".env") -> Self:
        """Reads the environment, then `env_file`, then the defaults. Raises SettingsError with one line."""
        try:
            return cls(_env_file=env_file)
        except ValidationError as error:
            raise SettingsError("; ".join(_problems(error))) from None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{env_file} cannot be read ({error}). Make it a readable UTF-8 file."
            ) from None
        except UnreadableSetting as error:
            raise SettingsError(f"The settings cannot be read: {error}") from None

    def changed(self, **changes: Any) -> Self:
        """A copy with these values, which are not validated."""
        return self.model_copy(update=changes)

    @property
    def delivery(self) -> Delivery:
        return Delivery.SOCKET if self.slack_app_token else Delivery.HTTP

    @property
    def many_workspaces(self) -> bool:
        """Whether workspaces install the app by themselves. Otherwise `SLACK_BOT_TOKEN` determines the only one."""
        return bool(self.slack_client_id and self.slack_client_secret)

    def for_run(self) -> Self:
        """These settings, if they suffice to run on Slack. Raises SettingsError with one line."""
        problems = list(self.slack_problems())
        if problems:
            raise SettingsError("; ".join(problems))
        return self

    def slack_problems(self) -> Iterator[str]:
        """What is missing or wrong for running on Slack, in one sentence each."""
        yield from self._identity_problems()
        if self.slack_app_token:
            if not _reveal(self.slack_app_token).startswith("xapp-"):
                yield "SLACK_APP_TOKEN must begin with xapp- (from the Slack app's Basic Information, App-Level Tokens)"
        elif not self.slack_signing_secret:
            yield (
                "SLACK_APP_TOKEN is missing: set it to the app-level token (xapp-…) for Socket Mode, "
                "or SLACK_SIGNING_SECRET for HTTP"
            )

    def _identity_problems(self) -> Iterator[str]:
        if self.slack_client_id and not self.slack_client_secret:
            yield "SLACK_CLIENT_SECRET is missing: set it beside SLACK_CLIENT_ID, or remove both"
        elif self.slack_client_secret and not self.slack_client_id:
            yield "SLACK_CLIENT_ID is missing: set it beside SLACK_CLIENT_SECRET, or remove both"
        elif self.many_workspaces:
            if not _reveal(self.bobbin_secret_key).strip(" ,"):
                yield "BOBBIN_SECRET_KEY is missing: set it to a long random text, kept as safe as a password"
        elif not self.slack_bot_token:
            yield "SLACK_BOT_TOKEN is missing: set it to the bot's token, xoxb-…, from the app's OAuth & Permissions"
        elif not _reveal(self.slack_bot_token).startswith("xoxb-"):
            yield "SLACK_BOT_TOKEN must begin with xoxb- (from the Slack app's OAuth & Permissions)"

    def providers(self) -> tuple[ProviderSettings, ...]:
        """The providers that are configured, in the order of the model menu."""
        configured = (*self._hosted(), *self._own_servers())
        default = own_default_model(self.bobbin_default_model, [each.name for each in configured])
        return tuple(
            replace(each, models=getattr(self, f"{each.name}_models") or default(each.name))
            for each in configured
        )

    def local_ollama(self) -> ProviderSettings | None:
        """The Ollama that may run at its usual address; None when OLLAMA_BASE_URL is set."""
        if self.ollama_base_url:
            return None
        return ProviderSettings(
            "ollama", "Ollama", "http://localhost:11434", kind="ollama", optional=True
        )

    def _hosted(self) -> Iterator[ProviderSettings]:
        if key := _reveal(self.openrouter_api_key):
            yield ProviderSettings(
                "openrouter", "OpenRouter", self.openrouter_base_url, key, kind="openrouter"
            )
        if key := _reveal(self.venice_api_key):
            model = self.venice_chat_model
            yield ProviderSettings(
                "venice", "Venice", self.venice_base_url, key, model, kind="venice"
            )

    def _own_servers(self) -> Iterator[ProviderSettings]:
        if self.openai_api_key or self.openai_base_url:
            url = self.openai_base_url or "https://api.openai.com/v1"
            label = "OpenAI" if urlsplit(url).hostname == "api.openai.com" else "OpenAI-compatible"
            yield ProviderSettings("openai", label, url, _reveal(self.openai_api_key) or None)
        if self.ollama_base_url:
            yield ProviderSettings("ollama", "Ollama", self.ollama_base_url, kind="ollama")

    def database(self) -> str:
        """The URL of the database: DATABASE_URL, else that of an SQLite file in the user's data folder."""
        return _reveal(self.database_url) or f"sqlite:///{self.data_file('bobbin.sqlite3')}"

    def data_file(self, name: str) -> Path:
        """A file in the user's data folder."""
        return platformdirs.user_data_path("bobbin", appauthor=False) / name

    def secrets(self) -> tuple[str, ...]:
        """Every secret that is set, so that logs can mask them."""
        return tuple(_reveal(value) for _, value in self if isinstance(value, SecretStr))


class SandboxSettings(Settings):
    """What `bobbin sandbox` reads: nothing that leads to a real Slack, its database or its Redis."""

    @model_validator(mode="before")
    @classmethod
    def _stay_local(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if name not in _PRODUCTION}


_PRODUCTION = frozenset(
    {
        "slack_bot_token",
        "slack_app_token",
        "slack_signing_secret",
        "slack_client_id",
        "slack_client_secret",
        "slack_api_url",
        "bobbin_secret_key",
        "database_url",
        "redis_url",
    }
)


def unknown_settings(env_file: str | Path = ".env") -> tuple[str, ...]:
    """One line for each `BOBBIN_…` variable that no setting has, with the nearest one that exists."""
    known = [name.upper() for name in Settings.model_fields]
    set_here = {name.upper() for name in (*os.environ, *_names_in(Path(env_file)))}
    return tuple(
        _unknown(name, known)
        for name in sorted(set_here)
        if name.startswith("BOBBIN_") and name not in known
    )


def _names_in(env_file: Path) -> Iterable[str]:
    return dotenv_values(env_file, interpolate=False) if env_file.is_file() else ()


def _unknown(name: str, known: Sequence[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    advice = f"did you mean {nearest[0]}?" if nearest else "README lists the settings"
    return f"{name} is not a setting and has no effect; {advice}"


def no_models() -> SettingsError:
    """The error for when no provider is set and no Ollama is running."""
    return SettingsError(
        "No model provider: set OPENROUTER_API_KEY, VENICE_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL, "
        "or start Ollama (OLLAMA_BASE_URL)"
    )


def _reveal(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


_VALID_VALUES = {
    "slack_api_url": "a web address such as https://slack.com/api/",
    "openrouter_base_url": "a web address such as https://openrouter.ai/api/v1",
    "venice_base_url": "a web address such as https://api.venice.ai/api/v1",
    "openai_base_url": "a web address such as https://api.openai.com/v1",
    "ollama_base_url": "a web address such as http://localhost:11434",
    "bobbin_max_messages": "a whole number, 2 or more",
    "bobbin_stream": "auto, native or edit",
    "bobbin_long_chats": "summarise or whole",
    "bobbin_model_timeout": "a number of seconds above 0, at most 3600",
    "bobbin_grace": "a number of seconds from 0 to 3600",
    "database_url": "an address such as sqlite:///bobbin.sqlite3 or postgresql://user:password@host/name",
    "redis_url": "an address such as redis://localhost:6379/0",
    "port": "a whole number from 0 to 65535",
    "log_level": "DEBUG, INFO, WARNING or ERROR",
    "log_format": "text or json",
}


_VALID_CREDENTIAL = (
    "must be the key, token or secret as its provider shows it, without blanks, quotation marks, "
    "an ellipsis (…) or invisible characters; copy it again, whole"
)


def _problems(error: ValidationError) -> Iterator[str]:
    for name in dict.fromkeys(str(problem["loc"][0]) for problem in error.errors()):
        valid = _VALID_VALUES.get(name)
        if valid is None:
            yield f"{name.upper()} {_VALID_CREDENTIAL}"
        else:
            yield f"{name.upper()} must be {valid}; change it, or remove it for the default"
