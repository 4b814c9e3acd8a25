"""Proxies and certificates of real machines, as the program meets them: in one line, or not at all."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from bot.config.settings import SandboxSettings, Settings
from tests.bot.conftest import bobbin
from tests.bot.program import Bobbin
from tests.fork_server import ForkServer
from tests.network.authority import Authority
from tests.network.far_server import FarServer
from tests.network.proxy_server import ProxyServer

__all__ = ["bobbin"]

BROKEN = {
    "HTTPS_PROXY": "http://ada:s3cretword@proxy:port",
    "https_proxy": "ftp://proxy",
    "ALL_PROXY": "socks5://ada:sécret@proxy",
    "HTTP_PROXY": "http://proxy.example:0",
    "NO_PROXY": "10.0.0.0/33",
    "SSL_CERT_FILE": "/nowhere/certificates.pem",
    "ssl_cert_dir": "/nowhere",
    "REQUESTS_CA_BUNDLE": __file__,
    "CURL_CA_BUNDLE": "/dev/null",
    "SSL_CERT_DIR": str(Path(__file__).parent),
    "curl_ca_bundle": "~nobody-of-this-name/certificates.pem",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It never shows the value, which may hold a password."""
    monkeypatch.setenv(name, BROKEN[name])
    with pytest.raises(Exception, match=f"^{name.upper()} must be") as refused:
        Settings.load(None)

    assert BROKEN[name] not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_the_program_ends_with_that_line(bobbin: Bobbin) -> None:
    done = bobbin("doctor", ALL_PROXY="socks9://ada:s3cretword@h")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bobbin: ALL_PROXY must be a proxy's address")
    assert done.stderr.count("\n") == 1


def test_the_file_env_may_name_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment counts more, in either case; and an empty lower case unsets."""
    env = tmp_path / ".env"
    env.write_text("HTTPS_PROXY=file:1\nHTTP_PROXY=file:1\nNO_PROXY=.corp\n")
    monkeypatch.setenv("https_proxy", "environment:2")
    monkeypatch.setenv("http_proxy", "")

    rules = Settings.load(env).network().rules

    assert str(rules.https) == "http://environment:2"
    assert rules.http is None
    assert rules.proxy_for("https", "a.corp", 443) is None


def test_passwords_of_proxies_are_among_the_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which logs mask, as they are sent."""
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:p%40ss@proxy")
    settings = Settings.load(None)

    assert "p@ss" in settings.secrets()
    assert "p%40ss" not in repr(settings)


async def test_the_sandbox_opens_whatever_proxy_is_set(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """All of it is on this machine; nothing is asked of the proxy."""
    async with ProxyServer({}).running() as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        proxies = dict.fromkeys(("HTTP_PROXY", "https_proxy", "ALL_PROXY"), address)
        page = await asyncio.to_thread(_open_sandbox, fork_server, tmp_path, proxies)

    assert page == 200
    assert not proxy.passed
    assert SandboxSettings.load(None).network().rules.http is None


def _open_sandbox(fork_server: ForkServer, folder: Path, proxies: dict[str, str]) -> int:
    command = ("sandbox", "--no-open", "--port", "0")
    environment = {**os.environ, **proxies, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with fork_server.start(
        "bot", *command, environment=environment, folder=folder, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        found = (re.search(r"(http://127\.0\.0\.1:\d+)", line) for line in process.stdout)
        page = next(filter(None, found))[1]
        return httpx.get(page, trust_env=False).status_code


async def test_the_bot_connects_by_socket_mode_through_the_proxy(tmp_path: Path) -> None:
    """The program itself, with slack_sdk's client, which would take a proxy of its own from the environment."""
    authority = Authority.create(tmp_path)
    async with FarServer().running(authority) as far, ProxyServer(far.ports).running() as proxy:
        environment = {
            "HTTPS_PROXY": "http://nobody.test:1",
            "https_proxy": f"socks5://127.0.0.1:{proxy.port}",
            "SSL_CERT_FILE": str(authority.certificate),
            "SLACK_API_URL": "https://slack.test/api/",
            "SLACK_BOT_TOKEN": "xoxb-good",
            "SLACK_APP_TOKEN": "xapp-good",
            "OPENAI_BASE_URL": "https://models.test/v1",
            "LOG_FORMAT": "json",
            "PORT": "0",
        }
        assert await asyncio.to_thread(_run_until, "connected", tmp_path, environment)

    assert "/link" in far.asked
    assert {passed.host for passed in proxy.passed} == {"slack.test", "models.test", "socket.test"}


def _run_until(event: str, folder: Path, more: dict[str, str]) -> bool:
    """Whether `bobbin run` logs this event; it is then stopped."""
    environment = {**os.environ, **more, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-m", "bot", "run"],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            return any(f'"event": "{event}"' in line for line in process.stderr)
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_doctor_reaches_everything_through_the_proxy(
    bobbin: Bobbin, tmp_path: Path, kind: str
) -> None:
    """The program itself, on the loop that it runs on; TLS within TLS included."""
    authority = Authority.create(tmp_path)
    tls = authority.server_context() if kind == "https" else None
    async with (
        FarServer().running(authority) as far,
        ProxyServer(far.ports, user="ada", password="secretword", tls=tls).running() as proxy,
    ):
        done = await asyncio.to_thread(
            bobbin,
            "doctor",
            HTTPS_PROXY=f"{kind}://ada:secretword@127.0.0.1:{proxy.port}",
            SSL_CERT_FILE=str(authority.certificate),
            SLACK_API_URL="https://slack.test/api/",
            SLACK_BOT_TOKEN="xoxb-good",
            SLACK_APP_TOKEN="xapp-good",
            OPENAI_BASE_URL="https://models.test/v1",
        )

    assert "ok    SLACK_BOT_TOKEN: bobbin in Ada" in done.stdout
    assert "ok    SLACK_APP_TOKEN" in done.stdout
    assert "ok    OpenAI-compatible: 1 models" in done.stdout
    assert done.stderr == ""
    assert {passed.host for passed in proxy.passed} == {"slack.test", "models.test"}
