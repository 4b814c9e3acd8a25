"""Approvals through the API: reported on the socket, in the stream and in the conversation, decided by a request."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import websockets

from bot.api.exported import ExportedConversation
from tests.api.conftest import Api, address, client, token_for
from tests.api.test_slack_and_api import messages_through_api
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.tools.talk import asking, calling, results, script, tooled, until_parked


async def test_programs_learn_of_an_approval_and_decide_about_it(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """As the buttons do: the asker alone, once; the thread's message stays true, and seeds' clients see only text."""
    async with tooled(worlds, tmp_path) as (world, server):
        alice, bob, carol = [await token_for(world, name) for name in ("alice", "bob", "carol")]
        socket_url = f"{address(world).replace('http', 'ws')}/ws?token={alice}"
        async with (
            client(world, alice) as http,
            client(world, bob) as bobs,
            client(world, carol) as carols,
            websockets.connect(socket_url) as socket,
        ):
            script(world, "Hello.")
            thread = await world.start("Hi?")
            await world.answered(thread)
            await world.slack.conversations.say("bob", "general", "Hello too?", thread)
            await world.answered(thread, 2)
            api = Api(http, alice)
            chat = (await api.ask("GET", "/chat/conversations"))["conversations"][0]["id"]

            script(world, calling(("add", {"text": "<!channel>"}), saying="I add."), "Added.")
            saying = asyncio.create_task(api.say(chat, "Add it."))
            told = await _next(socket, "approval")
            approval = told["approval"]
            assert told["chat"] == chat
            assert approval["tool"] == "web/add"
            assert approval["arguments"] == {"text": "<!channel>"}
            assert approval["status"] == "waiting"
            waiting = (await api.history(chat))["messages"][-1]
            assert waiting["approvals"] == [approval]
            assert waiting["id"] == approval["message"]
            await world.until(lambda: asking(world, thread), "the thread asks, too")
            await api.say(chat, "And now?", 409)

            path = f"/chat/conversations/{chat}/approvals"
            once, this = {"decision": "once"}, f"{path}/{approval['id']}"
            await Api(carols, carol).ask("POST", this, 404, json=once)
            await Api(bobs, bob).ask("POST", this, 403, json=once)
            await api.ask("POST", this, 422, json={"decision": "perhaps"})
            for wrong in ("nonesuch", approval["id"].partition("-")[0], approval["id"][:-1]):
                await api.ask("POST", f"{path}/{wrong}", 404, json=once)
            assert server.effects == []
            decided = await api.ask("POST", this, json=once)
            assert decided["approval"]["status"] == "allowed"
            await api.ask("POST", this, 409, json={"decision": "deny"})
            assert (await _next(socket, "approval"))["approval"]["status"] == "allowed"

            answer = (await saying)["assistantMessage"]
            assert answer["content"] == "I add.\n\nAdded."
            assert ("tool", "web/add", "done") in [
                (step["kind"], step["name"], step["status"]) for step in answer["steps"]
            ]
            assert "approvals" not in (await api.history(chat))["messages"][-1]
            assert server.effects == ["add <!channel>"]
            exported = await api.ask("GET", f"/chat/conversations/{chat}/export?format=json")
            ExportedConversation.model_validate(exported)
            (call,) = exported["messages"][-1]["calls"]
            made = ("web/add", {"text": "<!channel>"}, "done", call["asker"])
            arguments = json.loads(call["arguments"])
            assert (call["tool"], arguments, call["status"], call["decidedBy"]) == made
            assert call["result"]
            await world.until(lambda: not asking(world, thread), "the thread's message is true")
            await world.idle()


async def test_a_stream_reports_an_approval_in_a_chat_without_a_thread(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """Nobody but a program can decide there."""
    async with tooled(worlds, tmp_path) as (world, server):
        token = await token_for(world)
        async with client(world, token) as http:
            api = Api(http, token)
            chat = await api.conversation()
            script(world, calling(("add", {"text": "x"})), "Not added.")
            path, kinds = f"/chat/conversations/{chat}", list[str]()
            headers = {"Accept": "text/event-stream"}
            body = {"content": "Add x."}
            async with http.stream(
                "POST", f"{path}/messages", headers=headers, json=body
            ) as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("event: "):
                        kinds.append(line.removeprefix("event: "))
                    elif kinds[-1:] == ["approval"] and line.startswith("data: "):
                        approval = json.loads(line.removeprefix("data: "))
                        if approval["status"] == "waiting":
                            this = f"{path}/approvals/{approval['id']}"
                            await api.ask("POST", this, json={"decision": "deny"})
            assert kinds[0] == "message"
            assert "approval" in kinds
            assert kinds[-1] == "done"
            assert "not allowed" in results(world)[-1]
            assert server.effects == []


async def _next(socket: Any, kind: str) -> dict[str, Any]:
    """The next message of the socket that has this field."""
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if kind in message:
            return message


async def test_after_a_decision_the_answer_waits_for_no_second_look_for_its_question(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """The API message has been in the thread since the answer began, and Slack no longer shows any thread."""
    timing = patient_timing(question_timeout=3_600.0, question_resumed_timeout=3_600.0)
    async with tooled(worlds, tmp_path, timing=timing) as (world, server):
        world.leave_unfinished()
        script(world, "Hello.")
        thread = await world.start("Hi?")
        await world.answered(thread)
        script(world, calling(("add", {"text": "x"}), saying="I add."), "Added.")
        async with client(world, await token_for(world)) as http:
            api = Api(http, "")
            chat = (await api.ask("GET", "/chat/conversations"))["conversations"][0]["id"]
            saying = asyncio.create_task(api.say(chat, "Add it."))
            (message,) = await world.until(lambda: asking(world, thread), "the question")
            await until_parked(world)
            world.slack.faults.add("conversations.replies", "hang", times=-1, seconds=3_600.0)
            await world.slack.interactions.press("alice", message, "tool_allow_once")
            assert (await saying)["assistantMessage"]["content"] == "I add.\n\nAdded."
            await world.answered(thread, 2)
            assert (server.effects, len(messages_through_api(world, thread))) == (["add x"], 1)
