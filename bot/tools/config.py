"""Parses the operator's file of tool servers. Pure: text and variables in, servers out.

It has the usual form, `{"mcpServers": {"name": {…}}}`, plus globs that say what may be called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.domain.tool_calls import Permission
from bot.errors import SettingsError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SETTING = "BOBBIN_MCP_CONFIG"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_NETWORK = (
    *_PROXIES, "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
)  # fmt: skip
"""How a program finds its way out of a company's network. Local servers need these variables too: `npx` and `uvx`
download them first.
"""


@dataclass(frozen=True, slots=True)
class ToolRules:
    """What may be called, as globs of `server/tool`. If none matches, the server's declaration decides."""

    deny: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()

    def permission(self, path: str, *, reads: bool) -> Permission:
        """The strictest rule that matches a tool."""
        for globs, permission in (
            (self.deny, Permission.DENIED),
            (self.ask, Permission.ASKS),
            (self.allow, Permission.RUNS),
        ):
            if any(fnmatchcase(path, glob) for glob in globs):
                return permission
        return Permission.RUNS if reads else Permission.ASKS


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth client credentials for a remote server."""

    client_id: str
    client_secret: str = field(repr=False)
    issuer: str
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class ToolServer:
    """One server: a remote one has a `url`, a local one a `command`."""

    name: str
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    oauth: ClientCredentials | None = None
    command: str | None = None
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None


@dataclass(frozen=True, slots=True)
class ToolConfig:
    """All servers, and the rules about their tools."""

    servers: tuple[ToolServer, ...] = ()
    rules: ToolRules = ToolRules()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values that came from variables, and headers, which logs must not show."""


class _OAuth(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    client_id: str = Field(alias="clientId", min_length=1)
    client_secret: str = Field(alias="clientSecret", min_length=1)
    issuer: str
    scope: str | None = None


class _Globs(BaseModel):
    allow: list[str] = []
    ask: list[str] = []
    deny: list[str] = []


class _Server(_Globs):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    url: str | None = None
    headers: dict[str, str] = {}
    oauth: _OAuth | None = None
    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    disabled: bool = False


class _File(_Globs):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    servers: dict[str, _Server] = Field(alias="mcpServers")


def parse_tool_config(text: str, variables: Mapping[str, str]) -> ToolConfig:
    """The servers in a file. `variables`: the values for `${VAR}`, by name in capitals.

    Raises SettingsError with one line that shows no value.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise _wrong(f"is not JSON ({error})") from None
    used: list[str] = []
    try:
        file = _File.model_validate(_filled(raw, variables, used, ""))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise _wrong(f"{where}: {problem['msg']}") from None
    network = _network(variables)
    servers = [
        _server(name, each, network) for name, each in file.servers.items() if not each.disabled
    ]
    headers = [value for each in servers for value in each.headers.values()]
    keys = [each.oauth.client_secret for each in servers if each.oauth]
    return ToolConfig(tuple(servers), _rules(file), tuple({*used, *headers, *keys} - {""}))


def _filled(value: Any, variables: Mapping[str, str], used: list[str], where: str) -> Any:
    """The value with variables filled in. Adds their values to `used`."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _value(found, variables, used, where), value)
    if isinstance(value, list):
        return [_filled(each, variables, used, where) for each in value]
    if isinstance(value, dict):
        return {
            name: _filled(each, variables, used, f"{where}.{name}".lstrip("."))
            for name, each in value.items()
        }
    return value


def _value(found: re.Match[str], variables: Mapping[str, str], used: list[str], where: str) -> str:
    value = variables.get(found[1].upper(), found[2])
    if value is None:
        raise _wrong(f"{where}: the variable {found[1]} is not set; set it, or remove it there")
    used.append(value)
    return value


def _network(variables: Mapping[str, str]) -> dict[str, str]:
    """In both cases, since some programs look for only one."""
    found = {name: value for name in _NETWORK if (value := variables.get(name))}
    if any(
        name in found for name in _PROXIES
    ):  # unlike Bobbin, most programs would ask it for this machine too
        found["NO_PROXY"] = ",".join(filter(None, (found.get("NO_PROXY"), *_THIS_MACHINE)))
    return found | {name.lower(): value for name, value in found.items() if "PROXY" in name}


def _environment(network: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """`own` takes precedence, however it is written: most programs look at `https_proxy` before `HTTPS_PROXY`."""
    set_here = {name.upper() for name in own}
    return {name: each for name, each in network.items() if name.upper() not in set_here} | {**own}


def _server(name: str, read: _Server, network: Mapping[str, str]) -> ToolServer:
    if not _SERVER_NAME.fullmatch(name):
        raise _wrong(f"{name!r}: a server's name has letters, digits, '.', '_' and '-' only")
    if (read.url is None) == (read.command is None):
        raise _wrong(f"{name}: a server has either a url or a command")
    if read.url is not None and not _is_web_address(read.url):
        raise _wrong(f"{name}: the url must be a web address such as https://tools.example/mcp")
    if not all(_is_header(*pair) for pair in read.headers.items()):
        raise _wrong(f"{name}: a header has a line break or another character that none may have")
    oauth = None
    if read.oauth is not None:
        if not _is_web_address(read.oauth.issuer):
            raise _wrong(f"{name}: oauth.issuer must be the authorization server's web address")
        given = read.oauth
        oauth = ClientCredentials(given.client_id, given.client_secret, given.issuer, given.scope)
    env = _environment(network, read.env) if read.command is not None else {}
    return ToolServer(
        name, read.url, read.headers, oauth, read.command, tuple(read.args), env, read.cwd
    )


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_header(name: str, value: str) -> bool:
    return bool(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)) and bool(
        re.fullmatch(r"[\t -~]*", value)
    )


def _rules(file: _File) -> ToolRules:
    def all_of(kind: str) -> tuple[str, ...]:
        own: Sequence[str] = getattr(file, kind)
        of_servers = (
            f"{name}/{glob}" for name, each in file.servers.items() for glob in getattr(each, kind)
        )
        return (*own, *of_servers)

    return ToolRules(deny=all_of("deny"), ask=all_of("ask"), allow=all_of("allow"))


def _wrong(problem: str) -> SettingsError:
    return SettingsError(f"{_SETTING}: {problem}")
