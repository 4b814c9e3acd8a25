"""Untrusted JSON is either a value or a ValueError, however deeply it is nested."""

from __future__ import annotations

import pytest

from bot.domain.tool_calls import ToolCall, parsed_arguments
from bot.text.untrusted_json import parsed


@pytest.mark.parametrize("depth", [101, 900, 5_000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
def test_a_value_that_is_nested_too_deeply_is_rejected(
    depth: int, opening: str, closing: str
) -> None:
    for text in (opening * depth, opening * depth + "1" + closing * depth):
        for given in (text, text.encode()):
            with pytest.raises(ValueError, match=r".+"):
                parsed(given, strict=False)
        with pytest.raises(ValueError, match=r".+"):
            parsed_arguments(ToolCall("1", "look", f'{{"a": {text}}}'))


def test_what_is_nested_is_read() -> None:
    text = '{"a": [' * 40 + "1" + "]}" * 40
    assert str(parsed(text)).count("a") == 40
