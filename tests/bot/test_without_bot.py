"""`bobbin sandbox --without-bot` as a program: what it prints is enough to run any app with."""

from __future__ import annotations

import os
import queue
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier

from tests.bot.program import Bobbin
from tests.deadlines import WAIT_TIMEOUT
from tests.fork_server import ForkedProgram, ForkServer

MANIFEST = """\
display_information: {name: Polls}
features:
  bot_user: {display_name: Poll Helper}
  slash_commands:
    - {command: /poll, description: Asks everybody}
oauth_config: {scopes: {bot: [chat:write, commands]}}
settings: {interactivity: {is_enabled: true}}
"""


class Workspace:
    """A running `bobbin sandbox --without-bot`, and the settings that it printed."""

    def __init__(self, process: ForkedProgram) -> None:
        self.lines: queue.Queue[str] = queue.Queue()
        self.settings: dict[str, str] = {}
        Thread(target=self._read, args=(process.stdout,), daemon=True).start()
        self.page = self.line(r"open at (http://\S+)")[1]
        while (line := self.line("export|Ctrl-C")[0]).startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            (self.settings[name],) = shlex.split(value)
        self.web = WebClient(
            self.settings["SLACK_BOT_TOKEN"], base_url=self.settings["SLACK_API_URL"]
        )

    def _read(self, stream: Any) -> None:
        for line in stream:
            self.lines.put(line)

    def line(self, pattern: str) -> list[str]:
        """The next line that has the pattern, then what its groups matched."""
        while True:
            line = self.lines.get(timeout=WAIT_TIMEOUT).strip()
            if found := re.search(pattern, line):
                return [line, *found.groups()]

    def act(self, action: str, **body: Any) -> dict[str, Any]:
        """Does what a person does in the page."""
        answer = httpx.post(f"{self.page}/sandbox/{action}", json=body, trust_env=False)
        return dict(answer.json())


@contextmanager
def running(fork_server: ForkServer, folder: Path, *options: str) -> Iterator[Workspace]:
    command = ["sandbox", "--without-bot", "--no-open", "--port", "0", *options]
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with fork_server.start(
        "bot", *command, environment=environment, folder=folder, stdout=subprocess.PIPE
    ) as process:
        yield Workspace(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_it_prints_what_an_app_needs_and_nothing_else_to_a_shell(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """Every other line is a comment; the settings open the Web API and a socket."""
    with running(fork_server, tmp_path) as slack:
        assert set(slack.settings) == {
            "SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_WEBHOOK_URL",
        }  # fmt: skip
        assert slack.web.auth_test()["ok"]
        opened = slack.web.apps_connections_open(app_token=slack.settings["SLACK_APP_TOKEN"])
        assert opened["url"].startswith("ws://")
        rest = [slack.lines.get_nowait() for _ in range(slack.lines.qsize())]
        assert all(line.startswith("#") for line in rest)
    assert not list(tmp_path.rglob("*.env"))


def test_workspace_and_settings_are_kept_until_fresh(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """`--fresh` empties the workspace; a running app goes on with its tokens."""
    kept = ["--data", str(tmp_path / "mine.sqlite3")]
    with running(fork_server, tmp_path, *kept) as slack:
        first = slack.settings
        slack.web.chat_postMessage(channel="C0GENERAL", text="still here?")
    with running(fork_server, tmp_path, *kept) as slack:
        (message,) = slack.web.conversations_history(channel="C0GENERAL")["messages"]
        assert message["text"] == "still here?"
        assert _without_address(slack.settings) == _without_address(first)
    with running(fork_server, tmp_path, *kept, "--fresh") as slack:
        assert slack.web.conversations_history(channel="C0GENERAL")["messages"] == []
        assert _without_address(slack.settings) == _without_address(first)


def _without_address(settings: dict[str, str]) -> dict[str, str]:
    address = settings["SLACK_API_URL"].removesuffix("/api/")
    return {name: value.replace(address, "") for name, value in settings.items()}


def test_the_app_is_the_one_of_the_manifest(tmp_path: Path, fork_server: ForkServer) -> None:
    """Also when the workspace has known it by another name before."""
    with running(fork_server, tmp_path) as slack:
        user = slack.web.auth_test()["user_id"]
    (tmp_path / "app.yaml").write_text(MANIFEST)
    with running(fork_server, tmp_path, "--manifest", "app.yaml") as slack:
        assert slack.web.auth_test()["user"] == "poll_helper"
        assert slack.web.auth_test()["user_id"] == user
        granted = slack.web.api_test().headers["x-oauth-scopes"]
        assert granted == "chat:write,commands"
        unknown = slack.act("command", user="alice", channel="general", command="/vote")
        assert unknown["error"] == "not_possible"


class Endpoint(BaseHTTPRequestHandler):
    """An app without a library: it answers challenges and commands, and refuses wrong signatures."""

    secret = ""
    seen: queue.Queue[tuple[str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        signed = SignatureVerifier(self.secret).is_valid_request(body, dict(self.headers.items()))
        kind = self.headers["Content-Type"]
        self.seen.put((self.path, kind if signed else "forged"))
        challenge = re.search(r'"challenge": "([^"]+)"', body)
        answer = challenge[1] if challenge else f"You said {parse_qs(body).get('text', [''])[0]}"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def test_over_http_the_challenge_comes_first_and_then_everything(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """The app may start after the workspace, whose secret it needs."""
    (tmp_path / "app.json").write_text(
        MANIFEST
        and '{"display_information": {"name": "Polls"}, "features": {"slash_commands": '
        '[{"command": "/poll", "description": "Asks"}]}, "settings": {"interactivity": {"is_enabled": true}}}'
    )
    Endpoint.seen = queue.Queue()
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        url = f"http://127.0.0.1:{server.server_port}/slack/events"
        with running(
            fork_server, tmp_path, "--manifest", "app.json", "--request-url", url
        ) as slack:
            Endpoint.secret = slack.settings["SLACK_SIGNING_SECRET"]
            Thread(target=server.serve_forever, daemon=True).start()
            slack.line("answered the challenge")
            slack.act("command", user="alice", channel="general", command="/poll", text="lunch?")
            slack.act("shortcut", user="alice", callback_id="any")
            told = httpx.get(f"{slack.page}/sandbox/state?user=alice", trust_env=False).json()
        server.shutdown()
    form = "application/x-www-form-urlencoded"
    seen = [Endpoint.seen.get(timeout=WAIT_TIMEOUT) for _ in range(Endpoint.seen.qsize())]
    assert [kind for _, kind in seen if kind != "forged"] == ["application/json", form, form]
    assert {path for path, _ in seen} == {"/slack/events"}
    assert [each["text"] for each in told["ephemerals"]] == ["You said lunch?"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--without-bot", "--manifest", "none.yaml"], "--manifest none.yaml: No such file"),
        (
            ["--without-bot", "--manifest", "wrong.yaml"],
            "--manifest wrong.yaml: display_information",
        ),
        (
            ["--without-bot", "--request-url", "localhost:3000"],
            "--request-url 'localhost:3000' is not",
        ),
        (["--data", "."], "--data . is a folder"),
        (["--manifest", "wrong.yaml"], "--manifest and --request-url are for other apps"),
        (
            ["--without-bot", "--host", "0.0.0.0"],
            "--host 0.0.0.0 is not an address of this machine",
        ),
    ],
)
def test_what_cannot_be_used_stops_the_start_with_one_line(
    bobbin: Bobbin, options: list[str], line: str
) -> None:
    (bobbin.folder / "wrong.yaml").write_text("features: {}\n")
    done = bobbin("sandbox", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bobbin: {line}")
    assert done.stderr.count("\n") == 1
