"""Below every failed answer are its cause, Retry, and the remedies: another model, a new chat."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot import sentences
from bot.errors import ProviderError
from bot.sandbox.models.demo import DemoModel
from bot.sandbox.models.scripts import script_from_text, text_of
from bot.sandbox.models.server import ModelServer
from bot.sandbox.state.records import Message
from handlers.rate_limits.slack_rates import RATES, Rate
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import scripted_world
from tests.handlers.shared_files import say_with_files
from tests.handlers.test_documents import SCAN
from tests.handlers.world import MODEL, World, below, options_of, shown
from tests.providers.scripted_server import (
    DONE,
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    delta,
    responding,
    streaming,
)

OTHER = "other/model"
GONE = "gone/model"
"""A model of its own, since nobody is offered it afterwards."""


@dataclass(frozen=True)
class Failure:
    """One way in which an answer fails."""

    code: str
    behaviour: Behaviour
    reason: str = ""
    """What the provider says, as it stands in the message."""


def refusal(code: str, status: int, message: str, **headers: str) -> Failure:
    body = {"error": {"message": message}}
    return Failure(code, responding(body, status, **headers), message)


async def reset(received: ReceivedRequest, out: ResponseWriter) -> None:
    out.reset()


async def break_off(received: ReceivedRequest, out: ResponseWriter) -> None:
    await out.head()
    await out.chunk(delta("The beginning"))
    out.reset()


FAILURES: dict[str, Failure] = {
    "no connection": Failure("unreachable", reset),
    "late": Failure("timeout", responding("", 408)),
    "500": refusal("server_fault", 500, "The engine is on fire"),
    "a break": Failure("broken_off", break_off),
    "nothing": Failure("empty", streaming(delta(finish="stop"), DONE)),
    "a web page": Failure("garbled", responding("<html>Welcome</html>", content_type="text/html")),
    "a bad key": refusal("key_rejected", 401, "Invalid API key"),
    "no access": refusal("no_access", 403, "This model needs a Pro plan."),
    "region": refusal("region", 403, "Country not supported"),
    "privacy": refusal("data_policy", 404, "No endpoints found matching your data policy"),
    "a firewall": Failure("blocked", responding("<title>Not at work</title>", 403), "Not at work"),
    "402": refusal("no_credit", 402, "Insufficient credits"),
    "quota": refusal("no_credit", 429, "You exceeded your current quota"),
    "a day": refusal("daily_limit", 429, "Limit 200 requests per day"),
    "busy for long": refusal("busy", 429, "Slow down, please", Retry_After="60"),
    "memory": refusal("out_of_memory", 500, "model requires more system memory (9 GiB)"),
    "no such path": refusal("wrong_address", 404, "Nothing here"),
    "gone": refusal("model_gone", 404, "The model does not exist"),
    "too long": refusal("too_long", 400, "The maximum context length is 8192 tokens"),
    "a filter": refusal("filtered", 400, "Your input was flagged by our content policy"),
    "a filter at the end": Failure(
        "filtered", streaming(delta("The beginning"), delta(finish="content_filter"), DONE)
    ),
    "pictures too many": refusal("refused", 400, "At most 3 images may be provided"),
    "what it cannot do": refusal("refused", 404, "No endpoints found that support image input"),
}
PASSING = frozenset(
    {"unreachable", "timeout", "server_fault", "broken_off", "empty", "garbled"}
    | {"unreadable", "stopped", "own_fault"}
)
"""Failures that are temporary, or not the model's."""


async def fail_by_question(received: ReceivedRequest, out: ResponseWriter) -> None:
    """Any model but OTHER fails as the newest question says."""
    body = received.body
    failure = FAILURES[text_of(body["messages"][-1])]
    answer = streaming(delta("Here I am."), delta(finish="stop"), DONE)
    await (answer if body["model"] == OTHER else failure.behaviour)(received, out)


def labels(message: Message) -> list[str]:
    """The texts of the buttons and menus under an answer, in order."""
    found = (e for b in message.blocks for e in b.get("elements", ()) if "action_id" in e)
    return [(e.get("text") or e["placeholder"])["text"] for e in found]


def cures(code: str) -> list[str]:
    ways_on = ["Retry", "Ask another model"]
    return ways_on if code in PASSING else ["Search all models", *ways_on, "Continue in a new chat"]


def test_the_table_holds_every_failure() -> None:
    known = {failure.code for failure in FAILURES.values()} | {
        "own_fault",
        "unreadable",
        "pictures_only",
        "budget",
    }
    assert known >= {each.code for each in ProviderError.__subclasses__()}


async def test_every_failure_shows_its_cause_and_its_remedies(worlds: WorldFactory) -> None:
    """Another model answers in the same place wherever its menu is shown, and the menu is shown nowhere else."""
    listed = responding({"data": [{"id": MODEL}, {"id": OTHER}, {"id": GONE}]})
    fast = {method: Rate(per_second=1000.0, burst=1000.0) for method in RATES}
    async with scripted_world(worlds, fail_by_question, models=listed, rates=fast) as (world, _):
        await asyncio.gather(*(judge(world, name) for name in FAILURES))


async def judge(world: World, name: str) -> None:
    failure, model = FAILURES[name], GONE if name == "gone" else MODEL
    thread = await world.start(name, model=model)
    await world.answered(thread)
    await world.until(lambda: labels(world.answers(thread)[0]), "the ways on")
    (row,), (failed,) = world.ended(thread), world.answers(thread)
    assert (row["status"], row["error"]) == ("failed", failure.code), name
    assert below(failed) == f":warning: {sentences.failure(failure.code, model, failure.reason)}"
    assert labels(failed) == cures(failure.code), name
    await choose_another(world, thread, cured=failure.code not in PASSING)


async def choose_another(world: World, thread: str, *, cured: bool) -> None:
    (failed,), (row,) = world.answers(thread), world.ended(thread)
    if not cured:
        assert world.bot is not None
        assert (
            await world.bot.service.retry_with_model(row["message_id"], f"openai:{OTHER}") is None
        )
        return
    choose = world.slack.interactions.choose
    await choose("alice", failed, "retry_with_model", f"openai:{OTHER}")
    await world.until(lambda: world.ended(thread)[0]["status"] == "done", "the answer")
    await world.until(lambda: shown(world.answers(thread)[0]) == "Here I am.", "its text")
    assert [answer.ts for answer in world.answers(thread)] == [failed.ts]


async def test_a_message_of_files_that_cannot_be_read_can_be_tried_again(world: World) -> None:
    """No model was asked, so another one would cure nothing."""
    thread = await world.start("Hello.")
    await world.answered(thread)
    await say_with_files(world, "", SCAN, thread=thread)
    await world.answered(thread, 2)
    await world.idle()
    assert world.ended(thread)[1]["error"] == "unreadable"
    assert labels(world.answers(thread)[1]) == cures("unreadable")


async def test_a_chat_too_long_is_offered_larger_models_only(worlds: WorldFactory) -> None:
    sizes = {"small": 8_000, "same": 16_000, MODEL: 16_000, "large": 32_000}
    models = [
        DemoModel(name, name.title(), lambda question: script_from_text("Yes", 5000), size)
        for name, size in sizes.items()
    ]
    async with worlds(models=ModelServer(models, words_per_second=5000.0)) as world:
        world.fail("http", status=413)
        thread = await world.start("Please answer me.")
        await world.answered(thread)
        await world.idle()
        offered = await world.slack.interactions.menu(
            "alice", world.answers(thread)[0], "retry_with_model"
        )
        assert [option["value"] for option in options_of(offered)] == ["openai:large"]


async def test_a_stopped_answer_can_be_tried_again(world: World) -> None:
    world.reply_to({"Talk for long.": " ".join(f"word{n}" for n in range(400))}, rate=40)
    thread = await world.start("Talk for long.")
    await world.until(lambda: "word5" in shown(world.answers(thread)[0]), "some words")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
    await world.answered(thread)
    await world.idle()
    (stopped,) = world.answers(thread)
    assert labels(stopped) == cures("stopped")
    world.reply_to({"Talk for long.": "A short talk."})
    await world.slack.interactions.press("bob", stopped, "retry_answer")
    await world.until(lambda: world.ended(thread)[0]["status"] == "done", "the second answer")
    await world.idle()
    assert [(m.ts, shown(m)) for m in world.answers(thread)] == [(stopped.ts, "A short talk.")]
