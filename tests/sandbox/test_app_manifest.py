"""App manifests: what the sandbox reads from one, and the line with which it refuses one."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.manifest import manifest
from bot.sandbox import ManifestError, Sandbox
from bot.sandbox.app_manifest import AppManifest
from bot.sandbox.app_permissions import EVENT_SCOPES, SCOPES
from bot.sandbox.state.records import AppFeatures
from tests.sandbox.conftest import client_of, refusal

COMMAND = {"command": "/poll", "description": "Asks everybody"}
SHORTCUT = {"name": "Poll", "type": "message", "callback_id": "poll", "description": "Polls"}
POLLS: dict[str, Any] = {
    "display_information": {"name": "Polls"},
    "features": {
        "app_home": {"home_tab_enabled": True, "messages_tab_enabled": True},
        "bot_user": {"display_name": "Poll Helper"},
        "slash_commands": [{**COMMAND, "url": "https://polls.example/slack/commands"}],
        "shortcuts": [SHORTCUT],
    },
    "oauth_config": {"scopes": {"bot": ["chat:write", "commands", "app_mentions:read"]}},
    "settings": {
        "event_subscriptions": {
            "request_url": "https://polls.example/slack/events",
            "bot_events": ["app_mention", "message.channels"],
        },
        "interactivity": {
            "is_enabled": True,
            "request_url": "https://polls.example/slack/actions?v=2",
        },
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The manifest with the property at `path` replaced; `...` removes it."""
    copied = deepcopy(POLLS)
    *way, last = path.split("/")
    place: Any = copied
    for name in way:
        place = place.setdefault(name, {}) if isinstance(place, dict) else place[int(name)]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copied


@pytest.mark.parametrize(
    "write", [json.dumps, yaml.safe_dump, lambda it: json.dumps(it, indent="\t")]
)
def test_yaml_and_json_are_read_alike(tmp_path: Path, write: Any) -> None:
    file = tmp_path / "manifest"
    file.write_text(write(POLLS))
    app = AppManifest.read(file)
    assert (app.name, [each["command"] for each in app.commands or ()]) == (
        "Poll Helper",
        ["/poll"],
    )
    assert app.shortcuts == (SHORTCUT,)
    assert app.scopes == {"chat:write", "commands", "app_mentions:read"}
    assert app.features == AppFeatures(unfurl_domains=())


def test_events_without_their_scope_are_left_out_and_reported() -> None:
    app = AppManifest.parse(POLLS)
    assert app.events == {"app_mention"}
    assert app.remarks == (
        "message.channels is not delivered: it needs the scope channels:history",
    )


@pytest.mark.parametrize("document", [POLLS, manifest(), manifest("https://bobbin.example.com")])
def test_real_manifests_are_accepted(document: Any) -> None:
    assert AppManifest.parse(document).commands


BOT = {"bot_user": {"display_name": "Finder", "always_online": True}}
STEP = {"title": "Find", "description": "Finds", "input_parameters": {}, "output_parameters": {}}
KINDS: dict[str, dict[str, Any]] = {
    "a search": {
        "features": {
            **BOT,
            "rich_previews": {"entity_types": ["slack#/entities/item"]},
            "search": {"search_function_callback_id": "find", "enable_ai_answers": True},
        },
        "settings": {"hermes_app_type": "remote", "function_runtime": "remote", "org_deploy_enabled": True},
        "functions": {"find": STEP},
    },
    "a step of a workflow": {
        "features": {**BOT, "workflow_steps": [{"name": "Find", "callback_id": "find"}]},
        "settings": {"app_type": "remote", "interactivity": {"is_enabled": True}},
    },
    "an agent": {
        "features": {**BOT, "agent_view": {"agent_description": "Finds", "actions": []}, "code_channels": {}},
        "mcp_servers": {"board": {"url": "https://board.example/mcp"}},
        "settings": {"is_mcp_enabled": True},
    },
    "for the marketplace": {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "app_directory": {"pricing": "free"},
        "compliance": {"hipaa": False},
        "metadata_events": {},
        "outgoing_domains": [],
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_app_of_every_kind_starts(kind: str) -> None:
    """With what the sandbox does not imitate, too."""
    app = AppManifest.parse({"display_information": {"name": "Finder"}, **KINDS[kind]})
    assert app.name == "Finder"
    assert not [remark for remark in app.remarks if "does not know" in remark]


@pytest.mark.parametrize(
    "place", ["", "features/", "settings/interactivity/", "features/shortcuts/0/"]
)
def test_a_property_that_resembles_none_is_reported_and_left_out(place: str) -> None:
    """Slack may have got it since."""
    app = AppManifest.parse(changed(f"{place}holograms", {"is_enabled": True}))
    named = f"{place}holograms".replace("/0/", "/").replace("/", ".")
    assert app.remarks[0] == f"the sandbox does not know the property {named}"
    assert app.shortcuts == (SHORTCUT,)


@pytest.mark.parametrize(
    "empty", ["features", "oauth_config", "settings", "features/slash_commands"]
)
def test_an_empty_section_is_as_none(empty: str) -> None:
    AppManifest.parse(changed(empty, None))


def test_an_app_without_a_manifest_may_everything() -> None:
    app = AppManifest()
    assert (app.scopes, app.commands) == (SCOPES, None)
    assert app.events == set(EVENT_SCOPES)


WRONG: list[tuple[str, Any, str]] = [
    ("display_information", ..., "display_information: is missing"),
    ("display_information/name", "x" * 36, "display_information.name: String should have at most 35"),
    ("features/slash_command", [], "features.slash_command: is no property of a manifest"),
    ("features/slash_commands", "/poll", "features.slash_commands: Input should be a valid list"),
    ("features/slash_commands/0/command", "poll", "features.slash_commands[0].command: String should match"),
    ("features/slash_commands/0/command", "/a b", "features.slash_commands[0].command: String should match"),
    ("features/slash_commands/0/description", ..., "features.slash_commands[0].description: is missing"),
    ("features/slash_commands", [COMMAND, COMMAND], "features.slash_commands: /poll is there twice"),
    ("features/shortcuts/0/type", "channel", "features.shortcuts[0].type: Input should be 'global' or 'message'"),
    ("features/shortcuts", [SHORTCUT, SHORTCUT], "features.shortcuts: poll is there twice"),
    ("features/bot_user/display_name", 5, "features.bot_user.display_name: Input should be a valid string"),
    ("oauth_config/scopes/bot", ["chat:wrte"], "oauth_config.scopes.bot: there is no chat:wrte; did you mean chat:"),
    ("oauth_config/scopes/bot", {"chat:write": True}, "oauth_config.scopes.bot: Input should be a valid list"),
    (
        "settings/event_subscriptions/bot_events",
        ["message.channel"],
        "settings.event_subscriptions.bot_events: there is no message.channel; did you mean message.channels?",
    ),
    ("settings/interactivity/is_enabled", ..., "settings.interactivity.is_enabled: is missing"),
    ("settings/interactivity", True, "settings.interactivity: Input should be a valid dictionary"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "line"), WRONG, ids=[path for path, *_ in WRONG])
def test_a_wrong_property_is_named(path: str, value: Any, line: str) -> None:
    with pytest.raises(ManifestError) as refused:
        AppManifest.parse(changed(path, value))
    assert str(refused.value).startswith(line)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "must be an object"),
        (b"- a\n- b\n", "must be an object"),
        (b"just words", "must be an object"),
        (b"a: [1", "is not YAML"),
        (b'{"display_information": ', "is not JSON"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"&a [*a, *b]", "is not YAML"),
    ],
)
def test_an_unreadable_manifest_is_refused_in_one_line(
    tmp_path: Path, content: bytes, line: str
) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_bytes(content)
    with pytest.raises(ManifestError) as refused:
        AppManifest.read(file)
    assert str(refused.value).startswith(f"{file}: {line}")
    assert "\n" not in str(refused.value)


def test_an_unknown_name_that_resembles_none_is_reported_and_granted() -> None:
    """Slack may have got it since."""
    app = AppManifest.parse(changed("oauth_config/scopes/bot", ["holograms.zoom:read"]))
    assert "holograms.zoom:read" in app.scopes
    assert (
        app.remarks[0] == "oauth_config.scopes.bot: the sandbox does not know holograms.zoom:read"
    )


def test_requests_go_to_one_address_or_to_the_paths_of_the_manifest() -> None:
    app = AppManifest.parse(POLLS)
    one = app.request_urls("http://127.0.0.1:3000/slack/events")
    own = app.request_urls("http://127.0.0.1:3000/")
    kinds = [
        ("events_api", "message"),
        ("slash_commands", "/poll"),
        ("interactive", "block_actions"),
        ("interactive", "block_suggestion"),
    ]
    assert {one.of(*kind) for kind in kinds} == {"http://127.0.0.1:3000/slack/events"}
    assert [own.of(*kind).removeprefix("http://127.0.0.1:3000") for kind in kinds] == [
        "/slack/events",
        "/slack/commands",
        "/slack/actions?v=2",
        "/slack/actions?v=2",
    ]


@pytest.mark.parametrize(
    "url", ["", "localhost:3000", "ws://localhost", "http://", "/slack/events"]
)
def test_only_http_addresses_take_requests(url: str) -> None:
    with pytest.raises(ManifestError, match="is not an address such as"):
        AppManifest().request_urls(url)


async def test_what_the_manifest_switches_off_is_refused() -> None:
    """With Slack's errors for the app, with a sentence for people."""
    off = AppFeatures(home_tab=False, messages_tab=False, interactivity=False)
    async with Sandbox(features=off, commands=()) as slack:
        web = client_of(slack, None)
        home = {"type": "home", "blocks": []}
        assert await refusal(web.views_publish(user_id="U0ALICE", view=home)) == "not_enabled"
        post = web.chat_postMessage(channel="U0ALICE", text="hello")
        assert await refusal(post) == "messages_tab_disabled"
        with pytest.raises(LookupError, match="turned off"):
            await slack.conversations.say("alice", slack.workspace.dm("alice"), "hello")
        with pytest.raises(LookupError, match="interactivity off"):
            await slack.interactions.shortcut("alice", "poll")
        with pytest.raises(LookupError, match="is not a command"):
            await slack.interactions.command("alice", "general", "/poll")
