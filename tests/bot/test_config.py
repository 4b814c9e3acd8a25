"""The settings: read from the environment and `.env`, with one line about whatever is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.config.chats import StreamMode
from bot.config.settings import Settings
from bot.config.slack import Delivery
from bot.errors import SettingsError
from tests.bot.conftest import Load

SOCKET = {"SLACK_BOT_TOKEN": "xoxb-1-abc", "SLACK_APP_TOKEN": "xapp-1-abc"}


def complaint(call: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_defaults_are_those_of_the_readme(load: Load) -> None:
    """If nothing is set, every setting has its documented default."""
    settings = load()

    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.bobbin_max_messages == 100
    assert settings.bobbin_stream is StreamMode.AUTO
    assert settings.bobbin_model_timeout == 60
    assert settings.bobbin_grace == 8
    assert (settings.host, settings.port) == ("127.0.0.1", 3000)
    assert settings.log_level == "INFO"
    assert settings.log_format is None
    assert settings.bobbin_allowed_models == ()
    assert settings.providers() == ()


def test_the_default_instruction_does_not_ask_for_a_title() -> None:
    """Models and tests tell the two instructions apart by that word."""
    assert "title" not in Settings.load(None).bobbin_system_prompt.lower()


def test_blank_values_count_as_unset(load: Load) -> None:
    """`PORT=` in a compose file means: the default."""
    settings = load(PORT="", BOBBIN_STREAM="  ", OPENAI_API_KEY=" ", DATABASE_URL="")

    assert settings.port == 3000
    assert settings.bobbin_stream is StreamMode.AUTO
    assert settings.openai_api_key is None
    assert settings.database_url is None


def test_the_env_file_is_read_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blank variable in the environment does not hide the file's."""
    file = tmp_path / ".env"
    file.write_text("# mine\nPORT=4000\nHOST='0.0.0.0'\nBOBBIN_GRACE=2\nSOMETHING_ELSE=x\n")
    monkeypatch.setenv("PORT", "5000")
    monkeypatch.setenv("BOBBIN_GRACE", "")

    settings = Settings.load(file)

    assert (settings.host, settings.port, settings.bobbin_grace) == ("0.0.0.0", 5000, 2)


def test_an_env_file_that_is_not_utf8_is_reported_in_one_line(tmp_path: Path) -> None:
    """Windows editors write UTF-16."""
    file = tmp_path / ".env"
    file.write_text("PORT=4000", encoding="utf-16")

    assert ".env" in complaint(lambda: Settings.load(file))


def test_the_env_file_is_read_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `.env` in the folder in which the command is run."""
    (tmp_path / ".env").write_text("PORT=4001\n")
    monkeypatch.chdir(tmp_path)

    assert Settings.load().port == 4001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "http"),
        ("PORT", "-1"),
        ("BOBBIN_MAX_MESSAGES", "1"),
        ("BOBBIN_MAX_MESSAGES", "many"),
        ("BOBBIN_MODEL_TIMEOUT", "0"),
        ("BOBBIN_MODEL_TIMEOUT", "nan"),
        ("BOBBIN_GRACE", "-1"),
        ("BOBBIN_GRACE", "inf"),
        ("BOBBIN_STREAM", "fast"),
        ("BOBBIN_OUTSIDERS", "maybe"),
        ("BOBBIN_GUESTS", "yes"),
        ("BOBBIN_TOKEN_LIFE", "a month"),
        ("BOBBIN_TOKEN_LIFE", "0d"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("SLACK_API_URL", "slack.com/api"),
        ("SLACK_API_URL", "https://"),
        ("OPENAI_BASE_URL", "localhost:8000/v1"),
        ("OLLAMA_BASE_URL", "http://[::1"),
        ("DATABASE_URL", "mysql://h/d"),
        ("DATABASE_URL", "bobbin.sqlite3"),
        ("REDIS_URL", "http://localhost"),
        ("BOBBIN_ALLOWED_USERS", "@ann"),
        ("BOBBIN_ALLOWED_USERS", "ann@example.com"),
        ("BOBBIN_ALLOWED_USERS", ","),
        ("BOBBIN_ALLOWED_USERS", "U1; U2"),
        ("BOBBIN_ALLOWED_CHANNELS", "#general"),
        ("BOBBIN_ALLOWED_CHANNELS", '["C1", "C2"]'),
        ("BOBBIN_ADMINS", "C1"),
        ("BOBBIN_ALLOWED_MODELS", '["openai:*"]'),
        ("BOBBIN_ALLOWED_MODELS", " , "),
        ("BOBBIN_SYSTEM_PROMPT", "not UTF-8: \udcff"),
        ("HOST", "\udcff"),
    ],
)
def test_a_malformed_value_is_named(load: Load, name: str, value: str) -> None:
    """One line: the variable, what it must be."""
    assert complaint(lambda: load(**{name: value})).startswith(f"{name} must be ")


@pytest.mark.parametrize(
    "name", ["PORT", "BOBBIN_GRACE", "OPENAI_BASE_URL", "DATABASE_URL", "LOG_LEVEL"]
)
def test_a_malformed_value_is_not_shown(load: Load, name: str) -> None:
    """It may be a secret in the wrong place."""
    assert "pass-word" not in complaint(lambda: load(**{name: "mysql://ada:pass-word@host/chats"}))


CREDENTIALS = [
    "SLACK_BOT_TOKEN",
    "SLACK_APP_TOKEN",
    "SLACK_SIGNING_SECRET",
    "SLACK_CLIENT_SECRET",
    "OPENROUTER_API_KEY",
    "VENICE_API_KEY",
    "OPENAI_API_KEY",
]


@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize(
    "value",
    [
        "sk-or-…",
        "sk-or-...",
        "sk or",
        '"sk-or"',
        "'sk'",
        "“sk”",
        "sk\u200bor",
        "\ufeffsk",
        "<key>",
        "sk\tor",
        "clé",
        "sk\x7f",
        "sk\\",
    ],
    ids=ascii,
)
def test_a_credential_that_was_not_copied_whole_is_refused(
    load: Load, name: str, value: str
) -> None:
    """It would fail far away, with an error that names no variable."""
    line = complaint(lambda: load(**{name: value}))

    assert line.startswith(f"{name} must be")
    assert value not in line


MISPLACED = [
    ({"OPENAI_API_KEY": "sk-ant-secret"}, "ANTHROPIC_API_KEY"),
    ({"OPENAI_API_KEY": "sk-or-v1-secret"}, "OPENROUTER_API_KEY"),
    ({"OPENROUTER_API_KEY": "gsk_secret"}, "GROQ_API_KEY"),
    ({"ANTHROPIC_API_KEY": "xai-secret"}, "XAI_API_KEY"),
    ({"VENICE_API_KEY": "AIzasecret"}, "GEMINI_API_KEY"),
    ({"GROQ_API_KEY": "xoxb-secret"}, "SLACK_BOT_TOKEN"),
    ({"OPENAI_API_KEY": "xapp-secret", "OPENAI_BASE_URL": "http://h/v1"}, "SLACK_APP_TOKEN"),
    ({"SLACK_SIGNING_SECRET": "xoxb-secret"}, "SLACK_BOT_TOKEN"),
    ({"SLACK_CLIENT_SECRET": "xapp-secret"}, "SLACK_APP_TOKEN"),
    ({"OPENAI_API_KEY": "sk-or-v1-secret", "OPENAI_BASE_URL": "http://gateway/v1"}, None),
    ({"OPENROUTER_API_KEY": "sk-or-v1-secret", "ANTHROPIC_API_KEY": "sk-ant-secret"}, None),
]


@pytest.mark.parametrize(("variables", "owner"), MISPLACED)
def test_a_key_in_another_providers_variable_is_reported(
    load: Load, variables: dict[str, str], owner: str | None
) -> None:
    """A custom server may use any key."""
    if owner is None:
        assert load(**variables)
        return
    line = complaint(lambda: load(**variables))
    assert line.startswith(f"{next(iter(variables))} holds what belongs into {owner}")
    assert "secret" not in line


def test_several_malformed_values_are_all_named(load: Load) -> None:
    """One start shows all problems."""
    line = complaint(lambda: load(PORT="x", LOG_LEVEL="y"))

    assert "PORT must be" in line
    assert "LOG_LEVEL must be" in line


def test_values_are_typed(load: Load) -> None:
    """Words in any case, lists by commas or spaces, addresses without a slash but Slack's with one."""
    settings = load(
        BOBBIN_STREAM="Native",
        LOG_LEVEL="debug",
        LOG_FORMAT="JSON",
        BOBBIN_ALLOWED_MODELS=" openai:* , venice:llama-*\nollama:* ",
        SLACK_API_URL="http://127.0.0.1:9000/api",
        OPENROUTER_API_KEY="k",
        OPENROUTER_BASE_URL="http://127.0.0.1:9001/v1/",
        PORT="0",
        BOBBIN_MODEL_TIMEOUT="2.5",
    )

    assert settings.bobbin_stream is StreamMode.NATIVE
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
    assert settings.bobbin_allowed_models == ("openai:*", "venice:llama-*", "ollama:*")
    assert settings.slack_api_url == "http://127.0.0.1:9000/api/"
    assert settings.providers()[0].base_url == "http://127.0.0.1:9001/v1"
    assert (settings.port, settings.bobbin_model_timeout) == (0, 2.5)


def test_secrets_are_not_printed(load: Load) -> None:
    """Neither in the settings' own repr nor in a provider's; passwords in addresses are secrets too."""
    secrets = {
        "SLACK_BOT_TOKEN": "xoxb-secret",
        "SLACK_APP_TOKEN": "xapp-secret",
        "SLACK_SIGNING_SECRET": "sign-secret",
        "SLACK_CLIENT_SECRET": "client-secret",
        "BOBBIN_SECRET_KEY": "key-secret",
        "OPENROUTER_API_KEY": "or-secret",
        "VENICE_API_KEY": "venice-secret",
        "OPENAI_API_KEY": "openai-secret",
        "DATABASE_URL": "postgresql://u:db-secret@h/d",
        "REDIS_URL": "redis://:redis-secret@h",
    }

    settings = load(**secrets)

    assert "secret@" not in repr(settings)
    assert "-secret" not in repr(settings) + str(settings) + repr(settings.providers())
    assert set(settings.secrets()) == set(secrets.values())


def test_settings_are_frozen(load: Load) -> None:
    """Settings never change; a changed copy can be made."""
    settings = load()

    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]

    assert settings.changed(port=1).port == 1
    assert settings.port == 3000


def test_run_requires_slack_settings(load: Load) -> None:
    """With nothing set, both missing halves are named, with what to do."""
    line = complaint(load().for_run)

    assert "SLACK_BOT_TOKEN is missing" in line
    assert "SLACK_APP_TOKEN is missing" in line
    assert "SLACK_SIGNING_SECRET" in line


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (
            {"SLACK_BOT_TOKEN": "xoxp-1", "SLACK_APP_TOKEN": "xapp-1"},
            "SLACK_BOT_TOKEN must begin with xoxb-",
        ),
        (
            {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xoxb-1"},
            "SLACK_APP_TOKEN must begin with xapp-",
        ),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN is missing"),
        ({"SLACK_APP_TOKEN": "xapp-1"}, "SLACK_BOT_TOKEN is missing"),
        ({"SLACK_CLIENT_ID": "1.2", "SLACK_SIGNING_SECRET": "s"}, "SLACK_CLIENT_SECRET is missing"),
        ({"SLACK_CLIENT_SECRET": "1.2", "SLACK_SIGNING_SECRET": "s"}, "SLACK_CLIENT_ID is missing"),
        (
            {"SLACK_CLIENT_ID": "1.2", "SLACK_CLIENT_SECRET": "c", "SLACK_SIGNING_SECRET": "s"},
            "BOBBIN_SECRET_KEY is missing",
        ),
        (
            {
                "SLACK_CLIENT_ID": "1.2",
                "SLACK_CLIENT_SECRET": "c",
                "SLACK_SIGNING_SECRET": "s",
                "BOBBIN_SECRET_KEY": " , ",
            },
            "BOBBIN_SECRET_KEY is missing",
        ),
    ],
)
def test_run_names_what_is_missing(load: Load, variables: dict[str, str], named: str) -> None:
    """Only that, and never a value."""
    line = complaint(load(**variables).for_run)

    assert line.startswith(named)
    assert ";" not in line.partition("(")[0]


@pytest.mark.parametrize(
    ("variables", "delivery", "many"),
    [
        (SOCKET, Delivery.SOCKET, False),
        ({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s"}, Delivery.HTTP, False),
        (SOCKET | {"SLACK_SIGNING_SECRET": "s"}, Delivery.SOCKET, False),
        (
            {
                "SLACK_CLIENT_ID": "1.2",
                "SLACK_CLIENT_SECRET": "c",
                "SLACK_SIGNING_SECRET": "s",
                "BOBBIN_SECRET_KEY": "k",
            },
            Delivery.HTTP,
            True,
        ),
    ],
)
def test_run_accepts_every_way_to_connect_to_slack(
    load: Load, variables: dict[str, str], delivery: Delivery, many: bool
) -> None:
    """Socket Mode when there is an app token, else HTTP; many workspaces with a client's id and secret."""
    settings = load(**variables).for_run()

    assert (settings.delivery, settings.many_workspaces) == (delivery, many)


def test_the_default_database_is_in_the_users_data_folder(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Unless one is named; the sandbox has another file."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = load()

    assert settings.database().startswith("sqlite:///")
    assert settings.database().endswith("bobbin/bobbin.sqlite3")
    assert settings.data_file("sandbox.sqlite3").parts[-2:] == ("bobbin", "sandbox.sqlite3")
    assert load(DATABASE_URL="postgresql://u:p@h/d").database() == "postgresql://u:p@h/d"


@pytest.mark.parametrize(
    ("variables", "openai", "venice"),
    [
        ({}, (), ()),
        ({"OPENAI_MODELS": "a/one, b:two c"}, ("a/one", "b:two", "c"), ()),
        ({"BOBBIN_DEFAULT_MODEL": "llama3:8b"}, ("llama3:8b",), ("llama3:8b",)),
        ({"BOBBIN_DEFAULT_MODEL": "openai:llama3:8b"}, ("llama3:8b",), ()),
        ({"BOBBIN_DEFAULT_MODEL": "d", "OPENAI_MODELS": "one"}, ("one",), ("d",)),
    ],
)
def test_the_settings_name_the_models_of_servers_without_a_list(
    load: Load, variables: dict[str, str], openai: tuple[str, ...], venice: tuple[str, ...]
) -> None:
    keys = {"OPENAI_API_KEY": "sk-0123456789", "VENICE_API_KEY": "v-0123456789"}
    models = {each.name: each.models for each in load(**keys, **variables).providers()}
    assert (models["openai"], models["venice"]) == (openai, venice)
