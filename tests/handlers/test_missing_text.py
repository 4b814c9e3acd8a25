"""A mention without text waits for its question, before or after the choice of a model."""

from __future__ import annotations

from bot import strings
from bot.chats.prompt_turns import THREAD_CONTEXT
from tests.handlers.world import World


async def test_a_mention_without_text_asks_for_the_question_first(world: World) -> None:
    """The question comes before the choice. What somebody else says until then is no question, but belongs to it."""
    thread = await world.ask("")
    assert strings.MENU_ASKS in world.menus(thread)[0].text
    await world.slack.conversations.say("bob", "general", "May I ask something too?", thread)
    reply = await world.slack.conversations.say("alice", "general", "How tall is the moon?", thread)
    await world.until(
        lambda: world.rows("SELECT 1 FROM questions WHERE source = ?", reply),
        "the question is known",
    )
    assert world.chats() == []

    await world.choose(thread)
    await world.answered(thread)

    assert [text for role, text in world.requests()[0] if role == "user"] == [
        THREAD_CONTEXT.format(
            context="bob: May I ask something too?", text="alice: How tall is the moon?"
        )
    ]


async def test_a_mention_without_text_waits_for_the_question_after_the_choice(world: World) -> None:
    """The choice comes before the question. What somebody else says until then does not start the chat."""
    thread = await world.ask("")
    await world.choose(thread)
    await world.until(
        lambda: strings.WAITING_FOR_TEXT in world.replies(thread)[0].text,
        "it asks for the question",
    )
    assert world.chats() == []

    await world.slack.conversations.say("bob", "general", "Not mine to ask.", thread)
    await world.slack.conversations.say("alice", "general", "How tall is the moon?", thread)
    await world.answered(thread)

    assert [text for role, text in world.requests()[0] if role == "user"] == [
        THREAD_CONTEXT.format(context="bob: Not mine to ask.", text="alice: How tall is the moon?")
    ]
    await world.until(lambda: world.header(thread).ts == world.replies(thread)[0].ts, "the header")
    assert len(world.headers(thread)) == 1


async def test_the_question_may_mention_bobbin_and_is_asked_once(
    world: World,
) -> None:
    """Slack sends each mention as two events, in any order."""
    world.slack.variants.mention_order = "message_first"
    thread = await world.ask("")
    await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> How tall is the moon?", thread
    )
    await world.idle()
    assert (len(world.menus(thread)), len(world.rows("SELECT 1 FROM questions"))) == (1, 1)

    await world.choose(thread)
    await world.answered(thread)
    await world.idle()

    assert [m["text"] for m in world.messages(thread) if m["role"] == "user"] == [
        "How tall is the moon?"
    ]
    assert (len(world.menus(thread)), len(world.headers(thread))) == (0, 1)


async def test_a_choice_without_text_survives_a_restart(
    world: World,
) -> None:
    thread = await world.ask("")
    await world.choose(thread)
    await world.until(
        lambda: strings.WAITING_FOR_TEXT in world.replies(thread)[0].text,
        "it asks for the question",
    )

    await world.restart()
    await world.slack.conversations.say("alice", "general", "How tall is the moon?", thread)

    assert len(await world.answered(thread)) == 1
    assert len(world.menus(thread)) == 0
