"""`bobbin usage` prints what the ledger holds."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.cli import app
from bot.domain import ModelRef, Usage
from bot.usage.calls import Call, CallKind, CallOutcome, Payer
from storage.engine.database import Database
from storage.engine.types import new_id
from storage.ledger import Ledger


def call(user: str, usage: Usage | None, outcome: CallOutcome = CallOutcome.DONE) -> Call:
    payer = Payer("T1", user, "C1", "chat")
    model = ModelRef("openrouter", "meta/llama-3")
    return Call(new_id(), payer, CallKind.ANSWER, model, outcome, usage, 1.0)


async def fill(url: str) -> None:
    database = Database.open(url)
    await database.migrate()
    ledger = Ledger(database)
    await ledger.add([call("U1", Usage(1000, 100, 0.25, 400)), call("U1", Usage(500, 50, 0.5))])
    await ledger.add([call("U2", Usage(10, 1)), call("U2", None, CallOutcome.FAILED)])
    await database.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'bobbin.sqlite3'}"
    asyncio.run(fill(url))
    return url


def usage(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["usage", *arguments], env={"DATABASE_URL": url})


def test_as_json(url: str) -> None:
    first, second = json.loads(usage(url, "--format", "json").stdout)
    assert first == {
        "user": "T1/U1",
        "answers": 2,
        "failures": 0,
        "tokens_in": 1500,
        "tokens_out": 150,
        "cached": 400,
        "cost": 0.75,
        "estimated_tokens": 0,
        "estimated_cost": 0.0,
    }
    assert (second["user"], second["failures"], second["cost"]) == ("T1/U2", 1, None)


def test_as_csv(url: str) -> None:
    printed = usage(url, "--by", "model", "--format", "csv", "--since", "1d").stdout
    (row,) = csv.DictReader(io.StringIO(printed))
    assert row["model"] == "openrouter:meta/llama-3"
    assert (row["answers"], row["tokens_in"], row["cost"]) == ("3", "1510", "0.75")


def test_as_a_table(url: str) -> None:
    lines = usage(url, "--by", "channel").stdout.splitlines()
    assert lines[0].split("  ")[0] == "channel"
    assert lines[1].split() == ["T1/C1", "3", "1", "1,510", "151", "400", "0.7500"]


def test_estimates_are_separate_from_reported_figures(url: str) -> None:
    asyncio.run(stop_one(url))
    (first, _) = json.loads(usage(url, "--format", "json").stdout)
    assert (first["user"], first["tokens_in"], first["cost"]) == ("T1/U1", 1500, 0.75)
    assert (first["estimated_tokens"], first["estimated_cost"]) == (220, 0.1)
    printed = usage(url, "--format", "csv").stdout
    assert next(csv.DictReader(io.StringIO(printed)))["estimated_cost"] == "0.1"
    head, row, _ = usage(url).stdout.splitlines()
    assert head.split()[-4:] == ["estimated", "tokens", "estimated", "cost"]
    assert row.split()[-3:] == ["0.7500", "220", "0.1000"]


async def stop_one(url: str) -> None:
    """An answer of U1 is stopped, of which the provider tells nothing: at what the model costs, 0.1 dollars."""
    database = Database.open(url)
    stopped = call("U1", None, CallOutcome.STOPPED)
    await Ledger(database).add([replace(stopped, estimated_tokens=220)])
    await database.close()


def test_wrong_options_end_with_one_line(url: str) -> None:
    wrong = usage(url, "--since", "yesterday")
    assert wrong.exit_code == 2
    assert wrong.stderr == (
        "bobbin: --since yesterday is neither a number of days (30d) nor a date (2026-11-30)\n"
    )
    assert usage(url, "--by", "colour").exit_code == 2
