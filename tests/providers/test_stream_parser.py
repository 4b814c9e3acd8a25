"""Every form of an answer, split at every byte: what belongs to it, and whether it is complete."""

from __future__ import annotations

import json

import pytest

from bot.errors import (
    InvalidResponse,
    ModelBusy,
    ProviderServerError,
    StreamInterrupted,
)
from tests.providers.parsing import (
    STOP,
    Outcome,
    choice,
    outcome,
    outcomes_of_splits,
    pieces,
    spread,
)
from tests.providers.scripted_server import (
    DONE,
    data,
    delta,
)
from tests.slow import slow_after

LONG = "A long enough answer, said once."
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

WHOLE: dict[str, tuple[bytes, Outcome]] = {
    # what the server says is whole
    "null in every chunk": (
        delta("Hi ", "null") + delta("you", "null") + STOP + DONE,
        ("Hi you", "stop"),
    ),
    "stop before more text": (
        delta("Hi ", "stop") + delta("you") + STOP + DONE,
        ("Hi you", "stop"),
    ),
    "an end before more text is none": (
        delta("Hi ", "stop") + delta("you"),
        ("Hi you", StreamInterrupted),
    ),
    "a cut, then stop": (delta("Hi") + delta(finish="length") + STOP + DONE, ("Hi", "length")),
    "a fault, then stop": (
        delta("Hi") + delta(finish="network_error") + STOP,
        ("Hi", StreamInterrupted),
    ),
    "a word for going on": (delta("Hi", "generating") + STOP, ("Hi", "stop")),
    "the name of a type": (delta("Hi", "FINISH_REASON_STOP"), ("Hi", "stop")),
    "words in place of a part": (
        delta("Hi ") + b"data: upstream failed\n\n" + delta("you") + STOP,
        ("Hi ", StreamInterrupted),
    ),
    "a ping between parts": (
        delta("Hi ") + b"data: [PING]\n\n" + delta("you") + STOP,
        ("Hi you", "stop"),
    ),
    "an error in a delta": (
        delta("Hi ") + delta(error={"message": "No"}) + STOP,
        ("Hi ", ProviderServerError),
    ),
    "json on lines of its own": (
        b'{"choices": [{"delta": {"content": "Hi"}}]}\n{"choices": [{"finish_reason": "stop"}]}\n',
        ("Hi", "stop"),
    ),
    "all once more after the end": (
        delta(LONG[:9]) + delta(LONG[9:]) + STOP + delta(LONG) + DONE,
        (LONG, "stop"),
    ),
    "no reason, but done": (delta("Hi") + DONE, ("Hi", "stop")),
    "in capitals": (delta("Hi") + delta(finish="STOP"), ("Hi", "stop")),
    "tool calls": (delta("Hi") + delta(finish="tool_calls") + DONE, ("Hi", "stop")),
    "a broken part after the end": (
        delta("Hi") + STOP + b'data: {"usage": {\n\n' + DONE,
        ("Hi", "stop"),
    ),
    "json over several lines": (
        spread({"choices": [{"delta": {"content": "Hi"}}]}) + STOP,
        ("Hi", "stop"),
    ),
    "json over several lines, twice": (
        spread({"choices": [{"delta": {"content": "H"}}]})
        + spread({"choices": [{"delta": {"content": "i"}}]})
        + DONE,
        ("Hi", "stop"),
    ),
    "a line end within a string": (
        b'data: {"choices": [{"delta": {"content": "a\ndata: b"}}]}\n\n' + DONE,
        ("a\nb", "stop"),
    ),
    "json over lines without data": (
        b'data: {"choices": [{"delta":\n{"content": "Hi"}}]}\n\n' + DONE,
        ("Hi", "stop"),
    ),
    "carriage returns alone": ((delta("Hi") + STOP).replace(b"\n", b"\r"), ("Hi", "stop")),
    "spread, with CRLF": (
        (spread({"choices": [{"delta": {"content": "Hi"}}]}) + STOP).replace(b"\n", b"\r\n"),
        ("Hi", "stop"),
    ),
    "noise between": (delta("H") + b"data: ping\n\n" + delta("i") + DONE, ("Hi", "stop")),
    # what it does not
    "no end": (delta("Hi"), ("Hi", StreamInterrupted)),
    "null at the end": (delta("Hi") + delta(finish="null"), ("Hi", StreamInterrupted)),
    "a broken part": (
        delta("Hi ") + b'data: {"choices": [{"del\n\n' + delta("you") + STOP + DONE,
        ("Hi ", StreamInterrupted),
    ),
    "the end of a part": (
        delta("Hi ") + b'data: ntent": "my"}}]}\n\n' + delta("you") + DONE,
        ("Hi ", StreamInterrupted),
    ),
    "the end of a part, without data": (
        delta("Hi ") + b'ntent": "my"}}]}\n\n' + delta("you") + DONE,
        ("Hi ", StreamInterrupted),
    ),
    "a broken part at first": (
        b'data: {"choices": [{"del\n\n' + delta("Hi") + DONE,
        ("", InvalidResponse),
    ),
    "a broken part at last": (delta("Hi") + b'data: {"choices": [{"del', ("Hi", StreamInterrupted)),
    "an error beside no choices": (
        delta("Hi") + data({"choices": [], "error": {"message": "No"}}),
        ("Hi", ProviderServerError),
    ),
    "words beside no choices": (
        delta("Hi") + data({"choices": [], "code": 429, "message": "Slow"}),
        ("Hi", ModelBusy),
    ),
    "an error in a choice": (
        delta("Hi") + choice(delta={}, error={"message": "No"}),
        ("Hi", ProviderServerError),
    ),
    "an error after stop": (
        delta("Hi") + STOP + data({"error": {"message": "No"}}),
        ("Hi", ProviderServerError),
    ),
    "an event that is an error": (
        delta("Hi") + b'event: error\ndata: {"message": "No"}\n\n',
        ("Hi", ProviderServerError),
    ),
    "an event that is an error in words": (
        delta("Hi") + b"event: error\ndata: No more\n\n",
        ("Hi", ProviderServerError),
    ),
    "an error in x_groq": (
        delta("Hi") + data({"choices": [], "x_groq": {"error": "over"}}),
        ("Hi", ProviderServerError),
    ),
    "an error in base_resp": (
        data({"choices": None, "base_resp": {"status_code": 9, "status_msg": "No"}}),
        ("", ProviderServerError),
    ),
    # doubles
    "the whole message at last": (
        pieces(LONG) + choice(message={"content": LONG}, finish_reason="stop"),
        (LONG, "stop"),
    ),
    "the whole message beside an empty delta": (
        pieces(LONG) + choice(delta={}, message={"content": LONG}, finish_reason="stop"),
        (LONG, "stop"),
    ),
    "the whole message, and more": (
        pieces(LONG) + choice(message={"content": LONG + " So."}, finish_reason="stop"),
        (LONG + " So.", "stop"),
    ),
    "a message that grows": (
        choice(message={"content": "Hi"}) + choice(message={"content": "Hi you"}) + DONE,
        ("Hi you", "stop"),
    ),
    "a message in pieces": (
        choice(message={"content": "ha"}) + choice(message={"content": "ha"}) + DONE,
        ("haha", "stop"),
    ),
    "deltas beside a message that grows": (
        choice(delta={"content": "Hi"}, message={"content": "Hi"})
        + choice(delta={"content": " you"}, message={"content": "Hi you"})
        + DONE,
        ("Hi you", "stop"),
    ),
    "all once more at last": (pieces(LONG) + delta(LONG, "stop") + DONE, (LONG, "stop")),
    "a short word twice": (delta("ha") + delta("ha", "stop") + DONE, ("haha", "stop")),
    "only a message": (
        choice(delta={"content": ""}, message={"content": "Hi"}, finish_reason="stop"),
        ("Hi", "stop"),
    ),
    # shapes
    "a number in quotes": (choice(index="0", delta={"content": "Hi"}) + STOP, ("Hi", "stop")),
    "a second choice": (
        delta("Hi")
        + choice(index=1, delta={"content": "Ho"})
        + choice(index=1, delta={}, finish_reason="length")
        + STOP,
        ("Hi", "stop"),
    ),
    "a reason by Anthropic's name": (
        choice(delta={"content": "Hi"}, stop_reason="max_tokens") + DONE,
        ("Hi", "length"),
    ),
    "the token that stopped it, as vLLM tells": (
        choice(delta={"content": "Hi"}, finish_reason="stop", stop_reason=128009) + DONE,
        ("Hi", "stop"),
    ),
    "a refusal": (delta(None, refusal="I can't.") + STOP, ("I can't.", "stop")),
    "an error in a response": (
        delta("Hi")
        + data({"type": "response.failed", "response": {"error": {"message": "No"}}})
        + DONE,
        ("Hi", ProviderServerError),
    ),
    "the format of Ollama itself": (
        b'{"message": {"content": "Hi"}, "done": true, "done_reason": "stop"}\n',
        ("", InvalidResponse),
    ),
    "the format of Anthropic itself": (
        data({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}})
        + data({"type": "message_stop"}),
        ("", InvalidResponse),
    ),
    "one choice without a list": (
        data({"choices": {"delta": {"content": "Hi"}, "finish_reason": "stop"}}),
        ("Hi", "stop"),
    ),
    "text objects": (
        delta([{"type": "output_text", "text": {"value": "Hi"}}]) + STOP,
        ("Hi", "stop"),
    ),
    "text in place of content": (delta(text="Hi") + STOP, ("Hi", "stop")),
    "a reason in capitals and humps": (
        data({"choices": [{"delta": {"content": "Hi"}, "finishReason": "MaxTokens"}]}),
        ("Hi", "length"),
    ),
    "a reason in the delta": (delta("Hi", None, finish_reason="stop"), ("Hi", "stop")),
    "a reason beside the choices": (
        delta("Hi") + data({"choices": [], "finish_reason": "stop"}),
        ("Hi", "stop"),
    ),
    "a reason as an object": (
        choice(delta={"content": "Hi"}, finish_reason={"type": "stop"}),
        ("Hi", "stop"),
    ),
    "a router's stop for a cut": (
        choice(delta={"content": "Hi"}, finish_reason="stop", native_finish_reason="MAX_TOKENS"),
        ("Hi", "length"),
    ),
    "a router's stop for an end of its own": (
        choice(delta={"content": "Hi"}, finish_reason="stop", native_finish_reason="model_done"),
        ("Hi", "stop"),
    ),
    "field names in capitals": (
        (delta("Hi") + STOP).replace(b"data:", b"DATA:"),
        ("Hi", "stop"),
    ),
    "field names indented": ((delta("Hi") + STOP).replace(b"data:", b" data:"), ("Hi", "stop")),
    "field names twice": ((delta("Hi") + STOP).replace(b"data:", b"data: data:"), ("Hi", "stop")),
    "done without brackets": (delta("Hi") + b"data: DONE\n\n", ("Hi", "stop")),
    "an event that is done": (delta("Hi") + b"event: done\ndata: {}\n\n", ("Hi", "stop")),
    "chunks in one list": (
        json.dumps([{"choices": [{"delta": {"content": c}}]} for c in "Hi"]).encode()[:-1]
        + b', {"choices": [{"finish_reason": "stop"}]}]',
        ("Hi", "stop"),
    ),
    "a list that breaks off": (
        json.dumps([{"choices": [{"delta": {"content": "Hi"}}]}]).encode(),
        ("", StreamInterrupted),
    ),
    # pictures
    "only a picture": (delta(images=[PICTURE]) + STOP + DONE, ("", "stop")),
    "only a picture as content": (delta([PICTURE]) + STOP + DONE, ("", "stop")),
    "only a picture, without an end": (delta(images=[PICTURE]), ("", StreamInterrupted)),
    "a picture and a word": (delta("Hi", images=[PICTURE]) + STOP + DONE, ("Hi", "stop")),
    # characters
    "halves of a pair": (
        b'data: {"choices": [{"delta": {"content": "a\\ud83d"}}]}\n\n'
        b'data: {"choices": [{"delta": {"content": "\\ude00b"}}]}\n\n' + DONE,
        ("a😀b", "stop"),
    ),
    "half a pair": (
        b'data: {"choices": [{"delta": {"content": "a\\ud83d"}}]}\n\n' + delta("b") + DONE,
        ("a\ufffdb", "stop"),
    ),
    "half a pair at last": (
        b'data: {"choices": [{"delta": {"content": "a\\ud83d"}}]}\n\n' + DONE,
        ("a\ufffd", "stop"),
    ),
    "the other half alone": (
        b'data: {"choices": [{"delta": {"content": "a\\ude00"}}]}\n\n' + DONE,
        ("a\ufffd", "stop"),
    ),
    "bytes of a character in two chunks": (
        b'data: {"choices": [{"delta": {"content": "a\xf0\x9f"}}]}\n\n'
        b'data: {"choices": [{"delta": {"content": "\x98\x80b"}}]}\n\n' + DONE,
        ("a😀b", "stop"),
    ),
    "halves with other chunks between": (
        b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n: still here\n\n'
        + delta(role="assistant")
        + b'data: {"choices": [{"delta": {"content": "\\ude00"}}]}\n\n'
        + DONE,
        ("😀", "stop"),
    ),
    "a character that no database holds": (delta("a\x00b") + DONE, ("a\ufffdb", "stop")),
    "a byte that is none": (
        b'data: {"choices": [{"delta": {"content": "a\xff"}}]}\n\n' + DONE,
        ("a\ufffd", "stop"),
    ),
}


@pytest.mark.parametrize("places", slow_after(1, [120, None]), ids=["some places", "every place"])
@pytest.mark.parametrize(("whole", "expected"), WHOLE.values(), ids=WHOLE)
def test_whole_is_what_the_server_says_is_whole(
    whole: bytes, expected: Outcome, places: int | None
) -> None:
    outcomes = outcomes_of_splits(whole, places)
    assert {ending for _, ending in outcomes} == {expected[1]}
    assert outcome(whole) == expected
    if isinstance(expected[1], str):
        assert outcomes == {expected}
