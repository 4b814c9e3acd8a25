"""The ledger contains every model call, however it ended, with what its provider reported."""

from __future__ import annotations

import pytest

from bot.usage.limits import Scope, parse_budget
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import scripted_world
from tests.handlers.world import Row, World, elements
from tests.providers.scripted_server import responding
from tests.slow import slow_after
from tests.usage.charging import ChargingModel, Reply, Told, told_in

TOLD: Told = (500, 20, 0, 0.5)
UNPRICED: Told = (500, 20, 0, None)


async def settled(world: World, model: ChargingModel) -> None:
    """Everything has ended, and the ledger holds as many calls as were made."""
    await world.idle()
    await world.until(
        lambda: (
            world.rows(
                "SELECT count(*) AS n FROM ledger WHERE outcome != 'asked' OR kind = 'answer'"
            )[0]["n"]
            >= len(model.charged)
        ),
        "all calls are in the ledger",
    )


def rows(world: World) -> list[Row]:
    return world.rows("SELECT * FROM ledger ORDER BY id")


@pytest.mark.parametrize(
    ("replies", "outcomes"),
    [
        ([Reply(told=TOLD)], ["done"]),
        ([Reply(told=None)], ["done"]),
        ([Reply(told=UNPRICED)], ["done"]),
        ([Reply(told=TOLD, end="length")], ["cut"]),
        ([Reply(told=TOLD, end="break")], ["failed"]),
        ([Reply(told=None, end="break")], ["failed"]),
        ([Reply(told=TOLD, end="content_filter")], ["failed"]),
        ([Reply("", told=TOLD, end="break"), Reply(told=TOLD)], ["repeated", "done"]),
        ([Reply("", told=TOLD)] * 3, ["repeated", "repeated", "failed"]),
        ([Reply(end="http"), Reply(end="http"), Reply()], ["repeated", "repeated", "done"]),
        ([Reply(end="http")] * 3, ["repeated", "repeated", "failed"]),
    ],
)
async def test_each_call_is_a_row(
    worlds: WorldFactory, replies: list[Reply], outcomes: list[str]
) -> None:
    model = ChargingModel(list(replies))
    async with scripted_world(worlds, model.answer, title=model.answer) as (world, _):
        thread = await world.start("What does it cost?")
        await world.answered(thread)
        await settled(world, model)
        answers = [row for row in rows(world) if row["kind"] == "answer"]
        titles = [row for row in rows(world) if row["kind"] == "title"]
        (chat,) = world.chats()
        team, alice = world.slack.workspace.team_id, world.slack.workspace.user("alice").id
        place = (team, alice, chat["channel"], chat["id"], "openai", "demo/quick")
        is_refused = replies[-1].end == "http"
        assert [row["outcome"] for row in answers] == outcomes
        assert sorted(told_in(rows(world)), key=str) == sorted(model.charged, key=str)
        for row in answers + titles:
            names = ("team", "user", "channel", "chat_id", "provider", "model")
            assert tuple(row[name] for name in names) == place
        for (
            row
        ) in answers:  # if nothing was reported, what the model had begun to answer is estimated
            estimated = row["prompt_tokens"] is None and row["outcome"] != "repeated"
            assert bool(row["estimated_tokens"]) == (estimated and not is_refused), row
        (noted,) = world.rows("SELECT call FROM answers")  # what would be counted after a kill
        assert (noted["call"] is None) == is_refused
        assert len(titles) == (outcomes[-1] != "failed")
        assert_days_add_up(world)


def assert_days_add_up(world: World) -> None:
    """The sums by day are those of the ledger."""
    sums = (
        "sum(prompt_tokens) p, sum(completion_tokens) c, sum(cached_tokens) h, sum(cost) d, "
        "sum(estimated_tokens) e, sum(estimated_cost) f"
    )
    (days,) = world.rows(f"SELECT {sums}, sum(calls) n, sum(untold) u FROM usage_days")
    (calls,) = world.rows(f"SELECT {sums}, count(*) n, sum(prompt_tokens IS NULL) u FROM ledger")
    assert days == pytest.approx({name: value or 0 for name, value in calls.items()})


@pytest.mark.parametrize("told", [TOLD, None])
async def test_a_stopped_answer_counts_with_its_reported_usage(
    worlds: WorldFactory, told: Told | None
) -> None:
    model = ChargingModel([Reply(told=told, end="hang")])
    async with scripted_world(worlds, model.answer, title=model.answer) as (world, _):
        thread = await world.start("Too long, this")
        await world.until(lambda: world.answers(thread), "the first words")
        await world.slack.conversations.say("alice", "general", "stop", thread)
        await world.answered(thread)
        await settled(world, model)
        (answer,) = (row for row in rows(world) if row["kind"] == "answer")
        assert (answer["outcome"], told_in([answer])) == ("stopped", [told])
        assert (answer["estimated_tokens"] is None) == (told is not None)
        assert_days_add_up(world)


@pytest.mark.parametrize(
    "budget", slow_after(2, ["150 tokens/month", "0.30 USD/hour", "0.30 USD/month"])
)
async def test_stopping_does_not_spare_a_budget(worlds: WorldFactory, budget: str) -> None:
    """The server reports nothing for a stopped call, so it counts by an estimate, at the usual price."""
    model = ChargingModel([Reply(told=(100, 10, 0, 0.25)), Reply("Word. " * 50, None, "hang")])
    async with scripted_world(
        worlds,
        model.answer,
        title=model.answer,
        bobbin_budget_user=parse_budget(Scope.USER, budget),
    ) as (world, _):
        model.title = Reply(told=None, end="http")
        thread = await world.start("What does it cost?")
        await world.answered(thread)
        await settled(world, model)
        await world.slack.conversations.say("alice", "general", "At length, please.", thread)
        await world.until(lambda: len(world.answers(thread)) == 2, "the first words")
        await world.slack.conversations.say("alice", "general", "stop", thread)
        await world.answered(thread, 2)
        await settled(world, model)
        await world.slack.conversations.say("alice", "general", "And now?", thread)
        await world.until(
            lambda: any("is used up" in text for text in world.whispers("alice")), "the refusal"
        )
        (command,) = await world.slack.interactions.command("alice", "general", "/chats", "usage")
        assert "more tokens, not told by the provider" in command.text
        warned = [line for line in world.lines() if line["event"] == "models_without_price"]
        assert len(warned) == ("USD" in budget)


async def test_a_retry_keeps_what_the_failure_used(worlds: WorldFactory) -> None:
    model = ChargingModel([Reply(told=TOLD, end="break"), Reply(told=UNPRICED)])
    async with scripted_world(worlds, model.answer, title=model.answer) as (world, _):
        thread = await world.start("Fails first")
        await world.answered(thread)
        (failed,) = world.answers(thread)
        assert elements(failed, "retry_answer")
        await world.slack.interactions.press("alice", failed, "retry_answer")
        await world.until(lambda: world.ended(thread)[0]["ending"] == "done", "the second end")
        await settled(world, model)
        answers = [row for row in rows(world) if row["kind"] == "answer"]
        assert [row["outcome"] for row in answers] == ["failed", "done"]
        assert told_in(answers) == [TOLD, UNPRICED]


PRICED = {"pricing": {"prompt": "0.001", "completion": "0.002", "input_cache_read": "0.0005"}}
"""What the model's list says."""


@pytest.mark.parametrize("listed", [{}, PRICED])
async def test_a_call_that_a_stop_of_the_process_cut_off_is_unknown_not_zero(
    worlds: WorldFactory, listed: Row
) -> None:
    """It counts by an estimate, in dollars too if the provider lists a price."""
    model = ChargingModel([Reply(told=None, end="hang")])
    async with scripted_world(
        worlds,
        model.answer,
        title=model.answer,
        models=responding({"data": [{"id": "demo/quick", **listed}]}),
        bobbin_grace=0,
        bobbin_budget_user=parse_budget(Scope.USER, "100 USD/month"),
    ) as (world, _):
        thread = await world.start("Cut off")
        await world.until(lambda: world.answers(thread), "the first words")
        await world.restart()
        await world.answered(thread)
        await settled(world, model)
        answers = [row for row in rows(world) if row["kind"] == "answer"]
        assert sorted(row["outcome"] for row in answers) == ["asked", "done"]
        assert told_in(answers).count(None) == 1
        (cut,) = [row for row in answers if row["outcome"] == "asked"]
        assert (cut["estimated_cost"] or 0) >= 0.001 * cut["estimated_tokens"] * bool(listed)
        assert bool(cut["estimated_cost"]) == bool(listed)
        assert_days_add_up(world)
        assert_budget_adds_up(world)


def assert_budget_adds_up(world: World) -> None:
    """The user's budget has counted what the ledger holds."""
    (spent,) = world.rows("SELECT tokens, cost FROM spending WHERE scope = 'user'")
    (calls,) = world.rows(
        "SELECT sum(coalesce(prompt_tokens + completion_tokens, estimated_tokens, 0)) AS tokens, "
        "sum(coalesce(cost, estimated_cost, 0.0)) AS cost FROM ledger"
    )
    assert spent == pytest.approx(calls)


@pytest.mark.parametrize(
    ("reply", "cost"),
    [
        (Reply(told=(100, 10, 40, None)), 0.1),
        (Reply(told=(100, 10, 40, None), end="break"), 0.1),
        (Reply(told=(100, 10, 40, 0.25)), None),
        (Reply(end="http"), None),
    ],
)
async def test_unreported_usage_costs_what_the_price_list_says(
    worlds: WorldFactory, reply: Reply, cost: float | None
) -> None:
    """In budgets too; separate from what was reported."""
    model = ChargingModel([reply] * 3)
    listed = responding({"data": [{"id": "demo/quick", **PRICED}]})
    budget = parse_budget(Scope.USER, "0.05 USD/day")
    async with scripted_world(worlds, model.answer, models=listed, bobbin_budget_user=budget) as (
        world,
        _,
    ):
        thread = await world.start("What does it cost?")
        await world.answered(thread)
        await world.idle()
        last = [row for row in rows(world) if row["kind"] == "answer"][-1]
        assert last["cost"] == (reply.told and reply.told[3] if reply.end != "http" else None)
        assert last["estimated_cost"] == (cost if cost is None else pytest.approx(cost))
        assert_days_add_up(world)
        (spent,) = world.rows("SELECT cost FROM spending WHERE scope = 'user'")
        used = cost or (0.25 if reply.end != "http" else 0.0)
        assert spent["cost"] == pytest.approx(used)
        assert not [line for line in world.lines() if line["event"] == "models_without_price"]
