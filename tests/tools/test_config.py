"""The operator's file of tool servers: what it may say, and the one line about what is wrong."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config.settings import Settings
from bot.domain.tool_calls import Permission
from bot.errors import SettingsError
from bot.tools.config import ToolRules, parse_tool_config
from bot.tools.names import MAX_LENGTH, legal_names


def config(**servers: Any) -> str:
    return json.dumps({"mcpServers": servers})


def test_servers_are_read_with_variables_filled_in() -> None:
    """Remote and local servers, in the form that other programs use, with their secrets from the environment."""
    text = config(
        remote={"url": "https://x.example/mcp", "headers": {"Authorization": "Bearer ${KEY}"},
                "oauth": {"clientId": "me", "clientSecret": "${KEY}", "issuer": "https://login.example"}},
        local={"command": "uvx", "args": ["thing", "${HERE:-.}"], "env": {"TOKEN": "${key}"}, "type": "stdio",
               "allow": ["get_*"], "deny": ["drop*"]},
        off={"command": "x", "disabled": True},
    )  # fmt: skip

    read = parse_tool_config(text, {"KEY": "sesame"})

    remote, local = read.servers
    assert remote.headers == {"Authorization": "Bearer sesame"}
    assert remote.oauth is not None
    assert remote.oauth.client_secret == "sesame"
    assert (local.command, local.args, local.env) == ("uvx", ("thing", "."), {"TOKEN": "sesame"})
    assert "sesame" not in repr(read)
    assert "sesame" in read.secrets
    assert read.rules.permission("local/get_it", reads=False) is Permission.RUNS
    assert read.rules.permission("local/drop_it", reads=True) is Permission.DENIED
    assert read.rules.permission("remote/get_it", reads=False) is Permission.ASKS


def test_a_local_server_gets_the_proxies_but_not_for_this_machine() -> None:
    """What the file itself sets counts, however it is written."""
    proxies = {"HTTPS_PROXY": "http://corp:3128", "NO_PROXY": ".corp", "HOME": "/"}
    text = config(
        given={"command": "x"}, own={"command": "x", "env": {"https_proxy": "", "no_proxy": "*"}}
    )

    given, own = parse_tool_config(text, proxies).servers

    here = ".corp,localhost,127.0.0.1,::1"
    assert given.env == {
        "HTTPS_PROXY": "http://corp:3128", "https_proxy": "http://corp:3128", "NO_PROXY": here, "no_proxy": here,
    }  # fmt: skip
    assert own.env == {"https_proxy": "", "no_proxy": "*"}
    (without,) = parse_tool_config(config(given={"command": "x"}), {}).servers
    assert without.env == {}


def test_the_strictest_rule_counts() -> None:
    """Denied before asked before allowed, whatever the server says of itself."""
    matching = {"deny": Permission.DENIED, "ask": Permission.ASKS, "allow": Permission.RUNS}
    for count in range(1, 4):
        for names in combinations(matching, count):
            rules = ToolRules(**dict.fromkeys(names, ("s/*",)))
            for reads in (True, False):
                assert rules.permission("s/t", reads=reads) is matching[names[0]]
    assert ToolRules().permission("s/t", reads=True) is Permission.RUNS
    assert ToolRules().permission("s/t", reads=False) is Permission.ASKS


WRONG = {
    "{": "is not JSON",
    "[]": "valid dictionary",
    "{}": "mcpServers",
    config(a={}): "a: a server has either a url or a command",
    config(a={"url": "https://x", "command": "y"}): "a: a server has either",
    config(a={"url": "x.example"}): "a: the url must be a web address",
    config(**{"a/b": {"command": "x"}}): "'a/b': a server's name",
    config(a={"command": ["x"]}): "mcpServers.a.command",
    config(a={"command": "x", "args": "y"}): "mcpServers.a.args",
    config(
        a={"command": "x", "env": {"K": "${MISSING}"}}
    ): "mcpServers.a.env.K: the variable MISSING is not set",
    config(
        a={"url": "https://x.example", "headers": {"K": "a\nb"}}
    ): "a: a header has a line break",
    config(
        a={"url": "https://x", "oauth": {"clientId": "SECRET"}}
    ): "mcpServers.a.oauth.clientSecret",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_reported_in_one_line(text: str, tmp_path: Path, monkeypatch: Any) -> None:
    """The variable, the place in the file, and no value."""
    file = tmp_path / "mcp.json"
    file.write_text(text)
    monkeypatch.setenv("BOBBIN_MCP_CONFIG", str(file))

    with pytest.raises(SettingsError) as caught:
        Settings.load(env_file=None)

    line = str(caught.value)
    assert line.startswith("BOBBIN_MCP_CONFIG: ")
    assert WRONG[text] in line
    assert "\n" not in line
    assert "SECRET" not in line.replace("clientSecret", "")


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path stops the start."""
    monkeypatch.setenv("BOBBIN_MCP_CONFIG", "/nowhere/mcp.json")

    with pytest.raises(SettingsError, match=r"BOBBIN_MCP_CONFIG must be a JSON file"):
        Settings.load(env_file=None)


@given(st.lists(st.tuples(st.text("ab_/.-é", min_size=1, max_size=70), st.text("ab_/.-é", min_size=1, max_size=70)),
                unique=True))  # fmt: skip
def test_names_are_unique_and_legal(paths: list[tuple[str, str]]) -> None:
    """Whatever servers call their tools, and in whatever order they list them."""
    names = legal_names(paths)

    assert len(set(names.values())) == len(paths)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names.values())
    assert all(len(name) <= MAX_LENGTH for name in names.values())
    assert names == legal_names(reversed(paths))
