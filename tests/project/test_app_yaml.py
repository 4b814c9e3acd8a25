"""The manifest is acceptable to Slack, and requests exactly what `handlers/` uses."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bot.errors import SettingsError
from bot.manifest import bot_scopes, manifest, manifest_text, optional_scopes, source

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((Path(__file__).parent / "data" / "manifest.schema.json").read_text())
URL = "https://bobbin.example.com"

FAMILIES = ("channels", "groups", "im", "mpim")
HISTORY = frozenset(f"{family}:history" for family in FAMILIES)
READ = frozenset(f"{family}:read" for family in FAMILIES)
NONE: frozenset[str] = frozenset()

EVENT_SCOPES = {
    "agent_session_stopped": {"chat:write"},
    "agent_session_title_changed": {"chat:write"},
    "app_context_changed": {"assistant:write"},
    "app_home_opened": NONE,
    "app_mention": {"app_mentions:read"},
    "app_uninstalled": NONE,
    "channel_id_changed": {"channels:read"},
    "member_joined_channel": {"channels:read", "groups:read"},
    "member_left_channel": {"channels:read", "groups:read"},
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "message.im": {"im:history"},
    "message.mpim": {"mpim:history"},
    "tokens_revoked": NONE,
    "user_change": {"users:read"},
}
METHOD_SCOPES = {
    "agents.sessions.rename": {"chat:write"},
    "agents.sessions.setStatus": {"chat:write"},
    "apps.connections.open": NONE,  # an app-level token's
    "assistant.threads.setStatus": {"chat:write"},
    "assistant.threads.setSuggestedPrompts": {"assistant:write"},
    "assistant.threads.setTitle": {"assistant:write"},
    "auth.test": NONE,
    "bots.info": {"users:read"},
    "chat.appendStream": {"chat:write"},
    "chat.delete": {"chat:write"},
    "chat.getPermalink": NONE,
    "chat.postEphemeral": {"chat:write"},
    "chat.postMessage": {"chat:write"},
    "chat.startStream": {"chat:write"},
    "chat.stopStream": {"chat:write"},
    "chat.update": {"chat:write"},
    "conversations.history": HISTORY,
    "conversations.info": READ,
    "conversations.members": READ,
    "conversations.open": {"im:write"},
    "conversations.replies": HISTORY,
    "files.info": {"files:read"},
    "files.getUploadURLExternal": {"files:write"},
    "files.completeUploadExternal": {"files:write"},
    "oauth.v2.access": NONE,
    "reactions.add": {"reactions:write"},
    "reactions.remove": {"reactions:write"},
    "users.info": {"users:read"},
    "views.open": NONE,
    "views.publish": NONE,
    "views.push": NONE,
    "views.update": NONE,
}
ALWAYS = {
    "commands",
    "files:read",
}  # slash command and shortcuts; downloading what people attach calls no method

METHOD = re.compile(
    r"(?:agents|apps|assistant|auth|bots|chat|conversations|files|oauth|reactions|users|views)\.[\w.]+"
)
KINDS = {
    "event": "event",
    "message": "event",
    "command": "command",
    "shortcut": "shortcut",
    "message_shortcut": "shortcut",
    "global_shortcut": "shortcut",
}


@pytest.fixture(params=["socket", "http"])
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Either form of the manifest."""
    return manifest() if request.param == "socket" else manifest(URL, "/talk")


def test_the_manifest_keeps_slacks_rules(variant: dict[str, Any]) -> None:
    """Lengths, names, numbers, and nothing that Slack does not know."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)

    jsonschema.Draft7Validator(SCHEMA).validate(variant)


@pytest.mark.parametrize(
    "damage",
    [
        lambda app: app["display_information"].update(name="x" * 36),
        lambda app: app["display_information"].update(long_description="short"),
        lambda app: app["features"].update(assistant_view={}),
        lambda app: app["features"]["shortcuts"][0].update(name="x" * 25),
        lambda app: app["features"]["slash_commands"][0].update(command="chats"),
        lambda app: app["settings"].update(socket_mode_enabled=False),
        lambda app: app["oauth_config"]["scopes"]["bot"].append("chat:write"),
    ],
)
def test_a_damaged_manifest_breaks_the_rules(damage: Any) -> None:
    """The schema would notice."""
    app = manifest()
    damage(app)

    assert not jsonschema.Draft7Validator(SCHEMA).is_valid(app)


def test_in_the_http_variant_every_url_is_the_bots() -> None:
    """Events, interactivity, menus and commands at one endpoint; Slack returns people to another."""
    app = manifest(f"{URL}/", "/talk")

    assert app["settings"]["socket_mode_enabled"] is False
    assert app["settings"]["event_subscriptions"]["request_url"] == f"{URL}/slack/events"
    assert app["settings"]["interactivity"]["request_url"] == f"{URL}/slack/events"
    assert app["settings"]["interactivity"]["message_menu_options_url"] == f"{URL}/slack/events"
    assert app["features"]["slash_commands"][0]["url"] == f"{URL}/slack/events"
    assert app["features"]["slash_commands"][0]["command"] == "/talk"
    assert app["oauth_config"]["redirect_urls"] == [f"{URL}/slack/oauth_redirect"]


def test_without_options_the_manifest_is_app_yaml() -> None:
    """With its comments; changed it is still YAML that says the same."""
    assert manifest_text() == source() == (ROOT / "app.yaml").read_text()
    assert yaml.safe_load(manifest_text(URL, "/talk")) == manifest(URL, "/talk")


@pytest.mark.parametrize("command", ["chats", "/Chats", "/a b", "/", "/" + "x" * 32])
def test_an_invalid_command_name_is_refused(command: str) -> None:
    """Before the manifest is pasted."""
    with pytest.raises(SettingsError, match="--command"):
        manifest(command=command)


@pytest.mark.parametrize("url", ["bobbin.example.com", "ftp://x", "https://", "https://x/?a=b", ""])
def test_an_invalid_url_is_refused(url: str) -> None:
    """Before it is pasted."""
    with pytest.raises(SettingsError, match="--http"):
        manifest(url)


@cache
def modules() -> tuple[ast.Module, ...]:
    return tuple(
        ast.parse(file.read_text(), str(file)) for file in sorted((ROOT / "handlers").rglob("*.py"))
    )


@cache
def constants() -> dict[str, frozenset[str]]:
    """Every name in `handlers/` that stands for texts: `NAME = "text"` and `for name in ("a", "b")`."""
    found: dict[str, frozenset[str]] = {}
    for node in (node for module in modules() for node in ast.walk(module)):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                found[name] = found.get(name, frozenset()) | literal(value)
            case ast.For(target=ast.Name(id=name), iter=value):
                found[name] = found.get(name, frozenset()) | literal(value)
    return found


def literal(node: ast.expr) -> frozenset[str]:
    """The texts that an expression spells out, patterns included."""
    match node:
        case ast.Constant(value=str() as text):
            return frozenset({text})
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return frozenset().union(*(literal(element) for element in elements))
        case ast.Call(func=ast.Attribute(attr="compile"), args=[pattern, *_]):
            return literal(pattern)
        case ast.Dict(keys=keys, values=values):
            named = [
                value
                for key, value in zip(keys, values, strict=True)
                if key and literal(key) == {"type"}
            ]
            return frozenset().union(*(literal(value) for value in named))
    return frozenset()


def texts(node: ast.expr) -> frozenset[str]:
    """The same, following names."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return constants().get(name, frozenset())
    return literal(node)


def registrations() -> Iterator[tuple[str, frozenset[str]]]:
    """Kind and names of every listener: `@app.event("x")`, `app.event("x")(callback)` and so on."""
    for node in (node for module in modules() for node in ast.walk(module)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="app"), attr=attr), args=args) if (
                attr in KINDS
            ):
                named = texts(args[0]) if args and attr != "message" else frozenset({"message"})
                assert named, (
                    f"line {node.lineno}: a listener whose name this test cannot read: {ast.unparse(node)}"
                )
                yield KINDS[attr], named


def listeners(kind: str) -> set[str]:
    return {name for found, names in registrations() if found == kind for name in names}


def methods_called() -> set[str]:
    """Every method of Slack's Web API that `handlers/` names, as `"chat.update"` or `client.chat_update`."""
    spelled = {method.replace(".", "_"): method for method in METHOD_SCOPES}
    found = set()
    for node in (node for module in modules() for node in ast.walk(module)):
        match node:
            case ast.Constant(value=str() as text) if METHOD.fullmatch(text):
                found.add(text)
            case ast.Attribute(attr=attr) if attr in spelled:
                found.add(spelled[attr])
    return found


def test_subscribed_events_and_listeners_match() -> None:
    """An event without a listener is never acknowledged, so Slack sends it again and again."""
    subscribed = {
        event.partition(".")[0]
        for event in manifest()["settings"]["event_subscriptions"]["bot_events"]
    }

    assert listeners("event") == subscribed


def test_shortcuts_and_listeners_match() -> None:
    """By callback id."""
    assert listeners("shortcut") == {
        shortcut["callback_id"] for shortcut in manifest()["features"]["shortcuts"]
    }


@pytest.mark.parametrize("command", ["/chats", "/talk"])
def test_the_slash_command_has_a_listener_under_any_name(command: str) -> None:
    """Slack uses a command of the app that was installed last, so operators rename it."""
    assert any(re.match(pattern, command) for pattern in listeners("command"))


def test_every_called_method_is_known() -> None:
    """So that its scopes are thought of; add new ones to the table above."""
    assert methods_called() <= METHOD_SCOPES.keys()


def test_scopes_are_exactly_the_needed_ones() -> None:
    """None missing, and none asked for in vain: people read the list before they install."""
    events = manifest()["settings"]["event_subscriptions"]["bot_events"]
    needed = ALWAYS.union(
        *(EVENT_SCOPES[event] for event in events),
        *(METHOD_SCOPES[method] for method in methods_called()),
    )

    assert bot_scopes() | optional_scopes() == needed
    assert optional_scopes() == {"files:write"}
