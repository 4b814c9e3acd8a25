"""The routes under `/chat` over real HTTP: fields, texts and status codes."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.api.conftest import Api, WorldFactory, client, token_for
from tests.deadlines import patient_timing
from tests.handlers.test_start import many_models
from tests.handlers.world import MODEL, World

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LIMIT = {
    "success": False,
    "message": "Rate limit reached",
    "error": "Rate limit reached",
    "rateLimitReached": True,
    "content": "Rate limit reached. This conversation has reached the maximum number of messages.",
}


async def test_a_conversation_is_created_answered_and_read(world: World, api: Api) -> None:
    world.entitle("Bobbins and threads")
    made = await api.ask("POST", "/chat/conversations", 201, json={})
    conversation = made["conversation"]
    assert list(made) == ["conversation"]
    assert conversation["title"] == "New conversation"
    assert conversation["messageCount"] == 0
    assert conversation["lastMessageId"] is None
    assert conversation["model"] == f"openai:{MODEL}"
    assert ISO.fullmatch(conversation["createdAt"])
    assert (await api.ask("GET", "/chat/conversations"))["conversations"] == []

    world.say("A spool for thread.")
    said = await api.say(conversation["id"], "What is a bobbin?")
    assert set(said) == {"userMessage", "assistantMessage", "rateLimitReached", "conversationTitle"}
    assert said["rateLimitReached"] is False
    assert said["conversationTitle"] == "Bobbins and threads"
    user, assistant = said["userMessage"], said["assistantMessage"]
    assert {**user, "id": "", "createdAt": ""} == {
        "id": "", "role": "user", "content": "What is a bobbin?", "status": "done", "createdAt": "",
    }  # fmt: skip
    assert (assistant["role"], assistant["status"]) == ("assistant", "done")
    assert assistant["content"] == "A spool for thread."
    assert ISO.fullmatch(user["createdAt"])

    history = await api.history(conversation["id"])
    assert history["messages"] == [user, assistant]
    shown = history["conversation"]
    assert (shown["title"], shown["messageCount"], shown["lastMessageId"]) == (
        "Bobbins and threads",
        2,
        assistant["id"],
    )
    listed = await api.ask("GET", "/chat/conversations")
    assert listed == {"conversations": [shown], "nextCursor": None}


async def test_only_the_first_answer_brings_a_title_and_only_if_none_was_given(
    world: World, api: Api
) -> None:
    world.entitle("A title of the model")
    chat = await api.conversation(title="Mine", model=MODEL)
    assert "conversationTitle" not in await api.say(chat, "one")
    assert (await api.history(chat))["conversation"]["title"] == "Mine"
    other = await api.conversation()
    assert (await api.say(other, "one"))["conversationTitle"] == "A title of the model"
    assert "conversationTitle" not in await api.say(other, "two")


async def test_a_failed_title_does_not_fail_the_request(world: World, api: Api) -> None:
    world.entitle(None)
    chat = await api.conversation()
    said = await api.say(chat, "one")
    assert said["assistantMessage"]["status"] == "done"
    assert "conversationTitle" not in said
    assert (await api.history(chat))["conversation"]["title"] == "New conversation"


async def test_the_model_is_sent_the_whole_history_in_order(world: World, api: Api) -> None:
    chat = await api.conversation()
    world.say("Hello Ada.", "You are Ada.")
    await api.say(chat, "I am Ada.")
    await api.say(chat, "Who am I?")
    (_, *turns) = world.requests()[-1]
    assert turns == [("user", "I am Ada."), ("assistant", "Hello Ada."), ("user", "Who am I?")]


async def test_conversations_are_listed_newest_first_paged_and_searched(
    world: World, api: Api
) -> None:
    chats = [await api.conversation() for _ in range(5)]
    for number, chat in enumerate(chats):
        await api.say(chat, f"message about {'wool' if number % 2 else 'silk'} {number}")
    first = await api.ask("GET", "/chat/conversations", params={"limit": 2})
    second = await api.ask(
        "GET", "/chat/conversations", params={"limit": 2, "cursor": first["nextCursor"]}
    )
    third = await api.ask(
        "GET", "/chat/conversations", params={"limit": 2, "cursor": second["nextCursor"]}
    )
    pages = [[one["id"] for one in page["conversations"]] for page in (first, second, third)]
    assert pages == [[chats[4], chats[3]], [chats[2], chats[1]], [chats[0]]]
    assert third["nextCursor"] is None
    found = await api.ask("GET", "/chat/conversations", params={"q": "WOOL"})
    assert [one["id"] for one in found["conversations"]] == [chats[3], chats[1]]


async def test_an_unchanged_conversation_is_not_sent_again(world: World, api: Api) -> None:
    chat = await api.conversation()
    path = f"/chat/conversations/{chat}"
    tag = (await api.http.get(path)).headers["etag"]
    again = await api.http.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    await api.say(chat, "something new")
    fresh = await api.http.get(path, headers={"If-None-Match": tag})
    assert fresh.status_code == 200
    assert fresh.headers["etag"] != tag


async def test_a_message_beyond_the_limit_is_refused_and_calls_no_model(
    worlds: WorldFactory,
) -> None:
    async with (
        worlds(bobbin_max_messages=5) as world,
        client(world, await token_for(world)) as http,
    ):
        api = Api(http, "")
        chat = await api.conversation()
        await api.say(chat, "one")
        await api.say(chat, "two")
        await world.idle()
        calls = len(world.models.requests())
        assert await api.say(chat, "three", 429) == LIMIT
        assert (await api.history(chat))["conversation"]["messageCount"] == 4
        assert len(world.models.requests()) == calls


async def test_the_limit_holds_for_twenty_concurrent_posts(worlds: WorldFactory) -> None:
    async with (
        worlds(bobbin_max_messages=2) as world,
        client(world, await token_for(world)) as http,
    ):
        api = Api(http, "")
        chat = await api.conversation()
        path = f"/chat/conversations/{chat}/messages"
        posts = [http.post(path, json={"content": f"message {number}"}) for number in range(20)]
        codes = sorted(response.status_code for response in await asyncio.gather(*posts))
        assert codes == [201, *[429] * 19]
        assert len((await api.history(chat))["messages"]) == 2


async def test_of_concurrent_posts_one_is_accepted_and_the_others_get_409(
    world: World, api: Api
) -> None:
    chat = await api.conversation()
    others_refused = asyncio.Event()
    world.say("Slowly but surely there.", held_until=others_refused)
    path = f"/chat/conversations/{chat}/messages"
    posts = [
        asyncio.create_task(api.http.post(path, json={"content": f"message {number}"}))
        for number in range(20)
    ]
    await world.until(lambda: sum(post.done() for post in posts) == 19, "the others are refused")
    others_refused.set()
    responses = await asyncio.gather(*posts)
    assert sorted(response.status_code for response in responses) == [201, *[409] * 19]
    refused = next(response.json() for response in responses if response.status_code == 409)
    assert refused["success"] is False
    assert refused["error"] == "Conversation busy"
    assert len((await api.history(chat))["messages"]) == 2


async def test_a_message_whose_model_failed_is_kept_and_can_be_retried(
    world: World, api: Api
) -> None:
    chat = await api.conversation()
    world.fail("http", status=401, times=1)
    failed = await api.say(chat, "hello there", 502)
    assert (failed["success"], failed["error"], failed["rateLimitReached"]) == (
        False,
        "Model failed",
        False,
    )
    assert "key" in failed["message"]
    assert failed["userMessage"]["content"] == "hello there"
    assert failed["assistantMessage"]["status"] == "failed"
    stored = (await api.history(chat))["messages"]
    assert stored == [failed["userMessage"], failed["assistantMessage"]]

    world.say("Here I am.")
    path = f"/chat/conversations/{chat}/messages/{failed['userMessage']['id']}/retry"
    again = await api.ask("POST", path)
    assert again["assistantMessage"]["id"] == failed["assistantMessage"]["id"]
    assert again["assistantMessage"]["content"] == "Here I am."
    assert (await api.ask("POST", path, 409))["error"] == "Nothing to retry"
    assert (await api.history(chat))["conversation"]["messageCount"] == 2


async def test_a_retry_may_name_the_failed_answer_and_may_fail_again(
    world: World, api: Api
) -> None:
    chat = await api.conversation()
    world.fail("http", status=401, times=2)
    failed = await api.say(chat, "hello", 502)
    path = f"/chat/conversations/{chat}/messages/{failed['assistantMessage']['id']}/retry"
    assert (await api.ask("POST", path, 502))["assistantMessage"]["status"] == "failed"
    assert (await api.ask("POST", path))["assistantMessage"]["status"] == "done"


async def test_the_same_idempotency_key_returns_the_same_message(world: World, api: Api) -> None:
    chat = await api.conversation()
    key = {"Idempotency-Key": "a key of mine"}
    world.say("Once and only once.", rate=50)
    both = await asyncio.gather(api.say(chat, "hi", headers=key), api.say(chat, "hi", headers=key))
    later = await api.say(chat, "hi", headers=key)
    assert len({said["assistantMessage"]["id"] for said in (*both, later)}) == 1
    assert all(
        said["assistantMessage"]["content"] == "Once and only once." for said in (*both, later)
    )
    assert (await api.history(chat))["conversation"]["messageCount"] == 2
    await api.say(chat, "hi", headers={"Idempotency-Key": "another"})
    assert (await api.history(chat))["conversation"]["messageCount"] == 4


async def test_disconnecting_does_not_stop_the_answer(world: World, api: Api) -> None:
    chat = await api.conversation()
    world.say("All of this is written although nobody waits.", rate=30)
    asking = asyncio.create_task(api.say(chat, "hello"))
    await world.until(
        lambda: world.rows("SELECT 1 FROM answers WHERE state = 'running'"),
        "the answer is being written",
    )
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await world.idle()
    assert (await api.history(chat))["messages"][1][
        "content"
    ] == "All of this is written although nobody waits."


async def test_an_answer_can_be_streamed_as_events(world: World, api: Api) -> None:
    chat = await api.conversation()
    world.entitle("Streams of words")
    world.say("One two three four five.", rate=100)
    path = f"/chat/conversations/{chat}/messages"
    events = await streamed(api, path, {"content": "count"})
    assert [name for name, _ in events][:2] == ["message", "token"]
    assert (
        "".join(data["token"] for name, data in events if name == "token")
        == "One two three four five."
    )
    name, data = events[-1]
    assert name == "done"
    assert data["assistantMessage"]["content"] == "One two three four five."
    assert data["conversationTitle"] == "Streams of words"
    assert events[0][1]["userMessage"] == data["userMessage"]

    world.fail("http", status=401)
    name, data = (await streamed(api, path, {"content": "again"}))[-1]
    assert (name, data["error"]) == ("failed", "Model failed")


async def test_disconnecting_from_a_stream_does_not_stop_the_answer(world: World, api: Api) -> None:
    chat = await api.conversation()
    world.say("One two three four five six.", rate=15)
    path = f"/chat/conversations/{chat}/messages"
    async with api.http.stream(
        "POST", path, json={"content": "hi"}, headers={"Accept": "text/event-stream"}
    ) as answer:
        async for line in answer.aiter_lines():
            if line == "event: token":
                break
    await world.idle()
    assert (await api.history(chat))["messages"][1]["content"] == "One two three four five six."


async def test_an_idle_event_stream_sends_comments(worlds: WorldFactory) -> None:
    timing = patient_timing(sse_keepalive_interval=0.05)
    async with worlds(timing=timing) as world, client(world, await token_for(world)) as http:
        chat = await Api(http, "").conversation()
        commented = asyncio.Event()
        world.say("Late but whole.", held_until=commented)
        path, lines = f"/chat/conversations/{chat}/messages", list[str]()
        accept = {"Accept": "text/event-stream"}
        async with http.stream("POST", path, json={"content": "hi"}, headers=accept) as answer:
            async for line in answer.aiter_lines():
                lines.append(line)
                if lines.count(": still being written") == 3:
                    commented.set()
    assert lines.index(": still being written") < lines.index("event: done")


async def streamed(api: Api, path: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    import json

    async with api.http.stream(
        "POST", path, json=body, headers={"Accept": "text/event-stream"}
    ) as response:
        assert response.status_code == 201
        assert response.headers["content-type"].startswith("text/event-stream")
        text = (await response.aread()).decode()
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines())
        for block in text.split("\n\n")
        if block
    ]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


async def test_the_models_are_those_of_the_menu(world: World, api: Api) -> None:
    offered = await api.ask("GET", "/chat/models")
    assert offered["default"] == f"openai:{MODEL}"
    eye = next(model for model in offered["models"] if model["id"] == "openai:demo/eye")
    assert (eye["vision"], eye["provider"]) == (True, "OpenAI-compatible")
    thread = await world.ask("which models?")
    menu = await world.slack.interactions.menu("alice", world.menus(thread)[-1], "model_menu", "")
    assert [m["id"] for m in offered["models"]] == [
        o["value"] for g in menu["option_groups"] for o in g["options"]
    ]
    assert (await api.ask("POST", "/chat/conversations", 422, json={"model": "no/such"}))[
        "error"
    ] == "Invalid request"
    chosen = await api.ask("POST", "/chat/conversations", 201, json={"model": "openai:demo/eye"})
    assert chosen["conversation"]["model"] == "openai:demo/eye"


async def test_programs_see_more_models_than_a_menu_has_room_for(worlds: WorldFactory) -> None:
    async with (
        worlds(models=many_models(350)) as world,
        client(world, await token_for(world)) as http,
    ):
        offered = (await http.get("/chat/models")).json()
    assert len({model["id"] for model in offered["models"]}) == 351


async def test_other_peoples_conversations_are_not_found(world: World, api: Api, bobs: Api) -> None:
    chat = await api.conversation()
    said = await api.say(chat, "my secret plan")
    missing = {"success": False, "error": "Not found", "message": "There is no such thing here."}
    retry = f"/chat/conversations/{chat}/messages/{said['assistantMessage']['id']}/retry"
    assert await bobs.ask("GET", f"/chat/conversations/{chat}", 404) == missing
    assert await bobs.say(chat, "let me in", 404) == missing
    assert await bobs.ask("POST", retry, 404) == missing
    assert (
        await bobs.ask("POST", "/api/v1/chat", 404, json={"conversation_id": chat, "message": "hi"})
        == missing
    )
    for path in ("/check-chat", "/list-messages"):
        assert await bobs.ask("POST", path, 404, json={"chat": chat}) == missing
    assert (
        await bobs.ask("POST", "/chat-message", 404, json={"chat": chat, "message": "hi"})
        == missing
    )
    assert (await bobs.ask("GET", "/chat/conversations", params={"q": "secret"}))[
        "conversations"
    ] == []
    own = await bobs.conversation()
    other = f"/chat/conversations/{own}/messages/{said['assistantMessage']['id']}/retry"
    assert await bobs.ask("POST", other, 404) == missing
    assert (await api.history(chat))["conversation"]["messageCount"] == 2


async def test_a_conversation_continues_another_one_with_its_summary(
    world: World, api: Api
) -> None:
    """Once, however often it is asked for; and the model reads the summary."""
    old = await api.conversation()
    world.say("Two apples.", "They counted apples.", "Three pears.")
    await api.say(old, "How many apples?")
    created = [
        (await api.ask("POST", "/chat/conversations", 201, json={"continues": old}))["conversation"]
        for _ in range(2)
    ]
    assert created[0] == created[1]
    assert (created[0]["continues"], created[0]["summary"]) == (old, "They counted apples.")
    said = await api.say(created[0]["id"], "And pears?")
    assert said["assistantMessage"]["content"] == "Three pears."
    assert said["assistantMessage"]["usage"]["cachedTokens"] == 0
    asked = world.requests()[-1][-1][1]
    assert "They counted apples." in asked
    assert asked.endswith("And pears?")
    history = await api.history(created[0]["id"])
    assert history["conversation"]["continues"] == old
    assert history["messages"] == [said["userMessage"], said["assistantMessage"]]
