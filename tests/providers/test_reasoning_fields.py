"""Reasoning that a server reveals, in the fields of every provider, is not part of the answer."""

from __future__ import annotations

from bot.domain.stream_events import (
    ReasoningDelta,
    TextDelta,
)
from tests.providers.parsing import (
    STOP,
    parse,
    pieces,
)
from tests.providers.scripted_server import (
    delta,
)

THOUGHTS: dict[str, tuple[list[bytes], str]] = {
    "reasoning": ([delta(reasoning="Hm. "), delta(reasoning="So."), delta("Hi.")], "Hm. So."),
    "reasoning_content": ([delta(reasoning_content="Hm."), delta("Hi.")], "Hm."),
    "the same in two fields": (
        [delta(reasoning="Hm.", reasoning_details=[{"type": "reasoning.text", "text": "Hm."}]), delta("Hi.")],
        "Hm.",
    ),
    "a summary": (
        [delta(reasoning_details=[{"type": "reasoning.summary", "summary": "Hm."}]), delta("Hi.")],
        "Hm.",
    ),
    "encrypted": ([delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "x"}]), delta("Hi.")], ""),
    "parts of Mistral's": (
        [delta([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]), delta("Hi.")],
        "Hm.",
    ),
    "marks": ([pieces("<think>Hm.</think>Hi.", 1)], "Hm."),
    "channels": (
        [pieces("<|channel|>analysis<|message|>Hm.<|end|><|channel|>final<|message|>Hi.", 4)],
        "Hm.<|end|>",
    ),
    "no mark opens it": ([pieces("Hm.</think>Hi.", 100)], "Hm."),
    "a pair in two halves": ([delta(reasoning="H\ud83d"), delta(reasoning="\ude00m."), delta("Hi.")], "H😀m."),
    "half a pair": ([delta(reasoning="Hm.\ud83d"), delta("Hi.")], "Hm.\ufffd"),
    "odd shapes": ([delta(reasoning={"a": [1]}, thinking=True), delta(reasoning=[["Hm."]]), delta("Hi.")], "Hm."),
}  # fmt: skip


def test_revealed_reasoning_is_separated_from_the_answer() -> None:
    for name, (sent, thoughts) in THOUGHTS.items():
        events, error = parse(*sent, STOP)
        told = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert (told, text, error) == (thoughts, "Hi.", None), name
