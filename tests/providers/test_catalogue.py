"""The catalogue offers, finds and preselects models while providers go down and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from bot.domain import ModelInfo, ModelRef
from bot.domain.stream_events import (
    StreamEvent,
)
from bot.errors import ProviderError, ProviderServerError, Unreachable
from bot.providers.base import ModelRequest
from bot.providers.catalogue import Catalogue
from bot.providers.model_search import best_matches, fair_shares
from bot.timing import Timing
from tests.deadlines import WAIT_TIMEOUT, until


class FakeProvider:
    """A provider whose list a test changes. It counts how often the list was loaded, and how often at once."""

    def __init__(
        self, name: str, *models: str, default: str | None = None, error: Exception | None = None
    ) -> None:
        self.name = name
        self.label = name.title()
        self.default_model = default
        self.optional = False
        self.names = list(models)
        self.error = error
        self.delay = 0.0
        self.asked = self.at_once = self.most_at_once = 0

    async def models(self) -> Sequence[ModelInfo]:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay)
            if self.error is not None:
                raise self.error
            return [info(name, self.name) for name in self.names]
        finally:
            self.at_once -= 1

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        raise ProviderError("never asked here")
        yield


def info(name: str, provider: str = "one", label: str | None = None) -> ModelInfo:
    return ModelInfo(ModelRef(provider, name), label or name, provider.title())


def names(infos: Sequence[ModelInfo]) -> list[str]:
    return [str(one.ref) for one in infos]


open_catalogue = partial(
    Catalogue,
    timing=Timing(model_list_first_retry=0.05, model_list_min_interval=0.02),
)


async def test_groups_are_in_the_order_of_the_providers() -> None:
    async with open_catalogue(
        [FakeProvider("one", "b", "a"), FakeProvider("two", "c")]
    ) as catalogue:
        assert [(g.provider, g.label, names(g.models)) for g in catalogue.groups()] == [
            ("one", "One", ["one:b", "one:a"]),
            ("two", "Two", ["two:c"]),
        ]
        assert names(catalogue.models()) == ["one:b", "one:a", "two:c"]


async def test_provider_that_is_down_at_startup_joins_when_it_is_back() -> None:
    down = FakeProvider("one", "a", error=Unreachable())
    async with open_catalogue([down, FakeProvider("two", "c")]) as catalogue:
        assert [g.provider for g in catalogue.groups()] == ["two"]
        down.error = None
        await until(lambda: [g.provider for g in catalogue.groups()] == ["one", "two"])


@pytest.mark.parametrize(
    "error", [ProviderServerError("down"), KeyError("a list of a shape nobody thought of")]
)
async def test_provider_that_goes_down_keeps_its_last_list(error: Exception) -> None:
    provider = FakeProvider("one", "a")
    async with open_catalogue([provider], max_age=0.05) as catalogue:
        provider.error = error
        asked = provider.asked
        await until(lambda: provider.asked > asked + 1)
        assert names(catalogue.models()) == ["one:a"]
        provider.error, provider.names = None, ["b"]
        await until(lambda: names(catalogue.models()) == ["one:b"])


async def test_slow_provider_does_not_delay_startup() -> None:
    slow = FakeProvider("one", "a")
    slow.delay = 0.5
    async with (
        asyncio.timeout(WAIT_TIMEOUT),
        open_catalogue([slow, FakeProvider("two", "c")], first_wait=0.1) as catalogue,
    ):
        assert names(catalogue.models()) == ["two:c"]
        await until(lambda: names(catalogue.models()) == ["one:a", "two:c"])


async def test_lists_are_refreshed_in_the_background_one_load_at_a_time() -> None:
    provider = FakeProvider("one", "a")
    async with open_catalogue([provider], max_age=0.05) as catalogue:
        provider.names, provider.delay = ["a", "b"], 0.03
        for _ in range(50):
            catalogue.mark_gone(ModelRef("one", "missing"))
            await asyncio.sleep(0.002)
        await until(lambda: names(catalogue.models()) == ["one:a", "one:b"])
    assert provider.most_at_once == 1
    asked = provider.asked
    await asyncio.sleep(0.2)
    assert provider.asked == asked, "nothing is loaded once the catalogue is closed"


async def test_lookups_do_not_load_the_list_again() -> None:
    provider = FakeProvider("one", "a")
    async with open_catalogue([provider]) as catalogue:
        for _ in range(100):
            catalogue.models()
            catalogue.search("a")
        assert provider.asked == 1


async def test_missing_model_is_hidden_until_a_fresh_list_names_it() -> None:
    provider = FakeProvider("one", "a", "b")
    async with open_catalogue([provider], max_age=60.0) as catalogue:
        provider.error = Unreachable()
        catalogue.mark_gone(ModelRef("one", "a"))
        catalogue.mark_gone(ModelRef("nobody", "a"))
        assert catalogue.find(ModelRef("one", "a")) is None
        assert names(catalogue.models()) == ["one:b"]
        await until(lambda: provider.asked > 2)
        assert names(catalogue.models()) == ["one:b"], "no list was loaded since then"
        provider.error = None
        await until(lambda: names(catalogue.models()) == ["one:a", "one:b"])


async def test_only_allowed_models_are_offered() -> None:
    providers = [
        FakeProvider("one", "meta/llama-3", "openai/gpt-4o", "llama3:8b"),
        FakeProvider("two", "gpt-4o"),
    ]
    async with open_catalogue(providers, allowed=["one:meta/*", "GPT-*", " "]) as catalogue:
        assert names(catalogue.models()) == ["one:meta/llama-3", "two:gpt-4o"]
        assert catalogue.find(ModelRef("one", "openai/gpt-4o")) is None


async def test_find_returns_offered_models_only() -> None:
    async with open_catalogue([FakeProvider("one", "a:b")]) as catalogue:
        assert catalogue.find(ModelRef("one", "a:b")) == info("a:b")
        assert catalogue.find(ModelRef("one", "a")) is None
        assert catalogue.find(ModelRef("two", "a:b")) is None


@pytest.mark.parametrize(
    ("preferred", "expected"),
    [
        ([], "two:y"),
        ([None, ModelRef("one", "a")], "one:a"),
        ([ModelRef("one", "gone"), "x"], "two:x"),
        (["one:b:free"], "one:b:free"),
        (["b:free"], "one:b:free"),
        ([" two:x "], "two:x"),
        (["nothing", "nobody:x"], "two:y"),
    ],
)
async def test_default_is_the_first_preferred_model_that_is_offered(
    preferred: list[ModelRef | str | None], expected: str
) -> None:
    async with open_catalogue(
        [
            FakeProvider("one", "a", "b:free", default="gone"),
            FakeProvider("two", "x", "y", default="y"),
        ]
    ) as catalogue:
        found = catalogue.default_for(preferred)
        assert found is not None
        assert str(found.ref) == expected


async def test_default_without_preferences_is_the_first_offered_model() -> None:
    async with open_catalogue([FakeProvider("one"), FakeProvider("two", "x", "y")]) as catalogue:
        found = catalogue.default_for()
        assert found is not None
        assert str(found.ref) == "two:x"
    async with open_catalogue([]) as nothing:
        assert nothing.default_for(["x"]) is None
        assert nothing.search("") == ()


MENU = [
    info("openai/gpt-4o-mini", label="OpenAI: GPT-4o mini"),
    info("meta/llama-3-8b", label="Meta: Llama 3 8B"),
    info("mini-gpt", label="Mini GPT"),
    info("acme/xgpt", label="Acme: XGPT"),
]


def test_exact_name_comes_before_names_that_start_with_it() -> None:
    menu = [info("gpt-4o-mini"), info("acme/gpt-4o"), info("gpt-4o"), info("other", label="GPT 4o")]
    assert [one.ref.name for one in best_matches(menu, "GPT-4o")] == [
        "gpt-4o",
        "gpt-4o-mini",
        "acme/gpt-4o",
    ]
    assert best_matches(menu, "gpt  4o")[0].ref.name == "other"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["openai/gpt-4o-mini", "meta/llama-3-8b", "mini-gpt", "acme/xgpt"]),
        ("gpt", ["openai/gpt-4o-mini", "mini-gpt", "acme/xgpt"]),
        ("MINI", ["mini-gpt", "openai/gpt-4o-mini"]),
        ("gpt mini", ["mini-gpt", "openai/gpt-4o-mini"]),
        ("  4o ", ["openai/gpt-4o-mini"]),
        ("8b", ["meta/llama-3-8b"]),
        ("gpt llama", []),
        ("one llama", ["meta/llama-3-8b"]),
    ],
)
def test_all_words_must_match_and_the_best_match_comes_first(
    query: str, expected: list[str]
) -> None:
    assert [one.ref.name for one in best_matches(MENU, query)] == expected


@pytest.mark.parametrize(
    ("wanted", "limit", "expected"),
    [
        ([420], 100, [100]),
        ([420, 3, 60], 100, [49, 3, 48]),
        ([5, 5], 100, [5, 5]),
        ([420, 420], 100, [50, 50]),
        ([2, 2, 2], 2, [1, 1, 0]),
        ([], 100, []),
    ],
)
def test_shares_are_fair(wanted: list[int], limit: int, expected: list[int]) -> None:
    assert fair_shares(wanted, limit) == expected


async def test_menu_holds_a_hundred_models_and_every_provider() -> None:
    providers = [
        FakeProvider("one", *(f"gpt-{n}" for n in range(420))),
        FakeProvider("two", "a", "gpt"),
        FakeProvider("three", "gpt-x"),
    ]
    async with open_catalogue(providers) as catalogue:
        everything = catalogue.search("")
        assert [(g.provider, len(g.models)) for g in everything] == [
            ("one", 97),
            ("two", 2),
            ("three", 1),
        ]
        found = catalogue.search("gpt 7", limit=20)
        assert [g.provider for g in found] == ["one"]
        assert names(found[0].models)[0] == "one:gpt-7"
