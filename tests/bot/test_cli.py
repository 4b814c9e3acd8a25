"""The command line, run as a program: texts, addresses and exit codes."""

from __future__ import annotations

import inspect
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

import bot.cli.sandbox
from bot.config.settings import SandboxSettings
from bot.manifest import bot_scopes, manifest
from tests.bot.program import Bobbin
from tests.deadlines import WAIT_TIMEOUT
from tests.fork_server import ForkServer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def help_text(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    return Bobbin(fork_server, tmp_path_factory.mktemp("help"))("--help").stdout


@pytest.mark.parametrize(
    "command", ["run", "sandbox", "doctor", "manifest", "migrate", "usage", "export", "erase"]
)
def test_help_names_every_command(help_text: str, command: str) -> None:
    """With a short description of each."""
    assert f"\n  {command} " in help_text


def test_version_is_printed(tmp_path: Path) -> None:
    """One line, for bug reports, by the program that a shell starts."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WAIT_TIMEOUT,
        check=False,
    )

    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "bobbin", "")


@pytest.mark.parametrize("command", ["run", "sandbox", "doctor", "migrate"])
def test_a_malformed_setting_stops_the_start_with_one_line(bobbin: Bobbin, command: str) -> None:
    """That names the variable; exit code 2; nothing on stdout."""
    done = bobbin(command, PORT="everywhere")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bobbin: PORT must be a whole number from 0 to 65535")
    assert done.stderr.count("\n") == 1


def test_a_user_without_a_home_can_run_it(bobbin: Bobbin) -> None:
    """As in containers that give each process an unknown user; nothing is kept in a folder named `~`."""
    done = bobbin("migrate", HOME="~")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (bobbin.folder / "~").exists()


def test_it_runs_without_standard_streams(tmp_path: Path) -> None:
    """As under some supervisors, which close them."""
    command = [sys.executable, "-m", "bot", "migrate"]
    closed = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', *command]
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        closed, cwd=tmp_path, env=os.environ | home, check=False, timeout=WAIT_TIMEOUT
    )
    assert done.returncode == 0
    assert (tmp_path / "bobbin" / "bobbin.sqlite3").exists()


@pytest.mark.parametrize("arguments", ["--help", "usage", "export --user T1/U1 --format json"])
def test_a_full_disk_is_reported_in_one_line(tmp_path: Path, arguments: str) -> None:
    """Whether the output is written at once or when the program ends; also before the first start."""
    command = [sys.executable, "-m", "bot", *arguments.split()]
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | home,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=WAIT_TIMEOUT,
        )
    told = [line for line in done.stderr.splitlines() if '"event": "audit"' not in line]
    expected = (
        "bobbin: the output cannot be written (No space left on device): "
        "free disk space there, or write it elsewhere"
    )
    assert (done.returncode, told) == (1, [expected])


def test_make_says_that_python_is_too_old(tmp_path: Path) -> None:
    """Also a Python that cannot read the script which fetches the packages."""
    old = tmp_path / "python"
    told = "import sys; sys.version_info = (3, 6, 8); exec(sys.argv[1])"
    old.write_text(f"""#!/bin/sh\nexec '{sys.executable}' -c '{told}' "$2"\n""")
    old.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    for name in ("Makefile", "pyproject.toml", "uv.lock", "scripts/bootstrap.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    command = ["make", "install", f"PYTHON={old}"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=WAIT_TIMEOUT
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Bobbin needs Python 3.11 or newer, and this is 3.6: install")


def test_a_missing_setting_stops_the_start_with_one_line(bobbin: Bobbin) -> None:
    """And the .env file of the current folder counts."""
    (bobbin.folder / ".env").write_text("SLACK_APP_TOKEN=xapp-1\n")

    done = bobbin("run")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bobbin: SLACK_BOT_TOKEN is missing")
    assert "SLACK_APP_TOKEN" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_manifest_is_printed(bobbin: Bobbin) -> None:
    """YAML and nothing else."""
    assert yaml.safe_load(bobbin("manifest").stdout) == manifest()
    over_http = bobbin("manifest", "--http", "https://b.example", "--command", "/talk")
    assert yaml.safe_load(over_http.stdout) == manifest("https://b.example", "/talk")


@pytest.mark.parametrize("url", ["https://b.example/", "https://b.example/slack/events"])
def test_the_public_address_may_be_written_as_slack_shows_it(url: str) -> None:
    assert manifest(url) == manifest("https://b.example")


def test_manifest_as_a_link(bobbin: Bobbin) -> None:
    """One line; Slack reads the manifest from its query."""
    (line,) = bobbin("manifest", "--link", "--command", "/talk").stdout.splitlines()
    query = parse_qs(urlsplit(line).query)

    assert line.startswith("https://api.slack.com/apps?")
    assert query["new_app"] == ["1"]
    assert yaml.safe_load(query["manifest_yaml"][0]) == manifest(command="/talk")


def test_doctor_names_settings_that_do_not_exist(bobbin: Bobbin) -> None:
    """A misspelt name has no effect: the nearest real one is named, wherever it stands."""
    (bobbin.folder / ".env").write_text("BOBBIN_MAX_MESAGES=4\n")
    lines = bobbin("doctor", BOBBIN_COLOUR="red").stdout.splitlines()

    assert any("BOBBIN_MAX_MESAGES" in line and "BOBBIN_MAX_MESSAGES?" in line for line in lines)
    assert any("BOBBIN_COLOUR is not a setting" in line for line in lines)


def test_manifest_refuses_what_slack_would_refuse(bobbin: Bobbin) -> None:
    """One line, exit code 2."""
    done = bobbin("manifest", "--command", "Talk")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::"])
def test_the_sandbox_refuses_addresses_other_than_loopback(bobbin: Bobbin, host: str) -> None:
    """It has no passwords: other machines must not reach it."""
    done = bobbin("sandbox", "--no-open", "--host", host)

    assert done.returncode == 2
    assert "--host" in done.stderr


PRODUCTION = {
    "SLACK_BOT_TOKEN": "xoxb-real",
    "SLACK_APP_TOKEN": "of another kind",
    "SLACK_SIGNING_SECRET": "not “copied” well",
    "SLACK_CLIENT_ID": "1.2",
    "SLACK_API_URL": "http://127.0.0.1:9/api/",
    "BOBBIN_SECRET_KEY": "secret",
    "DATABASE_URL": "postgresql://bobbin@127.0.0.1:9/production",
    "REDIS_URL": "no address",
}


@pytest.mark.parametrize("where", ["the environment", "the file .env"])
def test_the_sandbox_reads_nothing_that_leads_to_production(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It starts whatever production's settings are, even if they are malformed."""
    monkeypatch.chdir(tmp_path)
    if where == "the file .env":
        (tmp_path / ".env").write_text("".join(f"{k}={v}\n" for k, v in PRODUCTION.items()))
    else:
        for name, value in PRODUCTION.items():
            monkeypatch.setenv(name, value)

    settings = SandboxSettings.load()

    assert settings == SandboxSettings.load(None)
    assert not {name.lower() for name in PRODUCTION} & settings.model_fields_set


def test_the_sandbox_skips_a_taken_port() -> None:
    """A second sandbox gets the next one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]

        second = bot.cli.sandbox._free_port("127.0.0.1", first)

        later = range(first + 1, min(first + 100, 65_536))
        assert second in later or (second == 0 and all(map(is_taken, later)))


def is_taken(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def test_the_sandbox_begins_with_its_own_port() -> None:
    signature = inspect.signature(bot.cli.sandbox._free_port)

    assert signature.parameters["first"].default == bot.cli.sandbox.SANDBOX_PORT


def test_a_taken_port_that_was_requested_is_reported_in_one_line(bobbin: Bobbin) -> None:
    """No traceback, exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        done = bobbin(
            "sandbox", "--no-open", "--port", port, OPENAI_BASE_URL="http://127.0.0.1:9/v1"
        )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bobbin: cannot listen there")
    assert done.stderr.count("\n") == 1


def test_the_sandbox_serves_its_page_until_it_is_stopped(tmp_path: Path) -> None:
    """The first address that it prints is the page's; what people say is kept in the file that --data names."""
    command = [sys.executable, "-m", "bot", "sandbox", "--no-open", "--port", "0"]
    command += ["--data", str(tmp_path / "kept.sqlite3")]
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "\n"
            models, to_try, to_end = (process.stdout.readline().strip() for _ in range(3))
            opened = re.match(
                r"Bobbin's sandbox is open at +(http://\S+) +with demo models", models
            )
            assert opened is not None
            assert httpx.get(opened[1], trust_env=False).status_code == 200
            api = re.search(r"#general.*(http://\S+/docs)$", to_try)
            assert api is not None
            assert httpx.get(api[1], trust_env=False).status_code == 200
            assert to_end.startswith("To end: Ctrl-C.")
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_TIMEOUT) == 0
        finally:
            process.kill()
    assert (tmp_path / "kept.sqlite3").exists()


class SlackStandIn(BaseHTTPRequestHandler):
    """Slack's Web API, as far as the doctor asks it."""

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"] or 0)).decode())
        token = (
            self.headers.get("Authorization", "").removeprefix("Bearer ")
            or form.get("token", [""])[0]
        )
        method = self.path.rpartition("/")[2]
        body, scopes = self.answer(method, token)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-OAuth-Scopes", ",".join(scopes))
        self.end_headers()
        self.wfile.write(body.encode())

    def answer(self, method: str, token: str) -> tuple[str, frozenset[str]]:
        if method == "oauth.v2.access":
            return '{"ok": false, "error": "bad_client_secret"}', frozenset()
        if token == "xapp-good":
            return '{"ok": true, "url": "wss://127.0.0.1/"}', frozenset()
        if token.startswith("xoxb-good"):
            lacking = frozenset() if token == "xoxb-good" else frozenset({"commands"})
            return '{"ok": true, "user": "bobbin", "team": "Ada & Co"}', bot_scopes() - lacking
        return '{"ok": false, "error": "invalid_auth"}', frozenset()

    def log_message(self, *_: object) -> None:
        """Quiet."""


class ModelsStandIn(BaseHTTPRequestHandler):
    """A model server with one model."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"object": "list", "data": [{"id": "tiny", "object": "model"}]}')

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def servers() -> Iterator[dict[str, str]]:
    """Settings that point to the two stand-ins."""
    both = [ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (SlackStandIn, ModelsStandIn)]
    threads = [
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in both
    ]
    for thread in threads:
        thread.start()
    slack, models = (f"http://127.0.0.1:{server.server_address[1]}" for server in both)
    yield {"SLACK_API_URL": f"{slack}/api/", "OPENAI_BASE_URL": f"{models}/v1"}
    for server, thread in zip(both, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def test_doctor_passes_when_everything_works(bobbin: Bobbin, servers: dict[str, str]) -> None:
    """One line each, exit code 0."""
    done = bobbin("doctor", SLACK_BOT_TOKEN="xoxb-good", SLACK_APP_TOKEN="xapp-good", **servers)

    found = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert [line for line in found if line != "ok    Ollama"] == [  # one may run on this machine
        "ok    SLACK_BOT_TOKEN",
        "ok    scopes",
        "ok    SLACK_APP_TOKEN",
        "ok    access",
        "ok    database",
        "ok    OpenAI-compatible",
    ]
    assert (done.returncode, done.stderr) == (0, "")
    assert "bobbin in Ada & Co" in done.stdout


@pytest.mark.redis
def test_doctor_checks_redis(bobbin: Bobbin, redis_url: str) -> None:
    """When one is set."""
    assert "ok    Redis: answers" in bobbin("doctor", REDIS_URL=redis_url).stdout


def test_doctor_says_what_to_do(bobbin: Bobbin, servers: dict[str, str]) -> None:
    """Each fault on its own line, with no token in it; exit code 1."""
    file = bobbin.folder / "file"
    file.write_text("")

    done = bobbin(
        "doctor",
        SLACK_BOT_TOKEN="xoxb-good-but-old",
        SLACK_APP_TOKEN="xapp-bad",
        DATABASE_URL=f"sqlite:///{file}/below.sqlite3",
        REDIS_URL="redis://:pass-word@127.0.0.1:9/0",
        **(servers | {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}),
    )

    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 1
    assert lines["FAIL  scopes"].startswith("missing commands: paste the manifest again")
    assert "copy it again" in lines["FAIL  SLACK_APP_TOKEN"]
    assert "DATABASE_URL" in lines["FAIL  database"]
    assert "REDIS_URL" in lines["FAIL  Redis"]
    assert "cannot be reached" in lines["FAIL  OpenAI-compatible"]
    assert not {"xapp-bad", "pass-word"} & set(re.split(r"[\s/:@]+", done.stdout + done.stderr))


def test_doctor_checks_an_app_for_many_workspaces(bobbin: Bobbin, servers: dict[str, str]) -> None:
    """Client id and secret, and the HTTP side's secret."""
    done = bobbin(
        "doctor",
        SLACK_CLIENT_ID="1.2",
        SLACK_CLIENT_SECRET="wrong",
        SLACK_SIGNING_SECRET="s",
        BOBBIN_SECRET_KEY="k",
        **servers,
    )

    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 1
    assert "does not belong to this client id" in lines["FAIL  SLACK_CLIENT_ID"]
    assert "ok    SLACK_SIGNING_SECRET" in lines


def test_doctor_reports_missing_settings(bobbin: Bobbin) -> None:
    """Nothing set at all: the variables that would help are named."""
    done = bobbin("doctor")

    assert done.returncode == 1
    assert "SLACK_BOT_TOKEN is missing" in done.stdout
    assert "SLACK_APP_TOKEN is missing" in done.stdout
