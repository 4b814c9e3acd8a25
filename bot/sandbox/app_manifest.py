"""What the sandbox reads from an app's manifest (YAML or JSON), checked as Slack checks it when an app is created.

Shapes: https://github.com/slackapi/manifest-schema
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from bot.sandbox.app_permissions import EVENT_SCOPES, EVENTS, SCOPES
from bot.sandbox.errors import ManifestError
from bot.sandbox.events.http_delivery import RequestUrls
from bot.sandbox.state.records import AppFeatures
from bot.sandbox.types import Json

_TYPO_SIMILARITY = 0.8
"""The similarity from which on an unknown name counts as misspelt. A less similar one may be new in Slack."""


class _Section(BaseModel):
    """An object in the manifest. An empty property counts as missing, and one that may be new in Slack is left out.

    A property that resembles a known one counts as misspelt, and is refused. The validation context, a list, collects
    the names of those that are left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    place: ClassVar[str] = ""
    """Its position in the manifest."""

    @model_validator(mode="before")
    @classmethod
    def _known_and_filled(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, dict):
            return values
        known = {field.alias or name for name, field in cls.model_fields.items()}
        kept: dict[Any, Any] = {}
        for name, value in values.items():
            if name not in known and not _nearest(str(name), known):
                assert info.context is not None
                info.context.append(f"{cls.place}.{name}".lstrip("."))
            elif value is not None:
                kept[name] = value
        return kept


def _nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that was probably meant."""
    return next(iter(get_close_matches(name, known, 1, _TYPO_SIMILARITY)), None)


class Command(_Section):
    """A slash command."""

    place: ClassVar[str] = "features.slash_commands"
    command: str = Field(pattern=r"^/\S+$", max_length=32)
    description: str = Field(min_length=1, max_length=2000)
    url: str | None = None
    usage_hint: str = Field("", max_length=1000)
    should_escape: bool = False


class Shortcut(_Section):
    """A global shortcut, or one on messages."""

    place: ClassVar[str] = "features.shortcuts"
    name: str = Field(min_length=1, max_length=24)
    type: Literal["global", "message"]
    callback_id: str = Field(min_length=1, max_length=255)
    description: str = Field(min_length=1, max_length=150)


class _Display(_Section):
    place: ClassVar[str] = "display_information"

    name: str = Field(min_length=1, max_length=35)
    description: str | None = Field(None, max_length=140)
    long_description: str | None = Field(None, min_length=175, max_length=4000)
    background_color: str | None = Field(None, pattern=r"^#([0-9a-fA-F]{3}){1,2}$")


class _AppHome(_Section):
    place: ClassVar[str] = "features.app_home"

    home_tab_enabled: bool = False
    messages_tab_enabled: bool = True
    messages_tab_read_only_enabled: bool = False


class _BotUser(_Section):
    place: ClassVar[str] = "features.bot_user"

    display_name: str = Field(min_length=1, max_length=80)
    always_online: bool = False


class _Features(_Section):
    place: ClassVar[str] = "features"

    app_home: _AppHome | None = None
    bot_user: _BotUser | None = None
    slash_commands: list[Command] = []
    shortcuts: list[Shortcut] = []
    unfurl_domains: list[str] = Field([], max_length=5)
    functions: Any = None
    workflow_steps: Any = None
    assistant_view: Any = None
    agent_view: Any = None
    code_channels: Any = None
    rich_previews: Any = None
    search: Any = None


class _Scopes(_Section):
    place: ClassVar[str] = "oauth_config.scopes"

    bot: list[str] = []
    user: list[str] = []
    bot_optional: list[str] = []
    user_optional: list[str] = []


class _OauthConfig(_Section):
    place: ClassVar[str] = "oauth_config"

    scopes: _Scopes = _Scopes()
    redirect_urls: list[Any] = []
    token_management_enabled: bool = False
    pkce_enabled: bool = False


class _EventSubscriptions(_Section):
    place: ClassVar[str] = "settings.event_subscriptions"

    request_url: str | None = None
    bot_events: list[str] = []
    user_events: list[str] = []
    metadata_subscriptions: list[Any] = []


class _Interactivity(_Section):
    place: ClassVar[str] = "settings.interactivity"

    is_enabled: bool
    request_url: str | None = None
    message_menu_options_url: str | None = None


class _Settings(_Section):
    place: ClassVar[str] = "settings"

    event_subscriptions: _EventSubscriptions = _EventSubscriptions()
    interactivity: _Interactivity | None = None
    socket_mode_enabled: bool = False
    org_deploy_enabled: bool = False
    token_rotation_enabled: bool = False
    allowed_ip_address_ranges: Any = None
    incoming_webhooks: Any = None
    is_hosted: bool = False
    siws_links: Any = None
    hermes_app_type: str | None = None
    app_type: str | None = None
    function_runtime: str | None = None
    is_mcp_enabled: bool = False


class _Manifest(_Section):
    display_information: _Display
    features: _Features = _Features()
    oauth_config: _OauthConfig = _OauthConfig()
    settings: _Settings = _Settings()
    schema_url: Any = Field(None, alias="$schema")
    metadata: Any = Field(None, alias="_metadata")
    app_directory: Any = None
    functions: Any = None
    workflows: Any = None
    datastores: Any = None
    outgoing_domains: Any = None
    types: Any = None
    external_auth_providers: Any = None
    mcp_servers: Any = None
    metadata_events: Any = None
    compliance: Any = None


@dataclass(frozen=True, slots=True)
class AppManifest:
    """An app as installed in the sandbox. By default it has every permission and receives every event.

    `commands` None: people may type any command. `remarks` lists, one line each, what the sandbox ignores.
    """

    name: str = "My App"
    scopes: frozenset[str] = SCOPES
    events: frozenset[str] = EVENTS
    commands: tuple[Json, ...] | None = None
    shortcuts: tuple[Json, ...] = ()
    features: AppFeatures = AppFeatures()
    remarks: tuple[str, ...] = ()
    urls: Mapping[str, str] | None = None
    """Where it receives requests: `events`, `interactivity`, `options`, and each command's name."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The manifest in a file. Raises ManifestError, whose text begins with the file's name."""
        try:
            return cls.parse(_document(path.read_text(encoding="utf-8-sig")))
        except OSError as error:
            raise ManifestError(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ManifestError(f"{path}: is not text in UTF-8") from None
        except ManifestError as error:
            raise ManifestError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, document: Any) -> Self:
        """Parses a manifest object. Raises ManifestError, which names the wrong property."""
        if not isinstance(document, dict):
            raise ManifestError("must be an object with display_information, features, settings …")
        unknown: list[str] = []
        try:
            manifest = _Manifest.model_validate(document, context=unknown)
        except ValidationError as error:
            raise ManifestError(_first_problem(error)) from None
        features, settings = manifest.features, manifest.settings
        _require_distinct(
            "features.slash_commands", (each.command for each in features.slash_commands)
        )
        _require_distinct("features.shortcuts", (each.callback_id for each in features.shortcuts))
        scopes = frozenset(
            manifest.oauth_config.scopes.bot + manifest.oauth_config.scopes.bot_optional
        )
        wanted = frozenset(settings.event_subscriptions.bot_events)
        remarks = [
            *(f"the sandbox does not know the property {name}" for name in unknown),
            *_unknown_names("oauth_config.scopes.bot", scopes, SCOPES),
            *_unknown_names("settings.event_subscriptions.bot_events", wanted, EVENTS),
        ]
        events = frozenset(event for event in wanted if _is_covered(event, scopes))
        return cls(
            name=features.bot_user.display_name
            if features.bot_user
            else manifest.display_information.name,
            scopes=scopes,
            events=events,
            commands=tuple(each.model_dump(exclude={"url"}) for each in features.slash_commands),
            shortcuts=tuple(each.model_dump() for each in features.shortcuts),
            features=_switches(manifest),
            remarks=(*remarks, *_gaps(manifest, scopes, wanted - events)),
            urls=_urls(manifest),
        )

    def request_urls(self, base: str) -> RequestUrls:
        """Where requests go with `--request-url BASE`: all to BASE or, if that is an origin without a path, each to its
        path in the manifest. Raises ManifestError for anything but an HTTP address.
        """
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            raise ManifestError(
                f"{base!r} is not an address such as http://127.0.0.1:3000/slack/events"
            )
        if parts.path not in ("", "/") or parts.query or not self.urls:
            return RequestUrls(base)
        origin = base.rstrip("/")
        return RequestUrls(base, {name: origin + _path(url) for name, url in self.urls.items()})


def _document(text: str) -> Any:
    """Parses YAML or JSON; JSON first, because it allows tabs, which YAML forbids."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"is not JSON: {error}") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError(f"is not YAML: {' '.join(str(error).split())}") from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    what = {"extra_forbidden": "is no property of a manifest", "missing": "is missing"}
    return f"{place[1:]}: {what.get(first['type'], first['msg'])}"


def _require_distinct(place: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ManifestError(f"{place}: {name} is there twice")
        seen.add(name)


def _unknown_names(place: str, names: frozenset[str], known: frozenset[str]) -> list[str]:
    """A remark for each name that may be new in Slack. Raises ManifestError for one that looks misspelt."""
    unknown = sorted(names - known)
    for name in unknown:
        if nearest := _nearest(name, known):
            raise ManifestError(f"{place}: there is no {name}; did you mean {nearest}?")
    return [f"{place}: the sandbox does not know {name}" for name in unknown]


def _is_covered(event: str, scopes: frozenset[str]) -> bool:
    needed = EVENT_SCOPES.get(event, ())
    return not needed or not scopes.isdisjoint(needed)


def _switches(manifest: _Manifest) -> AppFeatures:
    home, interactivity = manifest.features.app_home, manifest.settings.interactivity
    if home is None:
        home = _AppHome()
    return AppFeatures(
        home_tab=home.home_tab_enabled,
        messages_tab=home.messages_tab_enabled,
        messages_read_only=home.messages_tab_read_only_enabled,
        interactivity=interactivity is not None and interactivity.is_enabled,
        assistant_view=manifest.features.assistant_view is not None,
        unfurl_domains=tuple(manifest.features.unfurl_domains),
    )


def _gaps(manifest: _Manifest, scopes: frozenset[str], uncovered: frozenset[str]) -> list[str]:
    """Which parts of a manifest have no effect here, and why."""
    remarks = [
        f"{event} is not delivered: it needs the scope {' or '.join(EVENT_SCOPES[event])}"
        for event in sorted(uncovered)
    ]
    features, settings = manifest.features, manifest.settings
    if features.shortcuts and (
        settings.interactivity is None or not settings.interactivity.is_enabled
    ):
        remarks.append("shortcuts need settings.interactivity.is_enabled: true")
    if features.slash_commands and "commands" not in scopes:
        remarks.append("slash commands need the scope commands")
    if manifest.oauth_config.scopes.user:
        remarks.append("user scopes have no effect: the sandbox gives a bot token alone")
    if manifest.functions or features.functions or manifest.workflows:
        remarks.append("functions and workflows have no effect in the sandbox")
    return remarks


def _urls(manifest: _Manifest) -> dict[str, str]:
    settings = manifest.settings
    interactivity = settings.interactivity
    found = {
        "events": settings.event_subscriptions.request_url,
        "interactivity": interactivity and interactivity.request_url,
        "options": interactivity and interactivity.message_menu_options_url,
    }
    found |= {each.command: each.url for each in manifest.features.slash_commands}
    return {name: url for name, url in found.items() if url}


def _path(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
