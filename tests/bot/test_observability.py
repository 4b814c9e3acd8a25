"""Logs hold no secrets and no message text; metrics count."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot.observability import LOGGER_NAMES, Metrics, configure_logging, get_logger, log_context

log = get_logger("bot.test")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Puts the process's logging back."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    for name in LOGGER_NAMES:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("token xoxb-12-34-abcDEF at the end", "xoxb-12-34-abcDEF"),
        ("xoxe.xoxp-1-Mi0yLTEyMw", "Mi0yLTEyMw"),
        ("('xapp-1-A02-33-deadbeef',)", "xapp-1-A02-33-deadbeef"),
        ("Authorization: Bearer abc.def-ghi=", "abc.def-ghi="),
        ("key sk-or-v1-0123456789abcdef refused", "sk-or-v1-0123456789abcdef"),
        ("cannot reach postgresql+psycopg://ada:l0velace@db/bobbin", "l0velace"),
        ("wss://wss-primary.slack.com/link/?ticket=0b1c-77&app_id=9", "0b1c-77"),
        ("the venice key my-own-venice-key was refused", "my-own-venice-key"),
    ],
)
def test_secrets_are_masked_everywhere(
    capsys: pytest.CaptureFixture[str], style: str, line: str, secret: str
) -> None:
    """In our fields, in nested values, in a library's message and in a traceback."""
    configure_logging("INFO", "json" if style == "json" else "text", ["my-own-venice-key"])

    log.info("ours", reason=line, nested={"headers": [line]})
    logging.getLogger("slack_sdk.web").warning("theirs: %s", line)
    try:
        raise RuntimeError(line)
    except RuntimeError:
        log.exception("failed")

    written = capsys.readouterr().err
    assert secret not in written
    assert written.count("[hidden]") >= 4
    assert "RuntimeError" in written


def test_words_that_resemble_keys_are_not_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """A task-runner is no key."""
    configure_logging("INFO", "json")

    log.info(
        "took", by="task-runner-of-ours", address="https://slack.com/api/", model="openai:gpt-5"
    )

    event = json.loads(capsys.readouterr().err)
    assert (event["by"], event["address"]) == ("task-runner-of-ours", "https://slack.com/api/")
    assert event["model"] == "openai:gpt-5"


def test_fields_with_message_text_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """A safety net for the rule that message text is never logged."""
    configure_logging("INFO", "json")

    log.info("said", text="private words", blocks=[{"text": "private words"}], length=13)

    written = capsys.readouterr().err
    assert "private" not in written
    assert json.loads(written)["length"] == 13


def test_events_carry_the_log_context(capsys: pytest.CaptureFixture[str]) -> None:
    """Inside the block and not after it."""
    configure_logging("INFO", "json")

    with log_context(team="T1", chat="c1"), log_context(answer="a1"):
        log.info("inside")
    log.info("outside")

    inside, outside = map(json.loads, capsys.readouterr().err.splitlines())
    assert (inside["team"], inside["chat"], inside["answer"]) == ("T1", "c1", "a1")
    assert (inside["event"], inside["level"], inside["logger"]) == ("inside", "info", "bot.test")
    assert "team" not in outside


def test_a_lost_database_is_logged_with_its_reason_and_address_but_no_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", "json")
    extra = {"reason": "the database does not answer", "database": "at db:5432", "row": "a text"}
    logging.getLogger("storage.engine.database").warning("database_lost", extra=extra)
    logged = json.loads(capsys.readouterr().err)
    assert (logged["reason"], logged["database"]) == (extra["reason"], extra["database"])
    assert "a text" not in str(logged)


def test_libraries_log_from_warning_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Their debug lines print what people write; ours obey the level."""
    configure_logging("DEBUG", "json")

    log.debug("ours")
    for name in (
        "slack_sdk.web.async_client",
        "slack_bolt.AsyncApp",
        "httpx",
        "aiohttp.access",
        "sqlalchemy.engine",
    ):
        logging.getLogger(name).info("theirs")

    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["ours"]


def test_the_level_applies_to_own_events(capsys: pytest.CaptureFixture[str]) -> None:
    """WARNING hides INFO."""
    configure_logging("WARNING", "text")

    log.info("quiet")
    log.warning("loud")

    written = capsys.readouterr().err
    assert "quiet" not in written
    assert "loud" in written


def test_without_a_terminal_logs_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    """What a container's collector wants."""
    configure_logging()

    log.info("started", port=3000)

    assert json.loads(capsys.readouterr().err)["port"] == 3000


def test_metrics_count_what_happened() -> None:
    """By name and label, in Prometheus' words."""
    metrics = Metrics()
    metrics.count_answer("done")
    metrics.count_answer("done")
    metrics.observe_first_word(0.2)
    metrics.observe_lag(0.3)
    metrics.set_waiting(3)
    metrics.set_running(2)
    metrics.observe_slack_call("chat.update", "ok", 0.04)
    metrics.count_rate_limited("chat.update")
    metrics.count_model_error("venice", "busy")
    metrics.count_takeover()

    lines = metrics.render().decode().splitlines()

    assert 'bobbin_answers_total{outcome="done"} 2.0' in lines
    assert 'bobbin_first_word_seconds_bucket{le="0.15"} 0.0' in lines
    assert 'bobbin_first_word_seconds_bucket{le="0.25"} 1.0' in lines
    assert "bobbin_lag_seconds_sum 0.3" in lines
    assert "bobbin_answers_waiting 3.0" in lines
    assert "bobbin_answers_running 2.0" in lines
    assert 'bobbin_slack_calls_total{method="chat.update",result="ok"} 1.0' in lines
    assert 'bobbin_slack_rate_limited_total{method="chat.update"} 1.0' in lines
    assert 'bobbin_slack_call_seconds_bucket{le="0.05",method="chat.update"} 1.0' in lines
    assert 'bobbin_model_errors_total{code="busy",provider="venice"} 1.0' in lines
    assert "bobbin_leases_taken_over_total 1.0" in lines


def test_metrics_are_not_shared_between_instances() -> None:
    """Each `Metrics` has a registry of its own, so that tests can start many bots."""
    first, second = Metrics(), Metrics()

    first.count_takeover()

    assert b"bobbin_leases_taken_over_total 0.0" in second.render()
