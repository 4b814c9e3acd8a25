"""Which model servers the settings name."""

from __future__ import annotations

from bot.config.models import no_models
from tests.bot.conftest import Load


def test_all_providers_can_be_configured_at_once(load: Load) -> None:
    """In the menu's order, each with its own address and key."""
    settings = load(
        OPENROUTER_API_KEY="a",
        VENICE_API_KEY="b",
        OPENAI_API_KEY="c",
        OLLAMA_BASE_URL="http://gpu:11434/",
    )

    found = [
        (source.name, source.label, source.base_url, source.api_key)
        for source in settings.providers()
    ]

    assert found == [
        ("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "a"),
        ("venice", "Venice", "https://api.venice.ai/api/v1", "b"),
        ("openai", "OpenAI", "https://api.openai.com/v1", "c"),
        ("ollama", "Ollama", "http://gpu:11434", None),
    ]


def test_venice_preselects_its_chat_model(load: Load) -> None:
    """The variable that Venice's users know."""
    assert load(VENICE_API_KEY="k").providers()[0].default_model == "venice-uncensored"
    assert load(VENICE_CHAT_MODEL="other").providers()[0].default_model == "other"


def test_an_openai_compatible_server_needs_no_key(load: Load) -> None:
    """llama.cpp and similar servers have none."""
    (source,) = load(OPENAI_BASE_URL="http://localhost:8000/v1").providers()

    assert (source.name, source.base_url, source.api_key) == (
        "openai",
        "http://localhost:8000/v1",
        None,
    )


def test_the_ollama_at_its_usual_address_is_optional(load: Load) -> None:
    """It may be found running; its absence is not reported."""
    unasked = load().local_ollama()

    assert unasked is not None
    assert (unasked.base_url, unasked.optional) == ("http://localhost:11434", True)
    assert load(OLLAMA_BASE_URL="http://gpu:11434").local_ollama() is None


def test_no_models_says_what_to_set() -> None:
    """Every variable that would help is named."""
    line = str(no_models())

    for name in ("OPENROUTER_API_KEY", "VENICE_API_KEY", "OPENAI_API_KEY", "OLLAMA_BASE_URL"):
        assert name in line
