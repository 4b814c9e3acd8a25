"""What dead processes left undone in threads is recovered in order, and one workspace's keeps out no other's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot import strings
from bot.domain import ModelRef
from handlers.threads.model_menu import RECOVERY_BATCH
from storage.chat_requests import ChatRequest, ChatRequests
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import TEXT_MODEL, image_file, say_with_files
from tests.handlers.two_workspaces import TwoWorkspaces
from tests.handlers.world import MODEL

ENDLESS = 3_600.0
TIMING = patient_timing(
    slack_call_timeout=ENDLESS, context_timeout_after_choice=ENDLESS, thread_sweep_interval=0.1
)


async def test_the_questions_of_a_thread_are_recovered_in_their_order(worlds: WorldFactory) -> None:
    """Its process ended when the model was chosen. The thread can be read for the second one first."""
    async with worlds(timing=TIMING) as world:
        thread = await world.slack.conversations.say("bob", "general", "A thread of people.")
        replies = "conversations.replies"
        world.slack.faults.add(replies, "hang", times=-1, seconds=ENDLESS)
        await world.ask("One?", thread=thread)
        mention = f"<@{world.slack.bot_user.id}> Two?"
        await world.slack.conversations.say("alice", "general", mention, thread)
        await world.until(lambda: len(world.rows("SELECT 1 FROM questions")) == 2, "both questions")
        await world.stop_bot()
        await world.execute("UPDATE questions SET model = ?", str(ModelRef("openai", MODEL)))
        world.slack.faults.clear()

        held = world.slack.faults.add(replies, "hang", seconds=ENDLESS)
        await world.start_bot()
        await world.until(lambda: held.hits, "the first one's thread is read")
        await world.idle()
        assert world.messages(thread) == []
        world.slack.faults.clear()
        await world.answered(thread, 2)
        said = [row["text"] for row in world.messages(thread) if row["role"] == "user"]
        assert said == ["One?", "Two?"]


async def test_a_process_does_not_recover_what_it_is_doing_itself(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first sweep hears from the database late; the menu of a new request is just being posted then."""
    found = list[list[ChatRequest]]()
    without_menu = ChatRequests.without_menu

    async def late(requests: ChatRequests, min_age: float, limit: int) -> list[ChatRequest]:
        if not found:
            await asyncio.sleep(1.0)
        found.append(await without_menu(requests, min_age, limit))
        return found[-1]

    monkeypatch.setattr(ChatRequests, "without_menu", late)
    async with worlds() as world:
        world.slack.faults.add("chat.postMessage", "hang", seconds=ENDLESS)
        thread = await world.ask("Hello?")
        await world.until(lambda: found, "the first sweep")
        world.slack.faults.clear()
        await world.until(lambda: world.menus(thread), "the menu")
        assert found[0] == []


async def test_a_start_waits_for_no_private_notice(worlds: WorldFactory) -> None:
    """The asker is told that the thread could not be read; the chat starts, even while that hangs."""
    async with worlds(timing=patient_timing(context_timeout_after_choice=0.3)) as world:
        world.leave_unfinished()
        thread = await world.slack.conversations.say("bob", "general", "A thread of people.")
        for method in ("conversations.replies", "chat.postEphemeral"):
            world.slack.faults.add(method, "hang", times=-1, seconds=ENDLESS)
        await world.ask("One?", thread=thread)
        await world.choose(thread)
        await world.answered(thread)
        world.slack.faults.clear()


async def test_a_question_of_images_is_refused_if_its_model_cannot_see(
    worlds: WorldFactory,
) -> None:
    """Its process ended when the model was chosen, and that has lost its sight since."""
    async with worlds(timing=TIMING) as world:
        ts = await say_with_files(world, f"<@{world.slack.bot_user.id}>", image_file())
        (menu,) = await world.until(lambda: world.menus(ts), "the menu")
        await world.idle()
        await world.stop_bot()
        await world.execute("UPDATE questions SET model = ?", str(ModelRef("openai", TEXT_MODEL)))
        content = menu.latest
        await world.start_bot()
        (notice,) = await world.until(lambda: world.whispers("alice"), "the notice")
        assert notice.startswith(strings.NO_VISION_AND_NO_TEXT.format(model="Demo: Quick"))
        is_open = "SELECT 1 FROM questions WHERE state = 'open'"
        await world.until(lambda: not world.rows(is_open), "it is given up")
        await world.idle()
        assert (menu.latest, world.whispers("alice"), world.chats()) == (content, [notice], [])


async def test_a_refusal_is_told_by_the_next_process_if_the_first_could_not(
    worlds: WorldFactory,
) -> None:
    """Its notice was still on its way, while later sweeps found the question again."""
    timing = replace(TIMING, thread_sweep_min_age=0.0, notice_claim=1.0)
    async with worlds(timing=timing, bobbin_max_messages=2, bobbin_grace=0.0) as world:
        thread = await world.ask("Mine comes first.")
        mention = f"<@{world.slack.bot_user.id}> And mine?"
        await world.slack.conversations.say("bob", "general", mention, thread)
        await world.until(lambda: len(world.menus(thread)) == 2, "both menus")
        first, _ = world.menus(thread)
        await world.slack.interactions.choose("alice", first, "model_menu", f"openai:{MODEL}")
        await world.answered(thread)
        await world.idle()
        await world.stop_bot()
        await world.execute("UPDATE questions SET model = ?", str(ModelRef("openai", MODEL)))
        told = world.slack.faults.add("chat.postEphemeral", "hang", times=-1, seconds=ENDLESS)
        await world.start_bot()
        await world.until(lambda: told.hits, "the notice is on its way")
        await world.idle()
        await world.stop_bot()
        world.slack.faults.clear()
        await world.start_bot()
        told_bob = await world.until(lambda: world.whispers("bob"), "the notice")
        assert set(told_bob) == {strings.CHAT_FULL.format(count=2)}
        is_open = "SELECT 1 FROM questions WHERE state = 'open'"
        await world.until(lambda: not world.rows(is_open), "it is given up")


async def test_a_workspace_that_hangs_keeps_no_other_out_of_recovery(
    installed: TwoWorkspaces,
) -> None:
    """Far more menus are missing in it than one sweep takes."""
    other = installed.other
    lost = other.slack.faults.add("chat.postMessage", "hang", seconds=ENDLESS)
    mention = f"<@{other.slack.bot_user.id}> one?"
    thread = await other.slack.conversations.say("alice", "general", mention)
    await installed.until(lambda: lost.hits, "the menu is on its way")
    await installed.stop_bot()
    other.slack.faults.clear()
    columns = "team, channel, thread, user, state, text"
    values = f"'{installed.slack.workspace.team_id}', channel, thread, user, state, text"
    older = f"INSERT INTO questions (id, ts, source, created_at, {columns}) "
    await installed.execute(
        f"WITH RECURSIVE n(n) AS (SELECT 1 UNION SELECT n + 1 FROM n WHERE n <= {RECOVERY_BATCH}) "
        f"{older} SELECT n, n || '.0', n || '.0', '2001-01-01 00:00:00.000000', {values} "
        "FROM questions, n"
    )
    hidden = installed.slack.faults.add("conversations.replies", "hang", times=-1, seconds=ENDLESS)
    await installed.start_bot()
    await installed.until(lambda: hidden.hits, "the others are looked for")
    await installed.until(lambda: other.menus(thread), "the menu")
    await installed.stop_bot()
    installed.slack.faults.clear()
