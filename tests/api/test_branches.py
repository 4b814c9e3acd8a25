"""`POST /chat/conversations` with `from` and `model`: the same conversation up to a message, asked of another model."""

from __future__ import annotations

from tests.api.conftest import Api
from tests.handlers.shared_files import TEXT_MODEL, VISION_MODEL
from tests.handlers.world import World


async def test_another_model_is_asked_the_same(world: World, api: Api) -> None:
    world.say("Two apples.", "Three pears.", model=TEXT_MODEL)
    world.say("Four pears.", model=VISION_MODEL)
    chat = await api.conversation(model=TEXT_MODEL)
    path = f"/chat/conversations/{chat}/messages"
    await api.ask("POST", path, 201, json={"content": "How many apples?"})
    said = await api.ask("POST", path, 201, json={"content": "And pears?"})

    question, answer = said["userMessage"]["id"], said["assistantMessage"]["id"]
    body = {"from": answer, "model": VISION_MODEL}
    made = (await api.ask("POST", "/chat/conversations", 201, json=body))["conversation"]
    again = {"from": question, "model": VISION_MODEL}
    assert (await api.ask("POST", "/chat/conversations", 201, json=again))["conversation"][
        "id"
    ] == made["id"]
    assert (made["from"], made["messageCount"]) == (question, 4)
    assert made["id"] != chat

    await world.until(lambda: len(world.models.requests()) >= 3, "the other model is asked")
    await world.idle()
    history = (await api.history(made["id"]))["messages"]
    assert [each["content"] for each in history] == [
        "How many apples?",
        "Two apples.",
        "And pears?",
        "Four pears.",
    ]


async def test_what_cannot_be_branched_is_refused(world: World, api: Api) -> None:
    chat = await api.conversation(model=TEXT_MODEL)
    path = f"/chat/conversations/{chat}/messages"
    said = await api.ask("POST", path, 201, json={"content": "How many apples?"})
    question = said["userMessage"]["id"]
    for body, status in (
        ({"from": "0" * 32, "model": VISION_MODEL}, 404),
        ({"from": question}, 422),
        ({"from": question, "model": "none"}, 422),
    ):
        await api.ask("POST", "/chat/conversations", status, json=body)
