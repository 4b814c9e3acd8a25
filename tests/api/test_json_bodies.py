"""Large JSON bodies mean the same as to a JSON parser, however they arrive; odd ones are refused early."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.api.json_bodies import (
    LONG_STRING,
    MAX_DEPTH,
    MAX_PARTS,
    MAX_PLAIN_BYTES,
    MAX_TEXT_BYTES,
    JsonBody,
    LongString,
    TooDeep,
    TooManyParts,
)
from bot.chats.attachments.base64_text import Base64Text, NotBase64, NotFetched, TooLarge

LONG = LONG_STRING + 1


def read(body: bytes, size: int = 65_536) -> Any:
    arriving = JsonBody()
    for begin in range(0, len(body), size):
        arriving.add(body[begin : begin + size])
    return arriving.value()


def plain(value: Any) -> Any:
    """The value, with its long strings read."""
    if isinstance(value, LongString):
        return value.text()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["x" * LONG, '"\\' * LONG]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=25)
@given(VALUES, st.booleans(), st.integers(1, 9) | st.integers(1_000, 70_000))
def test_a_body_means_what_a_parser_says(value: Any, escaped: bool, size: int) -> None:
    body = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    if len(body) > 1_000:
        size = max(size, 500)
    assert plain(read(body, size)) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": [%s{}]}' % (b"{}," * MAX_PARTS),
        b'"a" ' * (MAX_PARTS + 1),
        b" " * (MAX_PLAIN_BYTES + 1),
        b'[%s""]' % (b'"%s",' % (b"x" * (LONG_STRING - 1)) * 41),
        b'["%s"]' % (b'\\"' * 600_000),
    ],
    ids=["objects", "strings", "spaces", "texts of middle length", "escaped quotes"],
)
def test_a_body_of_many_parts_is_refused_before_its_end(body: bytes) -> None:
    with pytest.raises(TooManyParts):
        read(body)


def test_a_body_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(TooDeep):
        read(b"[" * (MAX_DEPTH + 1))
    with pytest.raises(RecursionError):
        read(b"[" * 4_000 + b"]" * 4_000)


@pytest.mark.parametrize("body", [b'{"a": "x', b'{"a": "x\\', b"{", b'"a" "b"', b"\xff", b""])
def test_a_malformed_body_is_one(body: bytes) -> None:
    for size in (1, 100):
        with pytest.raises(ValueError):
            read(body, size)


@settings(max_examples=25)
@given(VALUES, VALUES, st.booleans(), st.sampled_from(["?", '"', "]", "\x01", '"\t"', "{"]))
def test_a_fault_is_where_a_parser_finds_it(
    before: Any, after: Any, escaped: bool, fault: str
) -> None:
    """However many long texts, which are taken out before the body is parsed, stand before it."""
    one, other = (json.dumps(value, ensure_ascii=escaped) for value in (before, after))
    text = f'[{one}, "é{"ß" * LONG}", {fault} {other}'.encode("utf-8", "surrogatepass")
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    with pytest.raises(json.JSONDecodeError) as found:
        read(text)
    assert (found.value.pos, found.value.msg) == (expected.value.pos, expected.value.msg)


def test_a_text_that_is_too_long_or_malformed_is_none() -> None:
    for inside in (b"x" * (MAX_TEXT_BYTES + 1), b"\\x" + b"y" * LONG, b"\xff" + b"y" * LONG):
        (found,) = read(b'["%s"]' % inside)
        with pytest.raises(ValueError):
            found.text()


DATA = bytes(range(256)) * 400
ENCODED = base64.b64encode(DATA).decode()


def escaped_as(how: str) -> bytes:
    """Base64 as encoders of JSON write it."""
    text = {
        "php": ENCODED.replace("/", "\\/"),
        "dotnet": ENCODED.replace("+", "\\u002B").replace("=", "\\u003D"),
        "lines": "\\r\\n".join(ENCODED[begin : begin + 76] for begin in range(0, len(ENCODED), 76)),
        "all": "".join(f"\\u{ord(each):04x}" for each in ENCODED),
    }.get(how, ENCODED)
    return b'["%s%s"]' % (b"data:image\\/png;x=1;base64," if how == "url" else b"", text.encode())


@pytest.mark.parametrize("how", ["plain", "php", "dotnet", "lines", "all", "url"])
@pytest.mark.parametrize("size", [7, 4_099, 65_536])
async def test_a_file_is_the_same_however_it_was_written(how: str, size: int) -> None:
    (found,) = read(escaped_as(how), size)
    assert isinstance(found, LongString)
    assert await Base64Text(found.ascii_pieces).decode(len(DATA)) == DATA


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("https://example.com/a.png", NotFetched),
        ("data:image/png,abc", NotFetched),
        ("data:" + ";" * 100_000, NotFetched),
        ("QUJ", NotBase64),
        ("QU=" + "J", NotBase64),
        ("QUI=" + "QUJD" * 20_000, NotBase64),
        ("QUJD" * 15_000 + "QQ==" + "QUJD", NotBase64),
        ("QU*D", NotBase64),
        ("QUJD\u00e9", NotBase64),
        ("QUJD" * 300, TooLarge),
    ],
)
async def test_invalid_base64_is_reported(text: str, problem: type[Exception]) -> None:
    with pytest.raises(problem) as found:
        await Base64Text.of(text).decode(899 if problem is TooLarge else 10**6)
    assert type(found.value) is problem


@given(st.binary(max_size=300), st.integers(1, 9))
async def test_base64_in_any_pieces_is_what_was_encoded(data: bytes, size: int) -> None:
    text = base64.encodebytes(data)
    pieces = [text[begin : begin + size] for begin in range(0, len(text), size)]
    assert await Base64Text(lambda: pieces).decode(len(data)) == data
