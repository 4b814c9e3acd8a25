"""What a person sees in a message reaches the model, by every route: mention, reply, context, shortcut, dialog."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from handlers.views.modals import quoted_message
from tests.handlers.seen_text import MARKS, NAMED_MARKS, SEEN_BY_NAME, post
from tests.handlers.shared_files import NOTES, sent_text
from tests.handlers.test_dialogs import wait_for_dialog
from tests.handlers.world import World
from tests.slow import slow_after


def missing(text: str) -> list[str]:
    """The words of the messages in `SEEN_BY_NAME` that are not in the text, and those that should not be there."""
    rows = SEEN_BY_NAME.values()
    unread = [word for _, seen, _ in rows for word in seen if word not in text]
    return unread + [word for _, _, unseen in rows for word in unseen if word in text]


async def test_slacks_spelling_reaches_the_model_as_people_see_it(world: World) -> None:
    """Each mark in a line of its own, in a mention, in a reply, and in the thread before."""
    bot = world.slack.bot_user.id
    raws = [(raw.replace("U0BOT", bot), seen) for raw, seen in MARKS if "U0BOT" not in raw]
    before = post(world, "bob", {"text": "\n".join(raw for raw, _ in raws)})
    mention = post(world, "alice", {"text": f"<@{bot}> {raws[0][0]}"}, thread=before)
    await world.until(lambda: world.menus(before), "the menu")
    await world.choose(before)
    await world.answered(before)
    post(world, "alice", {"text": "\n".join(raw for raw, _ in raws[1:])}, thread=before)
    await world.answered(before, 2)

    assert mention
    first, reply = (world.requests()[n][-1][1] for n in (0, 1))
    context = "\n".join(line.removeprefix("  ") for line in first.splitlines())
    assert [seen for _, seen in raws if seen not in context] == []
    assert [seen for _, seen in raws[1:] if seen not in reply] == []


async def test_names_reach_the_model_in_place_of_ids(world: World) -> None:
    """In a mention, in a reply and in the thread before; no name of a private channel, whoever may see it."""
    raws = [raw for raw, _ in NAMED_MARKS]
    world.slack.workspace.add_channel("hidden", ["U0ALICE"], "group")
    before = post(world, "bob", {"text": "\n".join(raws)})
    await world.ask("\n".join(raws), thread=before)
    await world.choose(before)
    await world.answered(before)
    post(world, "alice", {"text": "\n".join(raws)}, thread=before)
    await world.answered(before, 2)

    first, reply = (world.requests()[n][-1][1] for n in (0, 1))
    for seen in (seen for _, seen in NAMED_MARKS):
        assert (first.count(seen), reply.count(seen)) == (2, 1), seen
    asked = [call.args["channel"] for call in world.slack.calls_of("conversations.info")]
    assert len(asked) == len(set(asked))
    world.forgive("channel_not_found", method="conversations.info")


async def test_a_channel_that_slack_does_not_name_keeps_its_id(world: World) -> None:
    """Slack is asked once, and no answer waits for it again."""
    world.slack.faults.add("conversations.info", times=-1, error="missing_scope")
    thread = await world.start("What was said in <#C0RANDOM>?")
    await world.answered(thread)
    for number in (2, 3):
        text = f"And then in <#C0RANDOM>, {number}?"
        await world.slack.conversations.say("alice", "general", text, thread)
        await world.answered(thread, number)
    await world.idle()

    assert "#C0RANDOM, 3?" in sent_text(world)
    assert len(world.slack.calls_of("conversations.info")) == 1
    world.forgive("missing_scope", method="conversations.info")


async def test_a_typed_colour_is_not_a_channel(world: World) -> None:
    thread = await world.start("Is #C0C0C0 lighter than #C0RANDOM?")
    await world.answered(thread)
    await world.idle()

    assert "Is #C0C0C0 lighter than #C0RANDOM?" in sent_text(world)
    assert world.slack.calls_of("conversations.info") == []


async def test_words_outside_the_text_reach_the_model_from_the_thread_before(
    world: World,
) -> None:
    """An app's alerts, forwards and blocks stand above the mention."""
    root = post(world, "weatherbot", {"attachments": [{"title": "Disk", "text": "is full"}]})
    for fields, _, _ in SEEN_BY_NAME.values():
        post(world, "weatherbot" if "blocks" in fields else "carol", fields, thread=root)
    await world.ask("what now?", thread=root)
    await world.choose(root)
    await world.answered(root)

    assert missing(world.requests()[0][-1][1]) == []


@pytest.mark.parametrize(
    "names",
    slow_after(1, [["a forward of blocks", "an alert with everything"], list(SEEN_BY_NAME)]),
    ids=["some", "all"],
)
async def test_words_outside_the_text_reach_the_model_in_replies(
    world: World, names: Sequence[str]
) -> None:
    thread = await world.start("Let me show you something.")
    await world.answered(thread)
    for count, name in enumerate(names, 2):
        fields, seen, unseen = SEEN_BY_NAME[name]
        post(world, "alice", fields, thread=thread)
        await world.answered(thread, count)
        sent = world.requests()[-1][-1][1]
        assert [word for word in seen if word not in sent] == []
        assert [word for word in unseen if word in sent] == []


async def test_a_forward_alone_in_a_direct_message_is_a_question(world: World) -> None:
    channel = world.slack.workspace.dm("alice")
    source = await world.slack.conversations.say(
        "carol", "general", "Why does <@U0BOB> say that it drips?", files=[NOTES]
    )
    thread = await world.slack.conversations.forward("alice", "general", source, channel)
    await world.until(lambda: world.menus(thread, channel), "the menu")
    await world.choose(thread, channel=channel)
    await world.answered(thread, channel=channel)

    assert "Carol Chen" in sent_text(world)
    assert "say that it drips?" in sent_text(world)
    assert "line two" in sent_text(world), "the file inside the forward"


async def test_a_mention_inside_a_forward_starts_nothing(world: World) -> None:
    source = await world.slack.conversations.say("carol", "random", "Hello there.")
    message = world.slack.workspace.message("C0RANDOM", source)
    message.latest.fallback = f"<@{world.slack.bot_user.id}> are you there?"
    forwarded = await world.slack.conversations.forward("alice", "random", source, "general")
    await world.idle()

    assert world.replies(forwarded) == []


async def test_the_shortcuts_dialog_quotes_all_that_a_person_sees(world: World) -> None:
    for name in ("a forward", "an alert with everything", "blocks", "rich text with channels"):
        fields, seen, _ = SEEN_BY_NAME[name]
        ts = post(world, "weatherbot", fields)
        message = world.slack.workspace.message("C0GENERAL", ts)
        await world.slack.interactions.shortcut("alice", "ask_bobbin", message)
        view = await wait_for_dialog(world)
        quoted = quoted_message(view.blocks)
        assert [word for word in seen if word not in quoted] == []
        await world.slack.views.close("alice")
