"""Every HTTP client of the product, through every kind of proxy, configured by the usual variables."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from bot.config.settings import Settings
from bot.errors import Blocked, ProviderError, Unreachable
from bot.network import Network
from bot.providers.base import ProviderSettings
from bot.providers.picture_download import fetch_picture
from bot.providers.registry import create_provider
from bot.providers.transport import create_client
from bot.tools.config import parse_tool_config
from bot.tools.servers import ToolServers
from handlers.client.diagnostics import slack_checks
from handlers.client.http_session import new_session, new_web_client
from tests.deadlines import WAIT_TIMEOUT
from tests.network.authority import Authority
from tests.network.far_server import FarServer
from tests.network.proxy_server import ProxyServer
from tests.providers.harness import read, text_of

Client = Callable[[Network, str], Awaitable[None]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def far(authority: Authority) -> AsyncIterator[FarServer]:
    async with FarServer().running(authority) as server:
        yield server


async def ask_a_model(network: Network, scheme: str) -> None:
    settings = ProviderSettings("any", "Any", f"{scheme}://models.test/v1", "sk-key")
    async with create_client(network) as client:
        provider = create_provider(client, settings)
        assert [info.ref.name for info in await provider.models()] == ["tiny"]
        assert text_of(await read(provider)) == "far away"


async def call_slack(network: Network, scheme: str) -> None:
    async with new_session(network=network) as session:
        client = new_web_client("xoxb-1", f"{scheme}://slack.test/api/", session)
        assert (await client.auth_test())["ok"]


async def download_and_respond(network: Network, scheme: str) -> None:
    """Files and response_urls go by the same session, which redirects and cookies cannot lead elsewhere."""
    async with new_session(network=network) as session:
        async with session.get(f"{scheme}://files.test/file.png") as file:
            assert file.status == 200
        async with session.post(f"{scheme}://hooks.test/respond", json={"text": "x"}) as response:
            assert response.status == 200


async def open_a_socket(network: Network, scheme: str) -> None:
    sockets = {"http": "ws", "https": "wss"}[scheme]
    async with (
        new_session(network=network) as session,
        session.ws_connect(f"{sockets}://socket.test/link") as socket,
    ):
        assert "hello" in await socket.receive_str()


async def examine_slack(network: Network, scheme: str) -> None:
    async with slack_checks(f"{scheme}://slack.test/api/", network) as slack:
        findings = [*await slack.bot_token("xoxb-1", ()), await slack.app_token("xapp-1")]
    assert all(finding.ok for finding in findings), findings


async def call_a_tool(network: Network, scheme: str) -> None:
    servers = {"far": {"url": f"{scheme}://tools.test/mcp"}}
    tools = ToolServers(parse_tool_config(json.dumps({"mcpServers": servers}), {}), network)
    async with tools.running():
        await tools.ready(WAIT_TIMEOUT)
        (health,) = tools.health()
        assert health.problem is None, health.problem
        result = await tools.call(tools.tools["far__look"], {}, WAIT_TIMEOUT)
    assert result.text == "far away"


CLIENTS: dict[str, Client] = {
    "provider": ask_a_model,
    "Web API": call_slack,
    "files and response_urls": download_and_respond,
    "Socket Mode": open_a_socket,
    "doctor": examine_slack,
    "tools": call_a_tool,
}
VARIABLES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    # what is set ({proxy} is its address), and the ways that http and https then go
    "both": (
        {"HTTP_PROXY": "http://{proxy}", "HTTPS_PROXY": "http://{proxy}"},
        {"http": "plain", "https": "tunnel"},
    ),
    "without a scheme": (
        {"HTTP_PROXY": "{proxy}", "HTTPS_PROXY": "{proxy}"},
        {"http": "plain", "https": "tunnel"},
    ),
    "lower case": (
        {"http_proxy": "http://{proxy}", "https_proxy": "http://{proxy}"},
        {"http": "plain", "https": "tunnel"},
    ),
    "lower case counts more": (
        {"HTTPS_PROXY": "http://nobody.test:1", "https_proxy": "http://{proxy}"},
        {"https": "tunnel"},
    ),
    "all": ({"ALL_PROXY": "http://{proxy}"}, {"http": "plain", "https": "tunnel"}),
    "SOCKS 5": ({"ALL_PROXY": "socks5://{proxy}"}, {"http": "socks5", "https": "socks5"}),
    "SOCKS 5h": ({"all_proxy": "socks5h://{proxy}"}, {"http": "socks5", "https": "socks5"}),
    "SOCKS 4a": ({"ALL_PROXY": "socks4a://{proxy}"}, {"http": "socks4", "https": "socks4"}),
    "as GNOME writes it": ({"ALL_PROXY": "socks://{proxy}/"}, {"https": "socks5"}),
    "the more exact one": (
        {"ALL_PROXY": "socks5://nobody.test:1", "HTTPS_PROXY": "socks5://{proxy}"},
        {"https": "socks5"},
    ),
}
VARIABLES_BY_SCHEME = [
    pytest.param(variables, way, scheme, id=f"{name}-{scheme}")
    for name, (variables, ways) in VARIABLES.items()
    for scheme, way in ways.items()
]


@pytest.mark.parametrize(("variables", "way", "scheme"), VARIABLES_BY_SCHEME)
async def test_every_variable_is_read(
    monkeypatch: pytest.MonkeyPatch,
    authority: Authority,
    far: FarServer,
    variables: dict[str, str],
    way: str,
    scheme: str,
) -> None:
    """As other programs read it."""
    async with ProxyServer(far.ports).running() as proxy:
        await call_slack(read_network(monkeypatch, authority, variables, proxy), scheme)

    assert far.asked
    assert {passed.way for passed in proxy.passed} == {way}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_every_client_goes_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
    authority: Authority,
    far: FarServer,
    kind: str,
    scheme: str,
    client: Client,
) -> None:
    """No name is resolved here, since only the proxy can do so."""
    async with ProxyServer(far.ports).running() as proxy:
        address = {"ALL_PROXY": f"{kind}://{{proxy}}"}
        await client(read_network(monkeypatch, authority, address, proxy), scheme)

    assert far.asked
    assert proxy.passed
    assert all(passed.host.endswith(".test") for passed in proxy.passed)


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_a_picture_of_another_host_comes_through_the_proxy_which_resolves_its_name(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, far: FarServer, kind: str
) -> None:
    """But the proxy is never given a host that looks internal, because it may be able to reach it."""
    async with ProxyServer(far.ports).running() as proxy:
        address = {"ALL_PROXY": f"{kind}://{{proxy}}"}
        async with create_client(read_network(monkeypatch, authority, address, proxy)) as client:
            for host in ("files.test", "10.0.0.1", "[fd00::1]", "intranet", "db.internal"):
                place = f"https://{host}/a.png"
                found = await fetch_picture(client, place, "https://models.test/v1", {})
                assert (found is not None) == (host == "files.test"), host
    assert far.asked == ["/a.png"]
    assert [passed.host for passed in proxy.passed] == ["files.test"]


@pytest.mark.parametrize("client", [ask_a_model, call_slack])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_a_proxy_gets_user_and_password(
    monkeypatch: pytest.MonkeyPatch,
    authority: Authority,
    far: FarServer,
    kind: str,
    scheme: str,
    client: Client,
) -> None:
    """Escaped or not; and a proxy may be reached by TLS itself."""
    tls = authority.server_context() if kind == "https" else None
    password = "p@ss:word" if kind == "socks5" else "p@ss:wörd"
    async with ProxyServer(far.ports, user="ada", password=password, tls=tls).running() as proxy:
        address = {"ALL_PROXY": f"{kind}://ada:{password.replace('@', '%40')}@{{proxy}}"}
        await client(read_network(monkeypatch, authority, address, proxy), scheme)

    assert proxy.passed


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize(
    "value", [".test", "slack.test,models.test,files.test,hooks.test,socket.test,tools.test"]
)
async def test_what_no_proxy_names_is_reached_directly(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, client: Client, value: str
) -> None:
    """Such names do not exist, so the client fails without having asked the proxy."""
    async with ProxyServer({}).running() as proxy:
        variables = {"ALL_PROXY": "http://{proxy}", "NO_PROXY": value}
        network = read_network(monkeypatch, authority, variables, proxy)
        with pytest.raises((aiohttp.ClientConnectorError, ProviderError, AssertionError)):
            await client(network, "https")

    assert not proxy.passed


@pytest.mark.parametrize(("status", "error"), [(407, Blocked), (403, Blocked), (502, Unreachable)])
async def test_a_proxys_refusal_is_reported_as_one(
    monkeypatch: pytest.MonkeyPatch,
    authority: Authority,
    far: FarServer,
    status: int,
    error: type[ProviderError],
) -> None:
    """With what to do, and without credentials."""
    async with ProxyServer(far.ports, refuses=status).running() as proxy:
        variables = {"HTTPS_PROXY": "http://ada:s3cretword@{proxy}"}
        network = read_network(monkeypatch, authority, variables, proxy)
        with pytest.raises(error) as failure:
            await ask_a_model(network, "https")
        async with slack_checks("https://slack.test/api/", network) as slack:
            (finding,) = await slack.bot_token("xoxb-1", ())

    for said in (failure.value.detail, finding.message):
        assert "the proxy" in said
        assert str(status) in said
        assert "s3cretword" not in said


async def test_an_unreachable_proxy_is_named(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    """For both kinds of proxies."""
    async with ProxyServer({}).running() as proxy:
        pass
    for kind in ("http", "socks5"):
        network = read_network(monkeypatch, authority, {"ALL_PROXY": f"{kind}://{{proxy}}"}, proxy)
        async with slack_checks("https://slack.test/api/", network) as slack:
            (finding,) = await slack.bot_token("xoxb-1", ())
        with pytest.raises(AssertionError, match="the proxy cannot be reached"):
            await call_a_tool(network, "https")
        assert "the proxy cannot be reached" in finding.message
        assert "ALL_PROXY" in finding.message


@pytest.mark.parametrize(
    "variables",
    [{}, {"SSL_CERT_FILE": "{other}"}, {"REQUESTS_CA_BUNDLE": "{other}"}],
    ids=["none", "file", "bundle"],
)
async def test_an_untrusted_certificate_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, far: FarServer, variables: dict[str, str]
) -> None:
    """The message names the variable that would fix it."""
    other = Authority.create(tmp_path)
    async with ProxyServer(far.ports).running() as proxy:
        set_to = {name: value.format(other=other.certificate) for name, value in variables.items()}
        network = read_network(monkeypatch, None, {"ALL_PROXY": "http://{proxy}", **set_to}, proxy)
        async with slack_checks("https://slack.test/api/", network) as slack:
            (finding,) = await slack.bot_token("xoxb-1", ())
        with pytest.raises(Unreachable) as failure:
            await ask_a_model(network, "https")
        with pytest.raises(AssertionError, match="SSL_CERT_FILE"):
            await call_a_tool(network, "https")

    assert "SSL_CERT_FILE" in finding.message
    assert "SSL_CERT_FILE" in failure.value.detail
    assert not far.asked


@pytest.mark.parametrize(
    "variables",
    [
        {"SSL_CERT_FILE": "{file}"},
        {"ssl_cert_file": "{file}"},
        {"SSL_CERT_DIR": "{folder}"},
        {"SSL_CERT_DIR": "{empty}:{folder}"},
        {"REQUESTS_CA_BUNDLE": "{file}"},
        {"REQUESTS_CA_BUNDLE": "{folder}"},
        {"CURL_CA_BUNDLE": "{file}"},
        {"SSL_CERT_FILE": "{leaf}"},
    ],
    ids=str,
)
async def test_the_certificates_that_are_named_are_trusted(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    authority: Authority,
    far: FarServer,
    variables: dict[str, str],
) -> None:
    """A file or a folder, which need not be prepared for OpenSSL; also a server's own certificate."""
    folder, empty = tmp_path / "certificates", tmp_path / "empty"
    folder.mkdir()
    empty.mkdir()
    (folder / "company.crt").write_bytes(authority.certificate.read_bytes())
    (folder / "README").write_text("not a certificate")
    places = {
        "file": authority.certificate, "leaf": authority.server_certificate, "folder": folder, "empty": empty,
    }  # fmt: skip
    set_to = {name: value.format(**places) for name, value in variables.items()}
    async with ProxyServer(far.ports).running() as proxy:
        network = read_network(monkeypatch, None, {"ALL_PROXY": "http://{proxy}", **set_to}, proxy)
        await call_slack(network, "https")

    assert far.asked


async def test_an_expired_certificate_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = Authority.create(tmp_path, expired=True)
    async with FarServer().running(old) as far, ProxyServer(far.ports).running() as proxy:
        network = read_network(monkeypatch, old, {"ALL_PROXY": "http://{proxy}"}, proxy)
        async with slack_checks("https://slack.test/api/", network) as slack:
            (finding,) = await slack.bot_token("xoxb-1", ())

    assert "expired" in finding.message


def read_network(
    monkeypatch: pytest.MonkeyPatch,
    authority: Authority | None,
    variables: dict[str, str],
    proxy: ProxyServer,
) -> Network:
    """What the product reads from an environment with these variables."""
    trusted = {"SSL_CERT_FILE": str(authority.certificate)} if authority else {}
    for name, value in (trusted | variables).items():
        monkeypatch.setenv(name, value.replace("{proxy}", f"127.0.0.1:{proxy.port}"))
    return Settings.load(None).network()
