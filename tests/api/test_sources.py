"""What a provider says besides the text, as the API gives it: the sources of an answer, the reason of a refusal."""

from __future__ import annotations

from tests.api.conftest import Api, client, token_for
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


async def test_a_refusal_has_the_providers_reason(worlds: WorldFactory) -> None:
    refused = responding({"error": "This model needs a Pro plan."}, 403)
    async with scripted_world(worlds, refused) as (world, _):
        async with client(world, await token_for(world)) as http:
            api = Api(http, "")
            failed = await api.say(await api.conversation(), "What is there?", 502)
        assert "This model needs a Pro plan." in failed["message"]
        assert failed["assistantMessage"]["status"] == "failed"
