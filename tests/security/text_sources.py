"""Everything whose text Bobbin repeats, each with a hostile text that is recognisable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.sandbox.models.demo import DemoModel, quick
from bot.sandbox.models.scripts import Fault, ModelScript
from bot.sandbox.models.server import ModelServer
from bot.sandbox.user_actions.conversations import Upload
from tests.api.conftest import Api, token_for
from tests.handlers.test_dialogs import field_values, wait_for_dialog
from tests.handlers.world import MODEL, World

HOSTILE_USER = "U0CAROL"
"""A user with a hostile name and an API client."""
TEXT_SOURCES = (
    "answer",
    "partial",
    "title",
    "failure",
    "label",
    "person",
    "program",
    "question",
    "file",
    "search",
)


def models_with_hostile_name(poison: str) -> ModelServer:
    """A model server whose model has a hostile name."""
    return ModelServer([DemoModel(MODEL, f"label {poison}", quick)], words_per_second=5000.0)


async def hostile_token(world: World, poison: str) -> str:
    """An API token of `HOSTILE_USER`, whose name is hostile before the bot learns it."""
    world.slack.workspace.user(HOSTILE_USER).name = f"person {poison}"
    return await token_for(world, HOSTILE_USER)


async def write_from_every_source(world: World, api: Api, poison: str) -> str:
    """Write text with the poison from every source and wait until all of it is in Slack; return the thread.

    `api` has the `hostile_token`.
    """
    slack = world.slack
    world.entitle(f"title {poison}")
    world.say(f"answer {poison}")
    thread = await world.start("A harmless question.")
    await world.answered(thread)
    await world.until(lambda: world.chats()[0]["title"] != "New conversation", "the title")

    pieces = [f"partial {poison} ", "and no end"]
    fault = Fault("error", after=2, status=400, message=f"failure {poison}")
    world.models.queue(MODEL, ModelScript(pieces, fault=fault))
    refusal = Fault(
        "http", status=400, body=f'{{"error": {{"message": "failure {poison}"}}}}'.encode()
    )
    world.models.queue(MODEL, ModelScript([], fault=refusal))
    await slack.conversations.say(HOSTILE_USER, "general", "Another question.", thread)
    await world.answered(thread, 2)
    await slack.conversations.say(HOSTILE_USER, "general", "And one more.", thread)
    await world.answered(thread, 3)
    await world.idle()

    chat = (await api.ask("GET", "/chat/conversations"))["conversations"][0]["id"]
    await api.say(chat, f"program {poison}")
    await world.answered(thread, 4)
    await slack.conversations.say(
        "alice",
        "general",
        "Look at this.",
        thread,
        [Upload(f"file {poison}.pdf", b"%PDF-1.7", "application/pdf")],
    )
    await world.until(
        lambda: any("file" in text for text in world.whispers("alice")), "the word about the file"
    )

    await slack.interactions.command("alice", "general", "/chats", "new")
    await wait_for_dialog(world)
    await slack.views.submit(
        "alice",
        field_values(
            f"question {poison}",
            {"text": {"type": "plain_text", "text": "x"}, "value": f"openai:{MODEL}"},
        ),
    )
    await world.until(lambda: len(world.chats()) == 2, "the second chat")
    await slack.interactions.command("alice", "general", "/chats", "")
    await slack.interactions.command("alice", "general", "/chats", f"search {poison}")
    await slack.views.open_home("alice")
    await world.until(lambda: slack.views.home("alice"), "the Home tab")
    await world.ask("Which models are there?")
    await world.idle()
    return thread


def strings_in(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a JSON value, with the name of its field."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from strings_in(each, str(key))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings_in(each, name)


def texts_sent(world: World) -> Iterator[tuple[str, str, str]]:
    """Method, field and text of everything sent to Slack, responses to menus and dialogs included."""
    for call in world.slack.calls:
        for name, text in strings_in(call.args):
            yield call.method, name, text
    for delivery in world.slack.deliveries:
        for name, text in strings_in(delivery.answer):
            yield f"answer to {delivery.name}", name, text
