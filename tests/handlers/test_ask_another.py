"""`Ask another model`: the same conversation up to a question as a new chat, in its own thread."""

from __future__ import annotations

import asyncio

from bot.sandbox.state.records import Message
from bot.usage.limits import Budget, Period, Scope, Unit
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import (
    TEXT_MODEL,
    VISION_MODEL,
    ask_with_files,
    image_file,
    sent_images,
)
from tests.handlers.world import World, elements

OTHER = f"openai:{VISION_MODEL}"


async def ask_another(
    world: World, answer: Message, user: str = "alice", model: str = OTHER
) -> None:
    await world.slack.interactions.choose(user, answer, "ask_another", model)


def new_threads(world: World) -> list[Message]:
    """The messages that begin the threads of new chats."""
    found = world.slack.workspace.channel("general").messages.values()
    return [m for m in found if m.user == world.slack.bot_user.id and m.thread_ts in (None, m.ts)]


async def two_exchanges(world: World) -> str:
    world.say("Two apples.", "Three pears.")
    thread = await world.start("How many apples?", model=TEXT_MODEL)
    await world.answered(thread)
    await world.slack.conversations.say("bob", "general", "And pears?", thread)
    await world.answered(thread, 2)
    await world.idle()
    return thread


async def test_another_model_is_asked_the_same_in_one_new_thread(world: World) -> None:
    """However often, by whomever, and both chats link to each other."""
    thread = await two_exchanges(world)
    before = world.messages(thread)
    _, second = world.answers(thread)
    world.say("Four pears.", model=VISION_MODEL)
    world.slack.faults.copies = 2
    await asyncio.gather(*(ask_another(world, second, user) for user in ("alice", "bob", "alice")))
    await world.until(lambda: new_threads(world), "the new thread")
    (root,) = new_threads(world)
    await world.answered(root.ts, 2)
    await world.idle()
    await ask_another(world, second)
    await world.idle()

    assert len(new_threads(world)) == 1
    asked = world.requests()[-1]
    assert [(role, text) for role, text in asked if role != "system"] == [
        ("user", "alice: How many apples?"),
        ("assistant", "Two apples."),
        ("user", "bob: And pears?"),
    ]
    assert world.models.requests()[-1].model == VISION_MODEL
    assert await world.answered(root.ts, 2) == ["Four pears."]
    assert world.messages(thread) == before
    root = world.slack.workspace.message("general", root.ts)
    assert thread.replace(".", "") in str(root.blocks)
    assert "And pears?" in str(root.blocks)
    assert root.ts.replace(".", "") in str(world.header(thread).blocks)
    assert "was asked the same in <" in world.whispers("alice")[-1]
    assert await world.answered(thread, 2) == ["Two apples.", "Three pears."]


async def test_the_new_chat_continues_with_its_own_model(world: World) -> None:
    thread = await two_exchanges(world)
    world.say("Five apples.", "Six plums.", model=VISION_MODEL)
    await ask_another(world, world.answers(thread)[0])
    await world.until(lambda: new_threads(world), "the new thread")
    (root,) = new_threads(world)
    await world.answered(root.ts)
    await world.slack.conversations.say("alice", "general", "And plums?", root.ts)
    await world.answered(root.ts, 2)

    assert [text for role, text in world.requests()[-1] if role == "user"] == [
        "How many apples?",
        "And plums?",
    ]
    assert await world.answered(root.ts, 2) == ["Five apples.", "Six plums."]
    assert {row["model"] for row in world.chats()} == {TEXT_MODEL, VISION_MODEL}


async def test_images_go_along(world: World) -> None:
    thread = await ask_with_files(world, "What is this?", image_file(), model=VISION_MODEL)
    await world.answered(thread)
    await ask_another(world, world.answers(thread)[0])
    await world.until(lambda: new_threads(world), "the new thread")
    await world.answered(new_threads(world)[0].ts)
    assert sent_images(world) == [("PNG", (60, 40))]


async def test_below_a_stopped_and_a_failed_answer_too(world: World) -> None:
    world.fail("http", status=401)
    thread = await world.start("How many apples?", model=TEXT_MODEL)
    await world.until(lambda: world.ended(thread), "the failure")
    await world.idle()
    (failed,) = world.answers(thread)
    assert elements(failed, "retry_answer")
    assert elements(failed, "ask_another")
    world.say("Two apples.", model=VISION_MODEL)
    await ask_another(world, failed)
    await world.until(lambda: new_threads(world), "the new thread")
    assert await world.answered(new_threads(world)[0].ts) == ["Two apples."]


async def test_a_thread_that_a_process_left_unopened_is_opened_by_the_next(world: World) -> None:
    thread = await two_exchanges(world)
    world.slack.faults.add("chat.postMessage", "status", times=-1)
    await ask_another(world, world.answers(thread)[1])
    await world.until(lambda: len(world.chats()) == 2, "the chat")
    await world.stop_bot()
    assert new_threads(world) == []

    world.slack.faults.clear()
    world.say("Four pears.", model=VISION_MODEL)
    await world.start_bot()
    await world.until(lambda: new_threads(world), "the new thread")
    assert await world.answered(new_threads(world)[0].ts, 2) == ["Four pears."]


async def test_nothing_remains_of_a_chat_that_slack_refuses(worlds: WorldFactory) -> None:
    """Nor of what was held of a budget for its answer; asked for again, it is made anew."""
    budget = Budget(Scope.USER, 1_000_000, Unit.TOKENS, Period.MONTH)

    async with worlds(bobbin_budget_user=budget) as world:

        def is_refused() -> bool:
            refused = any(line["event"] == "successor_refused" for line in world.lines())
            return refused and len(world.chats()) == 1

        thread = await two_exchanges(world)
        world.slack.faults.add("chat.postMessage", error="is_archived", channel="C0GENERAL")
        await ask_another(world, world.answers(thread)[1])
        await world.until(is_refused, "the refusal")
        assert {row["held"] for row in world.rows("SELECT held FROM spending")} == {0}

        world.say("Four pears.", model=VISION_MODEL)
        await ask_another(world, world.answers(thread)[1])
        await world.until(lambda: new_threads(world), "the new thread")
        assert await world.answered(new_threads(world)[0].ts, 2) == ["Four pears."]
        await world.idle()
        assert {row["held"] for row in world.rows("SELECT held FROM spending")} == {0}


async def test_a_message_posted_for_a_chat_that_is_gone_is_deleted(world: World) -> None:
    """Its chat was given up or erased while Slack was posting it."""
    thread = await two_exchanges(world)
    world.slack.faults.add(
        "chat.postMessage", "slow", channel="C0GENERAL", after_effect=True, seconds=3_600.0
    )
    await ask_another(world, world.answers(thread)[1])
    await world.until(lambda: new_threads(world), "the new thread")
    await world.execute("DELETE FROM chats WHERE branch_of IS NOT NULL")

    def is_deleted() -> bool:
        world.slack.faults.release()
        return new_threads(world) == []

    await world.until(is_deleted, "the end of the new thread")
