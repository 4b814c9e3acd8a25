"""`bobbin doctor` and `bobbin run` with broken setups: each names the cause and the remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bot.domain import ModelRef, Usage
from bot.manifest import bot_scopes
from bot.usage.calls import Call, CallKind, CallOutcome, Payer
from storage.engine.database import Database
from storage.engine.types import new_id
from storage.ledger import Ledger
from tests.bot.program import Bobbin
from tests.slow import slow_after

Handler = type[BaseHTTPRequestHandler]
GOOD = {"SLACK_BOT_TOKEN": "xoxb-good", "SLACK_APP_TOKEN": "xapp-good"}


def server_that(answers: Callable[[BaseHTTPRequestHandler], None]) -> Handler:
    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            answers(self)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Server


def answer(
    handler: BaseHTTPRequestHandler,
    body: str,
    *,
    status: int = 200,
    kind: str = "application/json",
    date: str | None = None,
) -> None:
    handler.send_response_only(status)
    if date is not None:
        handler.send_header("Date", date)
    handler.send_header("Content-Type", kind)
    handler.send_header("X-OAuth-Scopes", ",".join(bot_scopes()))
    handler.end_headers()
    handler.wfile.write(body.encode())


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def slack_that(refuses_app_token: str | None = None, date: str | None = None) -> Handler:
    def answers(handler: BaseHTTPRequestHandler) -> None:
        if refuses_app_token and handler.path.endswith("apps.connections.open"):
            answer(handler, f'{{"ok": false, "error": "{refuses_app_token}"}}', date=date)
        else:
            who = '"user_id": "U1", "team_id": "T1", "user": "bobbin", "team": "Ada"'
            answer(handler, f'{{"ok": true, "url": "wss://127.0.0.1:9/", {who}}}', date=date)

    return server_that(answers)


def models_called(*names: str) -> Handler:
    listed = ", ".join(f'{{"id": "{name}", "object": "model"}}' for name in names)
    return server_that(lambda handler: answer(handler, f'{{"object": "list", "data": [{listed}]}}'))


PAGES = {
    "a proxy's page": ("<html>Sign in to the network</html>", 200),
    "a proxy's refusal": ("<html>Forbidden</html>", 403),
    "a gateway's error": ("Bad Gateway", 502),
    "nothing": ("", 200),
    "a list": ("[]", 200),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_server_that_is_not_slack_is_reported_in_one_line(
    bobbin: Bobbin, page: tuple[str, int]
) -> None:
    """And the other checks go on."""
    text, status = page
    handler = server_that(lambda it: answer(it, text, status=status, kind="text/html"))
    with serving(handler) as slack, serving(models_called("tiny")) as models:
        done = bobbin(
            "doctor", SLACK_API_URL=f"{slack}/api/", OPENAI_BASE_URL=f"{models}/v1", **GOOD
        )

    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert "SLACK_API_URL" in lines["FAIL  SLACK_BOT_TOKEN"]
    assert "SLACK_API_URL" in lines["FAIL  SLACK_APP_TOKEN"]
    assert lines["ok    OpenAI-compatible"] == "1 models"
    assert (done.returncode, done.stderr) == (1, "")


def test_a_circle_of_redirects_is_named(bobbin: Bobbin) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(302)
        handler.send_header("Location", handler.path)
        handler.end_headers()

    with serving(server_that(redirect)) as slack:
        done = bobbin("doctor", SLACK_API_URL=f"{slack}/api/", **GOOD)
    assert done.stdout.count("it redirects in a circle; check the address") == 2  # both tokens


def test_an_app_without_an_agent_view_is_reported(bobbin: Bobbin) -> None:
    """As left by an older manifest; Slack reveals it by refusing suggested prompts."""

    def answers(handler: BaseHTTPRequestHandler) -> None:
        prompts = handler.path.endswith("setSuggestedPrompts")
        said = '{"ok": false, "error": "not_agent_app"}' if prompts else '{"ok": true}'
        answer(handler, said)

    with serving(server_that(answers)) as slack:
        done = bobbin("doctor", SLACK_API_URL=f"{slack}/api/", **GOOD)

    (line,) = [line for line in done.stdout.splitlines() if "agent view" in line]
    assert line.startswith("FAIL  agent view: ")
    assert "bobbin manifest" in line


@pytest.mark.parametrize(
    "answered",
    ["[" * 5000, '{"data": [{"id": {"a": 1}}]}', '{"data": {"x": 1}}', "\x00", '{"data": [1e999]}'],
    ids=["deep", "ids", "mapping", "nul", "infinity"],
)  # fmt: skip
def test_one_providers_failure_ends_no_other_check(bobbin: Bobbin, answered: str) -> None:
    """Whatever its response: each provider has its own line."""
    odd = server_that(lambda handler: answer(handler, answered))
    with serving(odd) as strange, serving(models_called("tiny")) as models:
        done = bobbin(
            "doctor",
            OPENAI_BASE_URL=f"{strange}/v1",
            BOBBIN_PROVIDERS="lab",
            LAB_BASE_URL=f"{models}/v1",
            GROQ_API_KEY="gsk-key-of-groq",
            GROQ_BASE_URL="http://127.0.0.1:9/openai/v1",
        )

    lines = done.stdout.splitlines()
    assert "ok    Lab: 1 models" in lines
    assert [line for line in lines if line.startswith("FAIL  Groq: cannot be reached")]
    assert [line for line in lines if line.startswith("FAIL  OpenAI-compatible: ")]
    assert "gsk-key-of-groq" not in done.stdout + done.stderr


def test_a_server_that_is_not_redis_is_reported(bobbin: Bobbin) -> None:
    """Possibly only TLS and plain connections are mixed up."""
    with serving(server_that(lambda handler: answer(handler, "{}"))) as other:
        done = bobbin("doctor", REDIS_URL=other.replace("http://", "redis://"))

    (line,) = [line for line in done.stdout.splitlines() if "Redis" in line]
    assert line.startswith("FAIL  Redis: 127.0.0.1:")
    assert "rediss:// is with TLS, redis:// without" in line


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Mon, 01 Jan 2001 00:00:00 GMT", "ahead of Slack"),
        ("Thu, 01 Jan 2099 00:00:00 GMT", "behind Slack"),
        ("some day", None),
        (None, None),
    ],
)
def test_a_wrong_clock_is_reported(bobbin: Bobbin, date: str | None, expected: str | None) -> None:
    with serving(slack_that(date=date)) as slack:
        done = bobbin("doctor", SLACK_API_URL=f"{slack}/api/", **GOOD)

    told = [line for line in done.stdout.splitlines() if line.startswith("FAIL  clock")]
    assert [expected in line for line in told if expected] == [True] * bool(expected)
    assert bool(told) is bool(expected)


def bots_app(app: str) -> Handler:
    """A Slack that knows the bot as one of this app."""

    def answers(handler: BaseHTTPRequestHandler) -> None:
        who = '"user_id": "U1", "team_id": "T1", "bot_id": "B1", "user": "bobbin", "team": "Ada"'
        answer(
            handler,
            f'{{"ok": true, "url": "wss://127.0.0.1:9/", {who}, "bot": {{"app_id": "{app}"}}}}',
        )

    return server_that(answers)


@pytest.mark.parametrize("app", ["A0OTHER", "A0SAME"])
def test_tokens_of_two_apps_are_reported(bobbin: Bobbin, app: str) -> None:
    """One app's events would arrive, and the other's bot would answer them."""
    tokens = {"SLACK_BOT_TOKEN": "xoxb-good", "SLACK_APP_TOKEN": "xapp-1-A0SAME-1-abc"}
    with serving(bots_app(app)) as slack:
        done = bobbin("doctor", SLACK_API_URL=f"{slack}/api/", **tokens)

    told = [line for line in done.stdout.splitlines() if line.startswith("FAIL  SLACK_APP_TOKEN")]
    assert [("A0SAME" in line, "A0OTHER" in line) for line in told] == [(True, True)] * (
        app != "A0SAME"
    )


def test_a_taken_port_is_reported(bobbin: Bobbin) -> None:
    with serving(server_that(lambda handler: answer(handler, "<html>", status=404))) as taken:
        done = bobbin("doctor", PORT=taken.rpartition(":")[2])

    (line,) = [line for line in done.stdout.splitlines() if "HTTP:" in line]
    assert "set PORT to another one" in line


def test_model_settings_that_match_nothing_are_named(bobbin: Bobbin) -> None:
    """With the nearest name that exists, and so are those that are not allowed."""
    with serving(models_called("gpt-large", "gpt-small")) as models:
        done = bobbin(
            "doctor",
            OPENAI_BASE_URL=f"{models}/v1",
            OLLAMA_BASE_URL="",
            BOBBIN_DEFAULT_MODEL="gpt-lage",
            BOBBIN_TITLE_MODEL="openai:gpt-small",
            BOBBIN_ALLOWED_MODELS="gpt-l*, claude-*",
        )

    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert "did you mean gpt-large?" in lines["FAIL  BOBBIN_DEFAULT_MODEL"]
    assert lines["FAIL  BOBBIN_ALLOWED_MODELS"] == "claude-* matches no model"
    assert "does not allow openai:gpt-small" in lines["FAIL  BOBBIN_TITLE_MODEL"]


@pytest.mark.parametrize(
    ("allowed", "status", "text"),
    [
        ("gpt-*", "FAIL", "BOBBIN_ALLOWED_MODELS does not allow openai:whisper"),
        ("gpt-*, whisper", "ok  ", "openai does not list it, so try a voice clip"),
    ],
)
def test_the_model_for_voice_clips_has_to_be_allowed(
    bobbin: Bobbin, allowed: str, status: str, text: str
) -> None:
    with serving(models_called("gpt-large")) as models:
        done = bobbin(
            "doctor",
            OPENAI_BASE_URL=f"{models}/v1",
            OLLAMA_BASE_URL="",
            BOBBIN_TRANSCRIBE_MODEL="openai:whisper",
            BOBBIN_ALLOWED_MODELS=allowed,
        )

    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert text in lines[f"{status}  BOBBIN_TRANSCRIBE_MODEL"]
    assert not any("BOBBIN_ALLOWED_MODELS" in name for name in lines)


def test_model_settings_are_not_judged_by_half_a_list(bobbin: Bobbin) -> None:
    """The provider that is down may have the model."""
    with serving(models_called("tiny")) as models:
        done = bobbin(
            "doctor",
            OPENAI_BASE_URL=f"{models}/v1",
            OLLAMA_BASE_URL="http://127.0.0.1:9",
            BOBBIN_DEFAULT_MODEL="ollama:llama",
        )

    assert "FAIL  Ollama" in done.stdout
    assert "BOBBIN_DEFAULT_MODEL" not in done.stdout


@pytest.mark.parametrize("error", ["token_revoked", "access_denied"])
def test_a_refused_app_token_is_told_with_a_cure(bobbin: Bobbin, error: str) -> None:
    """Whatever the refusal: only Slack knows all of its codes."""
    with serving(slack_that(error)) as slack:
        done = bobbin("doctor", SLACK_API_URL=f"{slack}/api/", **GOOD)

    (line,) = [line for line in done.stdout.splitlines() if "SLACK_APP_TOKEN" in line]
    assert line.startswith("FAIL  SLACK_APP_TOKEN: ")
    assert "install the app again" in line or "access_denied; check that Socket Mode" in line


@pytest.mark.parametrize(
    "error", slow_after(1, ["invalid_auth", "not_allowed_token_type", "missing_scope"])
)
def test_a_refused_app_token_ends_the_start_in_one_line(bobbin: Bobbin, error: str) -> None:
    """Slack's client would retry for ever."""
    with serving(slack_that(error)) as slack, serving(models_called("tiny")) as models:
        done = bobbin(
            "run", SLACK_API_URL=f"{slack}/api/", OPENAI_BASE_URL=f"{models}/v1", PORT="0", **GOOD
        )

    last = done.stderr.splitlines()[-1]
    assert last.startswith("bobbin: SLACK_APP_TOKEN is refused: ")
    assert "xapp-good" not in done.stderr
    assert done.returncode == 2


def test_models_that_a_budget_in_dollars_cannot_count_are_named(
    bobbin: Bobbin, tmp_path: Path
) -> None:
    """Offered models whose providers report no cost, and for which the ledger knows none."""
    url = f"sqlite:///{tmp_path / 'bobbin.sqlite3'}"
    asyncio.run(use(url, ModelRef("openai", "gpt-known")))
    with serving(models_called("gpt-known", "gpt-new", "other")) as models:
        done = bobbin(
            "doctor",
            OPENAI_BASE_URL=f"{models}/v1",
            OLLAMA_BASE_URL="",
            DATABASE_URL=url,
            BOBBIN_ALLOWED_MODELS="gpt-*",
            BOBBIN_BUDGET_USER="5 USD/month",
            BOBBIN_BUDGET_CHANNEL="1M tokens/day",
        )

    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines["ok    BOBBIN_BUDGET_USER"] == (
        "nobody has told yet what these offered models cost, so they do not count in it: openai:gpt-new; "
        "set a budget in tokens to limit them"
    )
    assert "BOBBIN_BUDGET_CHANNEL" not in done.stdout


async def use(url: str, model: ModelRef) -> None:
    """A model call whose provider has reported its cost."""
    database = Database.open(url)
    await database.migrate()
    payer = Payer("T1", "U1", "C1", "chat")
    await Ledger(database).add(
        [Call(new_id(), payer, CallKind.ANSWER, model, CallOutcome.DONE, Usage(10, 1, 0.5), 1.0)]
    )
    await database.close()


def test_the_access_rule_is_one_line(bobbin: Bobbin) -> None:
    """It states the result of all settings together."""
    with serving(models_called("gpt-large")) as models:
        done = bobbin(
            "doctor",
            OPENAI_BASE_URL=f"{models}/v1",
            OLLAMA_BASE_URL="",
            BOBBIN_ALLOWED_CHANNELS="C0HELP D*",
            BOBBIN_OUTSIDERS="Answer",
            BOBBIN_ADMINS="U0ADA",
        )

    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines["ok    access"] == (
        "everybody in C0HELP, D*; people of other organisations are answered, guests are answered; "
        "admins: the workspace's admins and owners, U0ADA"
    )
