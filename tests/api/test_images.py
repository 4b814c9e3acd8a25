"""Images sent through the API follow the same rules as images shared in Slack."""

from __future__ import annotations

from tests.api.conftest import Api
from tests.api.test_compat import EYE, data_url, picture
from tests.handlers.world import World


async def test_a_large_image_is_scaled_down(world: World, api: Api) -> None:
    chat = await api.conversation(model=EYE)
    body = {"content": "look", "images": [data_url(picture("JPEG", (3200, 100)), "image/jpeg")]}

    said = await api.ask("POST", f"/chat/conversations/{chat}/messages", 201, json=body)
    assert "a JPEG picture, 1568 × 49 pixels" in said["assistantMessage"]["content"]


async def test_a_broken_image_is_refused_and_stores_nothing(world: World, api: Api) -> None:
    chat = await api.conversation(model=EYE)
    body = {
        "content": "look",
        "images": [data_url(picture("JPEG", (300, 200))[:500], "image/jpeg")],
    }

    refused = await api.ask("POST", f"/chat/conversations/{chat}/messages", 422, json=body)
    assert "can't be opened" in refused["message"]
    assert (await api.history(chat))["messages"] == []
