"""The sources of an answer, as the API gives them."""

from __future__ import annotations

from tests.api.conftest import Api, client, token_for
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import scripted_world
from tests.providers.scripted_server import DONE, delta, streaming


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
