"""Whatever happens around a chat, it continues or says why not, and no Slack call is repeated endlessly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from bot import strings
from bot.config.chats import StreamMode
from handlers.rate_limits.slack_rates import RATES, Rate
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.long_texts import essay
from tests.handlers.world import MODEL, World, below, elements
from tests.local_http import local_client
from tests.slow import slow_after

STATUS = "assistant.threads.setStatus"
LONG = essay(80)
ENDLESS = 3_600.0


@pytest.fixture
async def sweeping(worlds: WorldFactory) -> AsyncIterator[World]:
    """A world in which recovery looks for unfinished menus all the time."""
    timing = patient_timing(thread_sweep_interval=0.05, thread_sweep_min_age=0.0)
    async with worlds(timing=timing) as world:
        yield world


async def calls_in(world: World, seconds: float) -> Counter[str]:
    """The calls made from now on, within this many seconds."""
    before = len(world.slack.calls)
    await asyncio.sleep(seconds)
    return Counter(call.method for call in world.slack.calls[before:])


def direct_messages(world: World, user: str) -> list[str]:
    """The bot's top-level direct messages to this person."""
    mine = [
        m
        for m in world.slack.workspace.messages(world.slack.workspace.dm(user))
        if m.user == world.slack.bot_user.id
    ]
    return [m.text for m in mine if m.thread_ts is None]


# -- the model is gone ---------------------------------------------------------------------------------------------


async def chat_with_failed_answer(world: World, kind: str) -> tuple[str, str]:
    """Makes a chat whose second answer chat_with_failed_answer; returns its thread and the answer's id."""
    thread = await world.start("First question.")
    await world.answered(thread)
    if kind == "gone":
        world.models.models.pop(MODEL)
    else:
        world.fail("break", times=3)
    await world.slack.conversations.say("alice", "general", "Second question.", thread)
    await world.answered(thread, 2)
    await world.idle()
    return thread, world.ended(thread)[1]["message_id"]


async def test_only_the_first_choice_of_another_model_counts(world: World) -> None:
    thread, answer = await chat_with_failed_answer(world, "gone")
    assert world.bot is not None
    choose = world.bot.service.retry_with_model
    both = await asyncio.gather(
        choose(answer, "openai:demo/storyteller"), choose(answer, "openai:demo/markdown")
    )
    assert sorted(each is None for each in both) == [False, True]
    await world.until(lambda: world.messages(thread)[3]["status"] == "done", "the answer")
    await world.idle()

    winner = "demo/storyteller" if both[0] is not None else "demo/markdown"
    assert (world.chats()[0]["model"], world.models.requests()[-1].model) == (winner, winner)
    assert await choose(answer, "openai:demo/storyteller") is None
    assert world.chats()[0]["model"] == winner


@pytest.mark.parametrize("which", ["failed otherwise", "done"])
async def test_only_an_unavailable_model_can_be_replaced(world: World, which: str) -> None:
    """Otherwise a chat keeps its model."""
    thread, answer = await chat_with_failed_answer(world, "otherwise")
    if which == "done":
        answer = world.ended(thread)[0]["message_id"]
    asked = len(world.models.requests())
    assert world.bot is not None
    assert await world.bot.service.retry_with_model(answer, "openai:demo/storyteller") is None
    await world.idle()
    assert (world.chats()[0]["model"], len(world.models.requests())) == (MODEL, asked)
    assert elements(world.answers(thread)[1], "retry_with_model") == []


async def test_another_model_can_be_chosen_for_the_first_question(world: World) -> None:
    thread = await world.ask("Is anybody there?")
    world.models.models.pop(MODEL)
    await world.choose(thread)
    await world.answered(thread)
    (answer,) = world.answers(thread)
    assert "isn't available any more" in below(answer)
    await world.slack.interactions.choose(
        "bob", answer, "retry_with_model", "openai:demo/storyteller"
    )
    await world.until(lambda: world.messages(thread)[1]["status"] == "done", "the answer")
    await world.until(lambda: "Storyteller" in world.header(thread).text, "the header")


# -- the channel is gone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "what"),
    slow_after(
        1,
        [
            (StreamMode.NATIVE, "archived"),
            (StreamMode.EDIT, "archived"),
            (StreamMode.NATIVE, "removed"),
        ],
    ),
)
async def test_the_asker_gets_a_direct_message_when_the_channel_closes_during_an_answer(
    worlds: WorldFactory, mode: StreamMode, what: str
) -> None:
    async with worlds(bobbin_stream=mode) as world:
        world.forgive("is_archived", "not_in_channel", "not_authorized", "channel_not_found")
        world.forgive("message_not_in_streaming_state")
        world.leave_unfinished()
        world.reply_to({"Say it.": LONG}, rate=80)
        thread = await world.start("Say it.", channel="random")
        await world.until(lambda: world.answers(thread, "random"), "the first words")
        channel = world.slack.workspace.channel("random")
        if what == "archived":
            channel.is_archived = True
        else:
            world.slack.workspace.leave(channel, world.slack.bot_user.id)
        await world.answered(thread, channel="random")
        await world.until(lambda: direct_messages(world, "alice"), "the direct message")
        await world.idle()

        reason = "is_archived" if what == "archived" else "not_in_channel"
        assert direct_messages(world, "alice") == [
            strings.CANNOT_WRITE[reason].format(channel=channel.id)
        ]
        assert (world.ended(thread)[0]["text"], world.ended(thread)[0]["status"]) == (LONG, "done")
        assert any(line["event"] == "answer_not_shown" for line in world.lines())
        assert await calls_in(world, 1.0) == Counter()


async def test_an_answer_ends_before_the_asker_is_told_why_nothing_is_written(
    worlds: WorldFactory,
) -> None:
    """If this process ends first, the next one tells them."""
    async with worlds(
        timing=patient_timing(slack_call_timeout=ENDLESS), bobbin_stream=StreamMode.EDIT
    ) as world:
        world.forgive("is_archived")
        world.say("Nobody sees it.")
        thread = await world.ask("Say it.")
        told = world.slack.faults.add(
            "chat.postMessage", "hang", channel="U0ALICE", seconds=ENDLESS
        )
        world.slack.faults.add(
            "chat.postMessage", error="is_archived", channel="C0GENERAL", times=-1
        )
        await world.choose(thread)
        await world.answered(thread)
        await world.until(lambda: told.hits, "the notice is on its way")
        await world.restart()
        await world.until(lambda: direct_messages(world, "alice"), "the direct message")
        await world.idle()
        sentence = strings.CANNOT_WRITE["is_archived"].format(channel="C0GENERAL")
        assert direct_messages(world, "alice") == [sentence]
        world.leave_unfinished()


@pytest.mark.parametrize(
    ("error", "reason"),
    slow_after(
        2,
        [
            ("is_archived", "is_archived"),
            ("missing_scope", None),
            ("not_in_channel", "not_in_channel"),
            ("channel_not_found", "not_in_channel"),
            ("restricted_action_read_only_channel", "restricted_action"),
            ("invalid_thread_ts", "deleted"),
            ("account_inactive", None),
            ("invalid_blocks", None),
        ],
    ),
)
async def test_a_rejected_menu_is_not_posted_again(
    sweeping: World, error: str, reason: str | None
) -> None:
    world = sweeping
    world.slack.faults.add("chat.postMessage", error=error, channel="C0GENERAL", times=-1)
    await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> are you there?"
    )
    await world.until(
        lambda: any(line["event"] == "menu_refused" for line in world.lines()), "the refusal"
    )
    await world.idle()
    assert await calls_in(world, 0.5) == Counter()

    tries = [
        call
        for call in world.slack.calls_of("chat.postMessage")
        if call.args["channel"] == "C0GENERAL"
    ]
    assert len(tries) == 1
    sentence = strings.CANNOT_WRITE.get(reason or "", strings.CANNOT_WRITE_OTHERWISE)
    told = sentence.format(channel="C0GENERAL", code=error)
    assert direct_messages(world, "alice") == ([] if reason == "deleted" else [told])
    assert [q["state"] for q in world.rows("SELECT state FROM questions")] == ["closed"]


async def test_a_choice_in_a_duplicate_menu_leaves_one_header(
    worlds: WorldFactory,
) -> None:
    """A process posted a menu and was killed before it learnt the ts; another process has posted the valid one."""
    rates = {**RATES, "chat.update": Rate(per_second=0.2, burst=1.0)}
    timing = patient_timing(
        duplicate_menu_delay=20.0, header_min_age=2.0, thread_sweep_min_age=20.0
    )
    async with worlds(rates=rates, timing=timing) as world:
        world.entitle(None)
        await world.answered(await world.start("This uses up the edits."))
        # So the header replaces the menu by the response URL of the press.
        thread = await world.ask("Which of the two?")
        (menu,) = world.menus(thread)
        late = {
            "channel": "C0GENERAL",
            "thread_ts": thread,
            "blocks": menu.blocks,
            "text": "Choose a model.",
        }
        async with local_client() as http:
            bot = {"Authorization": f"Bearer {world.slack.bot_token}"}
            assert (
                await http.post(f"{world.slack.api_url}chat.postMessage", json=late, headers=bot)
            ).json()["ok"]
        (double,) = (other for other in world.menus(thread) if other.ts != menu.ts)
        await world.slack.interactions.press("alice", double, "start_chat")
        await world.answered(thread)
        await world.until(lambda: not world.menus(thread), "no menu is left")
        await world.idle()
        assert [header.ts for header in world.headers(thread)] == [menu.ts]


async def test_many_questions_in_a_closed_channel_bring_one_direct_message(world: World) -> None:
    world.slack.faults.add("chat.postMessage", error="is_archived", channel="C0GENERAL", times=-1)
    for number in range(5):
        await world.slack.conversations.say(
            "alice", "general", f"<@{world.slack.bot_user.id}> question {number}?"
        )
    await world.until(
        lambda: {q["state"] for q in world.rows("SELECT state FROM questions")} == {"closed"},
        "the end",
    )
    await world.idle()
    assert len(direct_messages(world, "alice")) == 1


async def test_a_user_who_cannot_get_direct_messages_gets_no_notice(world: World) -> None:
    """For example a deactivated person, or one of another company."""
    world.slack.faults.add("chat.postMessage", error="is_archived", channel="C0GENERAL")
    world.slack.faults.add("chat.postMessage", error="user_not_found", channel="U0ALICE", times=-1)
    await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> are you there?"
    )
    await world.until(
        lambda: any(line["event"] == "direct_message_not_posted" for line in world.lines()),
        "the attempt",
    )
    assert await calls_in(world, 0.5) == Counter()


async def test_a_question_deleted_before_its_menu_gets_none(world: World) -> None:
    world.forgive("invalid_thread_ts", "thread_not_found")
    world.slack.faults.add("chat.postMessage", "ratelimited", retry_after=1)
    ts = await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> never mind this"
    )
    await world.until(lambda: world.slack.calls_of("chat.postMessage"), "the first attempt")
    await world.slack.conversations.delete("alice", "general", ts)
    await world.until(
        lambda: any(line["event"] == "menu_refused" for line in world.lines()), "the refusal"
    )
    await world.idle()
    assert (direct_messages(world, "alice"), world.rows("SELECT state FROM questions")) == (
        [],
        [{"state": "closed"}],
    )
    assert await calls_in(world, 0.5) == Counter()


async def test_a_chat_continues_when_its_channel_gets_a_new_id(world: World) -> None:
    thread = await world.start("Remember me.")
    await world.answered(thread)
    waiting = await world.ask("And remember this question.", user="bob")
    await world.idle()

    channels = world.slack.workspace.channels
    channel = channels.pop("C0GENERAL")
    channel.id = "C0SHARED"
    channels["C0SHARED"] = channel
    for message in channel.messages.values():
        message.channel = "C0SHARED"
    world.slack.subscriptions.deliver(
        {"type": "channel_id_changed", "old_channel_id": "C0GENERAL", "new_channel_id": "C0SHARED"}
    )
    await world.until(lambda: world.chats()[0]["channel"] == "C0SHARED", "the move")

    await world.slack.conversations.say("alice", "C0SHARED", "Do you?", thread)
    await world.answered(thread, 2, "C0SHARED")
    await world.choose(waiting, "bob", channel="C0SHARED")
    await world.answered(waiting, channel="C0SHARED")
    assert len(world.chats()) == 2


async def test_a_new_channel_id_keeps_the_chats_already_stored_under_it(world: World) -> None:
    thread = await world.start("The old place.")
    await world.answered(thread)
    await world.idle()
    kept = "team, thread, owner, title, title_by, provider, model, message_count, created_at, updated_at"
    copy = f"INSERT INTO chats (id, channel, {kept}) SELECT 'copy', 'C0SHARED', {kept} FROM chats"
    await world.execute(copy)
    event = {
        "type": "channel_id_changed",
        "old_channel_id": "C0GENERAL",
        "new_channel_id": "C0SHARED",
    }
    world.slack.subscriptions.deliver(event)
    await world.until(
        lambda: any(line["event"] == "channel_id_changed" for line in world.lines()), "the move"
    )
    assert sorted(c["channel"] for c in world.chats()) == ["C0GENERAL", "C0SHARED"]


@pytest.mark.parametrize("error", ["user_not_found", "user_is_restricted", "user_disabled"])
async def test_an_answer_to_a_deactivated_person_is_shown_to_the_others(
    world: World, error: str
) -> None:
    world.slack.faults.add("chat.startStream", error=error, times=-1)
    world.slack.faults.add("chat.postEphemeral", error="user_not_in_channel", times=-1)
    world.forgive(error, "user_not_in_channel")
    world.say("It stands here.")
    thread = await world.start("Who will read this?")
    assert await world.answered(thread) == ["It stands here."]
