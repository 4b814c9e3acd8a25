"""The sandbox beside production: which parts of a production `.env` it uses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bot.commands.app_workspace import WorkspaceOptions
from bot.commands.sandbox import _settings_in
from bot.config.settings import SandboxSettings, Settings
from bot.observability import configure_logging
from bot.sandbox import Sandbox

PRODUCTION = """
BOBBIN_ALLOWED_USERS=U024BE7LH, T024BE7LD/U024BE7LJ
BOBBIN_ALLOWED_CHANNELS=C024BE91L, D*
BOBBIN_ALLOWED_MODELS=openrouter:anthropic/*
BOBBIN_DEFAULT_MODEL=openrouter:anthropic/claude
BOBBIN_TITLE_MODEL=groq:small
BOBBIN_TRANSCRIBE_MODEL=groq:whisper
HOST=0.0.0.0
"""


async def settings_in(folder: Path, text: str) -> Settings:
    file = folder / ".env"
    file.write_text(text)
    async with Sandbox() as slack:
        options = WorkspaceOptions("127.0.0.1", 0, folder / "kept.sqlite3")
        return _settings_in(slack, SandboxSettings.load(file), options)


async def test_production_rules_and_models_do_not_apply_to_the_sandbox(tmp_path: Path) -> None:
    """Nobody here has these ids, these models need keys, and the address belongs to another bot."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = await settings_in(tmp_path, f"{PRODUCTION}PORT={taken.getsockname()[1]}\n")

    assert (own.host, own.port) == ("127.0.0.1", 0)
    assert (own.bobbin_default_model, own.bobbin_title_model) == (None, None)
    assert own.bobbin_transcribe_model == "demo:demo/ears"
    assert own.bobbin_allowed_models == ()


async def test_rules_of_another_slack_count_and_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sandbox never extends who may use the bot: a rule that excludes everybody is reported at startup."""
    configure_logging("INFO", "json", ())
    own = await settings_in(tmp_path, PRODUCTION)

    assert own.access_rules().users == ("U024BE7LH", "T024BE7LD/U024BE7LJ")
    errors = capsys.readouterr().err
    assert "BOBBIN_ALLOWED_USERS names nobody and nothing in the sandbox" in errors
    assert "BOBBIN_ALLOWED_CHANNELS" not in errors  # D* is here too


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BOBBIN_ALLOWED_USERS=U0ALICE, t0sandbox/u0bob", {"bobbin_allowed_users": ("U0ALICE", "t0sandbox/u0bob")}),
        ("BOBBIN_ALLOWED_CHANNELS=C0RANDOM D*", {"bobbin_allowed_channels": ("C0RANDOM", "D*")}),
        ("BOBBIN_ALLOWED_MODELS=gpt-* demo:demo/quick", {"bobbin_allowed_models": ("gpt-*", "demo:demo/quick")}),
        ("BOBBIN_ALLOWED_MODELS=llama3*", {"bobbin_allowed_models": ("llama3*",)}),
        ("BOBBIN_DEFAULT_MODEL=llama3.2:3b", {"bobbin_default_model": "llama3.2:3b"}),
        ("BOBBIN_DEFAULT_MODEL=demo:demo/slow", {"bobbin_default_model": "demo:demo/slow"}),
        ("OPENAI_API_KEY=sk-1\nBOBBIN_ALLOWED_MODELS=gpt-*", {"bobbin_allowed_models": ("gpt-*",)}),
    ],
)  # fmt: skip
async def test_what_can_be_tried_in_the_sandbox_counts(
    tmp_path: Path, text: str, expected: dict[str, object]
) -> None:
    own = await settings_in(tmp_path, text)
    assert {name: getattr(own, name) for name in expected} == expected
