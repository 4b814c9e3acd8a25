"""A menu that has no room for all models shows how many there are, and how to find the others."""

from __future__ import annotations

import pytest

from bot.domain import ModelInfo, ModelRef
from bot.providers.catalogue import ModelGroup
from handlers.views import model_select

LONG = "A provider with a name of its own that takes up all of the room"


@pytest.mark.parametrize(
    ("label", "shown", "hidden", "heading"),
    [
        ("OpenRouter", 100, 250, "OpenRouter · 100 of 350: type to find the others"),
        ("OpenRouter", 100, 0, "OpenRouter"),
        (
            LONG,
            1,
            11_999,
            "A provider with a name of its own… · 1 of 12000: type to find the others",
        ),
    ],
)
def test_a_group_that_is_cut_says_so(label: str, shown: int, hidden: int, heading: str) -> None:
    models = tuple(ModelInfo(ModelRef("p", f"m{n}"), f"Model {n}", label) for n in range(shown))
    (group,) = model_select.option_groups([ModelGroup("p", label, models, hidden)])
    assert group["label"]["text"] == heading
    assert len(heading) <= 75
