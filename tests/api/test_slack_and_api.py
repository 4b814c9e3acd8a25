"""One chat in Slack and through the API: what is written on one side appears on the other."""

from __future__ import annotations

import json
from typing import Any

from bot.sandbox.state.records import Message
from bot.text.mention_marks import MENTION_MARK
from tests.api.conftest import Api, WorldFactory, client, token_for
from tests.deadlines import patient_timing
from tests.handlers.world import World, shown


def messages_through_api(world: World, thread: str) -> list[Message]:
    """The messages that show what API clients wrote."""
    mine = world.replies(thread)
    return [
        m
        for m in mine
        if any(str(b.get("block_id", "")).startswith("bobbin.via.") for b in m.blocks)
    ]


def section_of(message: Message) -> str:
    return str(message.blocks[0]["text"]["text"])


async def chat_of(api: Api) -> dict[str, Any]:
    """The newest conversation."""
    conversation: dict[str, Any] = (await api.ask("GET", "/chat/conversations"))["conversations"][0]
    return conversation


async def test_an_api_message_is_posted_in_the_thread_before_its_answer(
    world: World, api: Api
) -> None:
    world.say("Hello from Slack.", "Hello from the program.")
    thread = await world.start("first, in slack")
    await world.answered(thread, 1)
    await world.idle()
    chat = await chat_of(api)
    said = await api.say(chat["id"], "second, by a *program*")
    assert said["assistantMessage"]["content"] == "Hello from the program."
    await world.answered(thread, 2)
    (echo,) = messages_through_api(world, thread)
    assert section_of(echo) == "alice (via API): second, by a *program*"
    answers = world.answers(thread)
    assert [shown(answer) for answer in answers] == ["Hello from Slack.", "Hello from the program."]
    assert answers[0].ts < echo.ts < answers[1].ts
    history = await api.history(chat["id"])
    assert [m["content"] for m in history["messages"]] == [
        "first, in slack", "Hello from Slack.", "second, by a *program*", "Hello from the program.",
    ]  # fmt: skip


async def test_an_api_message_whose_post_gets_no_response_is_found_and_not_posted_twice(
    world: World, api: Api
) -> None:
    world.say("Hello from Slack.", "Hello from the program.")
    thread = await world.start("first, in slack")
    await world.answered(thread, 1)
    await world.idle()
    chat = await chat_of(api)
    world.slack.faults.add("chat.postMessage", "lost")

    await api.say(chat["id"], "second, by a program")
    await world.answered(thread, 2)
    await world.idle()

    assert len(messages_through_api(world, thread)) == 1
    assert "api_message_not_posted" not in world.log.getvalue()


async def test_an_api_message_is_answered_even_if_it_cannot_be_shown(
    worlds: WorldFactory,
) -> None:
    """The client gets its answer, and Slack shows it, while the post of the question hangs."""
    async with worlds(timing=patient_timing(question_timeout=0.2)) as world:
        world.leave_unfinished()
        token = await token_for(world)
        thread = await world.start("first, in slack")
        await world.answered(thread, 1)
        await world.idle()
        fault = world.slack.faults.add("chat.postMessage", "hang", times=-1, seconds=3600.0)
        text = " ".join(f"Word{n}." for n in range(40))
        world.say(text, rate=40)  # so that it is streamed, not posted
        async with client(world, token) as http:
            api = Api(http, token)
            said = await api.say((await chat_of(api))["id"], "second, by a program")
        assert said["assistantMessage"]["content"] == text
        assert (await world.answered(thread, 2))[-1] == text
        assert fault.hits
        world.slack.faults.clear()


async def test_an_api_message_notifies_no_one(world: World, api: Api) -> None:
    thread = await world.start("hello")
    await world.answered(thread, 1)
    await world.idle()
    chat = await chat_of(api)
    await api.say(
        chat["id"], "<!channel> <@U0BOB> <https://example.com|bank> & @here " + "<" * 5000
    )
    (echo,) = messages_through_api(world, thread)
    text = section_of(echo)
    assert text.startswith(
        "alice (via API): &lt;!channel&gt; &lt;@U0BOB&gt; &lt;https://example.com|bank&gt;"
    )
    assert "<" not in text
    assert len(text) <= 3000
    assert "<!" not in echo.latest.fallback
    assert "<@" not in echo.latest.fallback


async def test_a_retry_does_not_post_the_api_message_again(world: World, api: Api) -> None:
    thread = await world.start("hello")
    await world.answered(thread, 1)
    await world.idle()
    chat = await chat_of(api)
    world.fail("http", status=401)
    failed = await api.say(chat["id"], "by a program", 502)
    world.say("Now it works.")
    path = f"/chat/conversations/{chat['id']}/messages/{failed['userMessage']['id']}/retry"
    assert (await api.ask("POST", path))["assistantMessage"]["content"] == "Now it works."
    await world.idle()
    assert len(messages_through_api(world, thread)) == 1
    assert [shown(answer) for answer in world.answers(thread)][-1] == "Now it works."


async def test_a_conversation_started_through_the_api_is_not_in_slack(
    world: World, api: Api
) -> None:
    before = len(world.slack.calls_of("chat.postMessage"))
    chat = await api.conversation()
    await api.say(chat, "nobody in Slack sees this")
    await world.idle()
    assert len(world.slack.calls_of("chat.postMessage")) == before
    (listed,) = await world.slack.interactions.command("alice", "general", "/chats")
    assert "2 messages" in str(listed.blocks)


async def test_a_participant_in_slack_can_continue_through_the_api(
    world: World, api: Api, bobs: Api
) -> None:
    thread = await world.start("alice asks")
    await world.answered(thread, 1)
    chat = await chat_of(api)
    await bobs.say(chat["id"], "not yet", 404)
    await world.slack.conversations.say("bob", "general", "bob joins", thread)
    await world.answered(thread, 2)
    await world.idle()
    await bobs.say(chat["id"], "bob by program")
    assert section_of(messages_through_api(world, thread)[-1]) == "bob (via API): bob by program"
    (*_, turn) = world.requests()[-1]
    assert turn == ("user", "bob: bob by program")


async def test_a_token_is_valid_until_it_is_revoked(world: World, api: Api) -> None:
    other = await token_for(world)
    assert other != api.token
    stored = world.rows("SELECT * FROM api_tokens")
    assert len(stored) == 2
    assert not [row for row in stored if api.token in str(row) or other in str(row)]
    await api.ask("GET", "/chat/models")
    used = [row["last_used_at"] for row in world.rows("SELECT last_used_at FROM api_tokens")]
    assert sorted(one is None for one in used) == [False, True]
    (shown_to_alice,) = await world.slack.interactions.command(
        "alice", "general", "/chats", "token revoke"
    )
    assert shown_to_alice.text == "Done: all your API tokens are revoked."
    assert (await api.ask("GET", "/chat/models", 401))["error"] == "Unauthorized"
    (nothing,) = await world.slack.interactions.command(
        "alice", "general", "/chats", "token revoke"
    )
    assert nothing.text == "You have no API token."


async def test_no_unseen_mark_of_a_mention_leaves(world: World) -> None:
    """Slack provides no names: everything shown, sent and exported contains bare ids."""
    world.forgive("user_not_found", "channel_not_found")
    for method, error in (
        ("users.info", "user_not_found"),
        ("conversations.info", "channel_not_found"),
    ):
        world.slack.faults.add(method, error=error, times=-1)
    thread = await world.start("Do <@U0DAN> and <@U0CAROL> know <#C0RANDOM>?")
    await world.answered(thread)
    await world.slack.conversations.say("bob", "general", "Ask <@U0DAN>.", thread)
    await world.answered(thread, 2)
    await world.idle()
    (chat,) = world.chats()
    async with client(world, await token_for(world)) as http:
        path = f"/chat/conversations/{chat['id']}"
        told = [
            await http.get(path),
            await http.get(f"{path}/export"),
            await http.get("/chat/conversations"),
        ]
        told.append(await http.post("/chat/conversations", json={"continues": chat["id"]}))
        for words, number in (("@U0DAN", 1), ("@U0CAROL know", 1), ("@U0CAR #C0NO", 0)):
            found = await http.get("/chat/conversations", params={"q": words})
            assert len(found.json()["conversations"]) == number, words
    texts = [each.text for each in told]
    assert [each.status_code for each in told] == [200, 200, 200, 201]
    assert all("@U0DAN" in text for text in texts[:2])
    calls = [json.dumps(call.args, default=str, ensure_ascii=False) for call in world.slack.calls]
    asked = [json.dumps(each.messages, ensure_ascii=False) for each in world.models.journal]
    assert "@U0DAN" in asked[-1]
    assert [text for text in [*texts, *calls, *asked] if MENTION_MARK in text] == []
