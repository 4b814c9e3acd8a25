"""What a provider reports besides the text, in the API: sources and steps of an answer, reasons of refusals."""

from __future__ import annotations

from tests.api.conftest import Api, address, client, token_for
from tests.api.test_sockets import finished, socket_of
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import scripted_world
from tests.providers.scripted_server import DONE, delta, responding, streaming


async def test_an_answer_has_its_sources_and_a_question_none(worlds: WorldFactory) -> None:
    named = [{"url": "https://a.example/x", "title": "A page"}]
    sent = streaming(delta("Hi.", annotations=named), delta(finish="stop"), DONE)
    async with scripted_world(worlds, sent) as (world, _):
        async with client(world, await token_for(world)) as http:
            api = Api(http, "")
            chat = await api.conversation()
            said = await api.say(chat, "What is there?")
            history = await api.history(chat)
        expected = [{"title": "A page", "url": "https://a.example/x"}]
        assert said["assistantMessage"]["sources"] == expected
        assert "sources" not in said["userMessage"]
        assert history["messages"] == [said["userMessage"], said["assistantMessage"]]


async def test_an_answer_has_its_steps_and_a_socket_receives_them(worlds: WorldFactory) -> None:
    """In a separate message without `content`, which older clients ignore."""
    sent = streaming(delta(reasoning="Hm."), delta("Hi."), delta(finish="stop"), DONE)
    async with scripted_world(worlds, sent) as (world, _):
        token = await token_for(world)
        async with client(world, token) as http, socket_of(address(world), token) as reader:
            api = Api(http, "")
            chat = await api.conversation()
            said = await api.say(chat, "What is there?")
            history = await api.history(chat)
            events = await reader.until(finished)
            exported = await http.get(f"/chat/conversations/{chat}/export")
        (step,) = said["assistantMessage"]["steps"]
        assert {**step, "seconds": None} == {
            "kind": "thinking", "name": "", "status": "done", "seconds": None,
        }  # fmt: skip
        assert history["messages"] == [said["userMessage"], said["assistantMessage"]]
        told = [event for event in events if "step" in event]
        assert all(set(event) == {"chat", "step"} for event in told)
        begun, ended = (event["step"] for event in told)
        assert ended == {"message": said["assistantMessage"]["id"], "number": 1, **step}
        assert (begun["status"], begun["seconds"]) == ("running", None)
        assert "_Thought for 1 s_" in exported.text
        assert "Hm." not in exported.text


async def test_a_refusal_has_the_providers_reason(worlds: WorldFactory) -> None:
    refused = responding({"error": "This model needs a Pro plan."}, 403)
    async with scripted_world(worlds, refused) as (world, _):
        async with client(world, await token_for(world)) as http:
            api = Api(http, "")
            failed = await api.say(await api.conversation(), "What is there?", 502)
        assert "This model needs a Pro plan." in failed["message"]
        assert failed["assistantMessage"]["status"] == "failed"
