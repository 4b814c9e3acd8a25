"""The work of `bobbin sandbox`: a local Slack and the bot in it, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import get_args

from pydantic import SecretStr
from starlette.routing import Mount

from bot import english_strings
from bot.api.server import address_problem
from bot.app import build
from bot.commands.app_workspace import WorkspaceOptions
from bot.config.chats import SearchMode
from bot.config.settings import Settings
from bot.config.suspicious import suspicious_settings
from bot.errors import SettingsError
from bot.manifest import bot_scopes, manifest, optional_scopes
from bot.observability import configure_logging, get_logger
from bot.providers.base import ProviderKind, ProviderSettings
from bot.runtime.shutdown import shutdown_on_signal
from bot.sandbox import Sandbox, WorkspaceFile
from bot.sandbox.limits import Limits
from bot.sandbox.models.server import create_models_app
from bot.tools import demo_server
from bot.tools.config import ToolConfig, ToolServer

log = get_logger(__name__)

_WITH_KEY = frozenset(get_args(ProviderKind)) - {"ollama"}


async def sandbox(
    settings: Settings,
    options: WorkspaceOptions,
    on_ready: Callable[[str, str], None],
    limits: Limits | None = None,
) -> None:
    """Runs both. `on_ready` is called with the addresses of the page and of the bot's HTTP side.

    `limits`: what this Slack allows; by default the real Slack's limits.
    """
    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    for problem in suspicious_settings():
        log.warning("unknown_setting", problem=problem)
    file = options.open_file()
    if options.fresh:
        _delete_chats(options.data)
    async with (
        shutdown_on_signal() as shutdown,
        _local_slack(settings, options, file, limits) as slack,
    ):
        slack.workspace.user("alice").is_admin = True  # so that people can try what admins may do
        own = _settings_in(slack, settings, options)
        async with build(own, _demo_models(slack)) as bot:
            if not await bot.transport.until_connected():
                raise SettingsError("the bot could not connect to its own sandbox")
            on_ready(slack.url, bot.url)
            await shutdown.wait()


def _local_slack(
    settings: Settings, options: WorkspaceOptions, file: WorkspaceFile, limits: Limits | None
) -> Sandbox:
    app = manifest()
    features = app["features"]
    return Sandbox(
        limits=limits,
        host=options.host,
        port=options.port,
        scopes=bot_scopes() | optional_scopes(),
        events=app["settings"]["event_subscriptions"]["bot_events"],
        commands=features.get("slash_commands", ()),
        shortcuts=features.get("shortcuts", ()),
        tips=_tips(settings),
        mounts=[Mount("/models/v1", create_models_app())],
        file=file,
    )


def _settings_in(slack: Sandbox, settings: Settings, options: WorkspaceOptions) -> Settings:
    """The settings of the bot in this Slack. Many may belong to a production bot on this machine."""
    _warn_of_rules_elsewhere(slack, settings)
    changes: dict[str, object] = {
        "slack_bot_token": SecretStr(slack.bot_token),
        "slack_app_token": SecretStr(slack.app_token),
        "slack_api_url": slack.api_url,
        "database_url": SecretStr(f"sqlite:///{options.data}"),
        "host": options.host,
    }
    if "port" not in settings.model_fields_set:
        changes["port"] = 0
    elif "PORT" not in os.environ and address_problem(options.host, settings.port):
        changes["port"] = 0
        _warn_of_left_out("PORT", "it is in use, perhaps by the bot that this .env is for")
    if settings.providers():
        return settings.changed(**changes)
    return _with_everything_to_try(settings.changed(**changes), options.data)


def _warn_of_rules_elsewhere(slack: Sandbox, settings: Settings) -> None:
    """Warns of rules that name only people or channels of another Slack, and so exclude everybody here."""
    for name, ids in (
        ("bobbin_allowed_users", slack.workspace.users),
        ("bobbin_allowed_channels", slack.workspace.channels),
    ):
        patterns = getattr(settings, name)
        if patterns and all(_is_elsewhere(pattern, ids) for pattern in patterns):
            problem = (
                f"{name.upper()} names nobody and nothing in the sandbox: unset it to try the bot"
            )
            log.warning("rule_for_another_slack", problem=problem)


def _is_elsewhere(pattern: str, ids: Container[str]) -> bool:
    """Whether it is an id (not a glob) that belongs to nobody here."""
    return not set("*?[") & set(pattern) and pattern.rpartition("/")[2].upper() not in ids


def _with_everything_to_try(settings: Settings, data: Path) -> Settings:
    """With demo models, which cost nothing, this also enables what an operator would have to configure.

    Settings that name models of providers without a key are left out, because they would leave the menu empty.
    """
    changes: dict[str, object] = {}
    if "bobbin_web_search" not in settings.model_fields_set:
        changes["bobbin_web_search"] = SearchMode.ASK
    if not (settings.bobbin_transcribe_model or "").startswith("demo"):
        changes["bobbin_transcribe_model"] = "demo:demo/ears"
    for name, without in (
        ("bobbin_default_model", None),
        ("bobbin_title_model", None),
        ("bobbin_allowed_models", ()),
    ):
        value = getattr(settings, name) or ()
        named = [value] if isinstance(value, str) else value
        if named and all(map(_needs_key, named)):
            changes[name] = without
            _warn_of_left_out(name.upper(), "no key for its provider is set")
    tools = settings.tools if settings.tools.servers else _notice_board(data)
    return settings.changed(**changes).with_tools(tools)


def _needs_key(model: str) -> bool:
    """Whether a model, or a glob of models, is named with a provider that needs a key."""
    return model.partition(":")[0] in _WITH_KEY


def _warn_of_left_out(setting: str, reason: str) -> None:
    log.warning("setting_left_out", setting=setting, reason=reason)


def _demo_models(slack: Sandbox) -> ProviderSettings:
    """Demo models in OpenRouter's dialect, in which a model can search the web."""
    return ProviderSettings("demo", "Demo models", f"{slack.url}/models/v1", kind="openrouter")


def _notice_board(data: Path) -> ToolConfig:
    """A tool server to try, whose notes are kept beside the chats."""
    args = ("-I", demo_server.__file__, str(_notes_file(data)))
    return ToolConfig((ToolServer("board", command=sys.executable, args=args),))


def _notes_file(data: Path) -> Path:
    return data.with_name(f"{data.stem}.notes.txt")


def _tips(settings: Settings) -> Sequence[str]:
    """What the first page suggests trying."""
    first, *rest = english_strings.SANDBOX_TIPS
    if settings.providers():
        return [first, *rest]
    tools = [] if settings.tools.servers else [english_strings.SANDBOX_TIP_TOOLS]
    return [first, english_strings.SANDBOX_TIP_DEMO, *tools, *rest]


def _delete_chats(data: Path) -> None:
    """Deletes the database and the files kept beside it."""
    for file in (data, Path(f"{data}-wal"), Path(f"{data}-shm"), _notes_file(data)):
        file.unlink(missing_ok=True)
