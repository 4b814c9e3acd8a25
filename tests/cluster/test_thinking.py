"""A process is killed while models think: the answer continues, no step stays open, and no reasoning becomes text."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import Fault, ModelScript, Piece, Reasoning, script_from_text, words
from tests.cluster.processes import Cluster
from tests.fork_server import ForkServer
from tests.handlers.test_steps import cards, statuses
from tests.handlers.world import shown

THOUGHT = "a secret thought"
ANSWER = "Here is all of what I have to say."
FIRST_WORDS = words("Here is all ")
REASONED: list[Piece] = [Reasoning(f"{THOUGHT} ")] * 3
TAGGED = ["<think>\n", *words(f"{THOUGHT} {THOUGHT} ")]
MOMENTS: dict[str, tuple[list[Piece], list[Piece]]] = {
    "before it thinks": ([], [*REASONED, *words(ANSWER)]),
    "amid reasoning": (REASONED, [*REASONED, *words(ANSWER)]),
    "amid a tag": ([*TAGGED], [*TAGGED, "</think>\n\n", *words(ANSWER)]),
    "amid the closing mark": ([*TAGGED, "</thi"], [*TAGGED, "</think>\n\n", *words(ANSWER)]),
    "as it begins to write": ([*REASONED, *FIRST_WORDS], [*REASONED, *words(ANSWER)]),
    "as it thinks again": ([*REASONED, *FIRST_WORDS, *REASONED], [*REASONED, *words(ANSWER)]),
    "before it does not think again": (REASONED, list(words(ANSWER))),
}
"""What a model has sent when the process dies, and what it sends when it is asked again."""


def has_come_so_far(world: Cluster, thread: str, moment: str) -> bool:
    """Whether the process has read what its model has sent."""
    before, _ = MOMENTS[moment]
    if FIRST_WORDS[0] in before:
        return "Here" in shown(world.answers(thread)[0])
    if before:
        return any(re.search(r"\d", status) for status in statuses(world, thread))
    return any(str(asked.messages[-1]["content"]) == moment for asked in world.models.requests())


async def test_a_kill_while_models_think_leaves_no_step_open_and_no_thought_in_the_text(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    asked_for: Counter[str] = Counter()

    def answering(asked: Any) -> ModelScript:
        if asks_for_title(asked.messages):
            return script_from_text("A short title", 100)
        moment = str(asked.messages[-1]["content"])
        asked_for[moment] += 1
        before, after = MOMENTS[moment]
        if asked_for[moment] > 1:
            return ModelScript(after)
        return ModelScript(before, fault=Fault("hang", after=len(before)))

    environment = {"BOBBIN_REASONING": "shown", "TEST_RATE_SCALE": "20"}
    async with Cluster(tmp_path, fork_server, environment=environment) as world:
        world.forgive("message_not_in_streaming_state", "streaming_state_conflict")
        world.models.answer_with("*", answering)
        threads = {moment: await world.start(moment) for moment in MOMENTS}
        for moment, thread in threads.items():
            await world.until(partial(has_come_so_far, world, thread, moment), moment)
            assert asked_for[moment] == 1
        await world.kill(0)
        await world.launch(0)
        for moment, thread in threads.items():
            await world.answered(thread)
            assert world.messages(thread)[1]["text"] == ANSWER, moment
        await world.idle()
        for moment, thread in threads.items():
            (message,) = world.answers(thread)
            assert shown(message) == ANSWER, moment
            assert {card["status"] for card in cards(message)} <= {"complete"}, moment
            assert asked_for[moment] == 2, moment
        steps = world.rows("SELECT DISTINCT kind, status FROM answer_steps")
        assert steps == [{"kind": "thinking", "status": "done"}]
        kept = world.rows("SELECT 1 FROM answer_steps GROUP BY message_id")
        assert len(kept) == len(MOMENTS) - 1
