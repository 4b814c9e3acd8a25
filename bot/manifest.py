"""The manifest of the Slack app: `app.yaml` for Socket Mode, or a variant of it for HTTP."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import yaml

from bot.errors import SettingsError

EVENTS_PATH = "/slack/events"
REDIRECT_PATH = "/slack/oauth_redirect"
NEW_APP_PAGE = "https://api.slack.com/apps?new_app=1"

Manifest = dict[str, Any]


def manifest(http_url: str | None = None, command: str = "/chats") -> Manifest:
    """The manifest in Socket Mode form or, with a public `http_url`, in HTTP form; `command` names the slash command.

    Raises SettingsError when Slack would not accept one of them.
    """
    app = cast("Manifest", yaml.safe_load(source()))
    app["features"]["slash_commands"][0]["command"] = _checked_command(command)
    return _over_http(app, _checked_url(http_url)) if http_url is not None else app


def manifest_text(http_url: str | None = None, command: str = "/chats") -> str:
    """The manifest as YAML. Without changes it is the text of `app.yaml`, with its comments."""
    app = manifest(http_url, command)
    if app == manifest():
        return source()
    return yaml.safe_dump(app, sort_keys=False, allow_unicode=True, width=120)


def manifest_link(http_url: str | None = None, command: str = "/chats") -> str:
    """The address of Slack's dialog for a new app, with the manifest already in it."""
    text = yaml.safe_dump(
        manifest(http_url, command), sort_keys=False, allow_unicode=True, width=4096
    )
    return f"{NEW_APP_PAGE}&manifest_yaml={quote(text, safe='')}"


def bot_scopes() -> frozenset[str]:
    """The scopes that the bot's token needs."""
    return frozenset(manifest()["oauth_config"]["scopes"]["bot"])


def optional_scopes() -> frozenset[str]:
    """The optional scopes: without them the bot uses another way."""
    return frozenset(manifest()["oauth_config"]["scopes"]["bot_optional"])


def source() -> str:
    """The text of `app.yaml`, which is beside this module in an installed package, and at the top of a checkout."""
    here = Path(__file__).resolve().parent
    packaged = here / "app.yaml"
    return (packaged if packaged.exists() else here.parent / "app.yaml").read_text(encoding="utf-8")


def _over_http(app: Manifest, url: str) -> Manifest:
    events = url + EVENTS_PATH
    for command in app["features"]["slash_commands"]:
        command["url"] = events
    app["oauth_config"]["redirect_urls"] = [url + REDIRECT_PATH]
    settings = app["settings"]
    settings["event_subscriptions"]["request_url"] = events
    settings["interactivity"] |= {"request_url": events, "message_menu_options_url": events}
    settings["socket_mode_enabled"] = False
    return app


def _checked_command(command: str) -> str:
    if not re.fullmatch(r"/[a-z0-9_-]{1,31}", command):
        raise SettingsError(
            f"--command {command!r}: use a slash and up to 31 small letters, digits, - or _"
        )
    return command


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(
            f"--http {url!r}: use the public address of this bot, such as https://bobbin.example.com"
        )
    return url.rstrip("/").removesuffix(EVENTS_PATH)
