"""All settings. An error is one line that names the variable and says what to do; it never shows the value.

Each field's description is a row of README's table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsError as UnreadableSetting

from bot.config.access import AccessSettings
from bot.config.chats import ChatSettings
from bot.config.env_file import all_variables
from bot.config.env_file_checks import check_env_file
from bot.config.further_providers import read_further_providers
from bot.config.misplaced_keys import misplaced_keys
from bot.config.models import ModelSettings
from bot.config.network import NetworkSettings
from bot.config.process import ProcessSettings
from bot.config.slack import SlackSettings
from bot.config.tools import ToolSettings, read_tool_config
from bot.config.usage import UsageSettings
from bot.config.values import describe_problem, reveal
from bot.errors import SettingsError


class Settings(
    NetworkSettings,
    ProcessSettings,
    ToolSettings,
    UsageSettings,
    AccessSettings,
    ChatSettings,
    ModelSettings,
    SlackSettings,
):
    """All settings, typed and frozen. Printing them does not show secrets.

    Pydantic puts the fields of the last base first: Slack, models, chats, access, usage, tools, process, network.
    """

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
        if env_file is not None:
            check_env_file(env_file)
        try:
            settings = cls(_env_file=env_file)
        except ValidationError as error:
            raise SettingsError("; ".join(_problems(error))) from None
        except UnreadableSetting as error:
            raise SettingsError(f"The settings cannot be read: {error}") from None
        variables = all_variables(env_file)
        if misplaced := list(misplaced_keys(settings)):
            raise SettingsError("; ".join(misplaced))
        settings._further_providers = read_further_providers(settings.bobbin_providers, variables)
        settings._tools = read_tool_config(settings.bobbin_mcp_config, variables)
        return settings

    def changed(self, **changes: Any) -> Self:
        """A copy with these values, without validating them."""
        return self.model_copy(update=changes)

    def for_run(self) -> Self:
        """These settings, if they suffice to run on Slack. Raises SettingsError with one line."""
        problems = list(self.slack_problems())
        if problems:
            raise SettingsError("; ".join(problems))
        return self

    def secrets(self) -> tuple[str, ...]:
        """Every secret that is set, so that logs can mask them."""
        whole = (reveal(value) for _, value in self if isinstance(value, SecretStr))
        keys = (each.api_key for each in self._further_providers if each.api_key)
        return (*whole, *keys, *self._tools.secrets, *self.proxy_passwords())


class SandboxSettings(Settings):
    """The settings of `bobbin sandbox`: without those that refer to production."""

    @model_validator(mode="before")
    @classmethod
    def _stay_local(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        local = {name: value for name, value in values.items() if name not in _PRODUCTION}
        # On a terminal, a log line for each answer would bury the lines that say what to do.
        return {"log_level": "WARNING", **local}


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
        "host",
    }
)


def _problems(error: ValidationError) -> Iterator[str]:
    for name in dict.fromkeys(str(problem["loc"][0]) for problem in error.errors()):
        yield describe_problem(name.upper(), Settings.model_fields[name])
