"""Model servers by their key alone, and those that BOBBIN_PROVIDERS names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.config.settings import SandboxSettings, Settings
from bot.config.suspicious import suspicious_settings
from bot.errors import SettingsError
from bot.providers.base import ProviderSettings

HOSTED = {
    "ANTHROPIC": ("anthropic", "Anthropic", "https://api.anthropic.com/v1"),
    "GEMINI": ("gemini", "Gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
    "GROQ": ("groq", "Groq", "https://api.groq.com/openai/v1"),
    "MISTRAL": ("mistral", "Mistral", "https://api.mistral.ai/v1"),
    "DEEPSEEK": ("deepseek", "DeepSeek", "https://api.deepseek.com"),
    "XAI": ("xai", "xAI", "https://api.x.ai/v1"),
    "TOGETHER": ("together", "Together", "https://api.together.xyz/v1"),
}


def load(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings.load(None)


def only(settings: Settings) -> ProviderSettings:
    (provider,) = settings.providers()
    return provider


@pytest.mark.parametrize("kind", [Settings, SandboxSettings])
@pytest.mark.parametrize("name", HOSTED)
def test_a_key_alone_adds_a_provider(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Settings]
) -> None:
    """In the sandbox too; logs mask the key."""
    monkeypatch.setenv(f"{name}_API_KEY", "key-of-one-provider")
    provider = only(settings := kind.load(None))

    assert (provider.name, provider.label, provider.base_url) == HOSTED[name]
    assert provider.api_key == "key-of-one-provider"
    assert "key-of-one-provider" in settings.secrets()
    assert "key-of-one-provider" not in f"{settings!r} {provider!r}"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://gateway.example/anthropic/v1/", "https://gateway.example/anthropic/v1"),
        ("https://api.anthropic.com", "https://api.anthropic.com/v1"),
        ("https://api.anthropic.com/?a=b", "https://api.anthropic.com/v1?a=b"),
        ("http://localhost:4000", "http://localhost:4000/v1"),
    ],
)
def test_an_address_without_a_path_gets_the_usual_one(
    monkeypatch: pytest.MonkeyPatch, given: str, used: str
) -> None:
    """Other programs take ANTHROPIC_BASE_URL without it."""
    variables = {"ANTHROPIC_API_KEY": "sk-ant-key", "ANTHROPIC_BASE_URL": given}
    assert only(load(monkeypatch, variables)).base_url == used


def test_models_may_be_named_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"XAI_API_KEY": "xai-key", "XAI_MODELS": "grok-5, grok-4"}
    assert only(load(monkeypatch, variables)).models == ("grok-5", "grok-4")


@pytest.mark.parametrize("name", [*(f"{name}_API_KEY" for name in HOSTED), "ACME_API_KEY"])
@pytest.mark.parametrize("key", ["sk-…", "“quoted”", "two words", "zero​width", "<your key>"])
def test_a_key_copied_badly_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    """That names the variable and does not show the key."""
    more = {"BOBBIN_PROVIDERS": "acme", "ACME_BASE_URL": "http://localhost:1"}
    with pytest.raises(SettingsError) as refused:
        load(monkeypatch, {name: key, **more})

    assert str(refused.value).startswith(f"{name} must be the key")
    assert key not in str(refused.value)
    assert "\n" not in str(refused.value)


FURTHER = {
    "BOBBIN_PROVIDERS": "acme, lab2",
    "ACME_BASE_URL": "https://models.acme.example/v1/",
    "ACME_API_KEY": "acme-secret-key",
    "ACME_LABEL": "Acme's models",
    "ACME_MODELS": "large small",
    "LAB2_BASE_URL": "http://lab:8000/v1",
}


def test_further_providers_have_variables_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number, after the built-in ones."""
    settings = load(monkeypatch, {**FURTHER, "GROQ_API_KEY": "gsk-key"})
    groq, acme, lab = settings.providers()

    assert groq.name == "groq"
    assert acme == ProviderSettings(
        "acme", "Acme's models", "https://models.acme.example/v1", "acme-secret-key",
        models=("large", "small"),
    )  # fmt: skip
    assert (lab.name, lab.label, lab.api_key, lab.models) == ("lab2", "Lab2", None, ())
    assert "acme-secret-key" in settings.secrets()
    assert "acme-secret-key" not in repr(settings)


def test_the_file_env_may_have_them_and_the_environment_counts_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env = tmp_path / ".env"
    env.write_text("".join(f"{name}={value}\n" for name, value in FURTHER.items()))
    monkeypatch.setenv("ACME_LABEL", "Theirs")

    acme, _ = Settings.load(env).changed(port=1).providers()

    assert acme.label == "Theirs"
    assert acme.base_url == "https://models.acme.example/v1"


def test_a_server_of_a_known_host_is_spoken_to_in_its_dialect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second account, for instance."""
    variables = {"BOBBIN_PROVIDERS": "claude", "CLAUDE_BASE_URL": "https://api.anthropic.com/v1"}
    assert only(load(monkeypatch, variables)).kind == "anthropic"


REFUSED = {
    "no address": ({"BOBBIN_PROVIDERS": "acme"}, "ACME_BASE_URL is missing"),
    "twice": ({**FURTHER, "BOBBIN_PROVIDERS": "acme acme"}, "BOBBIN_PROVIDERS names acme twice"),
    "built in": ({"BOBBIN_PROVIDERS": "acme,groq"}, "BOBBIN_PROVIDERS names groq, which is built in"),
    "the oldest": ({"BOBBIN_PROVIDERS": "openrouter"}, "BOBBIN_PROVIDERS names openrouter, which is"),
    "the sandbox's": ({"BOBBIN_PROVIDERS": "demo"}, "BOBBIN_PROVIDERS names demo, which is"),
    "capitals": ({"BOBBIN_PROVIDERS": "Acme"}, "BOBBIN_PROVIDERS must be names"),
    "a digit first": ({"BOBBIN_PROVIDERS": "2nd"}, "BOBBIN_PROVIDERS must be names"),
    "a hyphen": ({"BOBBIN_PROVIDERS": "my-lab"}, "BOBBIN_PROVIDERS must be names"),
    "a key": ({"BOBBIN_PROVIDERS": "sk-or-v1-secret"}, "BOBBIN_PROVIDERS must be names"),
    "no web address": ({"BOBBIN_PROVIDERS": "acme", "ACME_BASE_URL": "models:8000/v1"}, "ACME_BASE_URL must be a web"),
    "blank address": ({"BOBBIN_PROVIDERS": "acme", "ACME_BASE_URL": "  "}, "ACME_BASE_URL is missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_with_them_is_one_line(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    variables, expected = REFUSED[case]
    with pytest.raises(SettingsError) as refused:
        load(monkeypatch, variables)

    assert str(refused.value).startswith(expected)
    assert "\n" not in str(refused.value)
    assert "sk-or-v1-secret" not in str(refused.value)


def test_misspelt_variables_of_theirs_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Others that only begin alike are not."""
    for name, value in {
        **FURTHER, "ACME_BASEURL": "x", "LAB2_APIKEY": "x", "ACME_HOME": "/opt/acme", "BOBBIN_PROVIDER": "x",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    hints = suspicious_settings(tmp_path / ".env")

    assert [hint.split()[0] for hint in hints] == ["ACME_BASEURL", "BOBBIN_PROVIDER", "LAB2_APIKEY"]
    assert "did you mean ACME_BASE_URL?" in hints[0]
    assert "did you mean BOBBIN_PROVIDERS?" in hints[1]
