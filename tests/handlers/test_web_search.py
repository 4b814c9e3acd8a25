"""Web search by the provider: where it is chosen, what is sent, what people see, and what happens on a refusal."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from bot import strings
from bot.config.chats import SearchMode
from handlers.views import blocks, model_options
from tests.api.conftest import Api, client, token_for
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import questions, scripted_world
from tests.handlers.test_steps import cards, stored
from tests.handlers.world import MODEL, World, below, elements, shown
from tests.providers.scripted_server import (
    DONE,
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    delta,
    responding,
    streaming,
)

STOP = delta(finish="stop")
TOOL = {"type": "openrouter:web_search"}
PAGE = {"type": "url_citation", "url_citation": {"url": "https://a.example/x", "title": "A page"}}
FOUND = streaming(delta("Hi you."), delta(annotations=[PAGE]), STOP, DONE)
TICKED = {"type": "checkboxes", "selected_options": [{"value": "yes"}]}


def provider(kind: str, url: str) -> dict[str, Any]:
    """Settings for one of the providers that search, at the scripted server."""
    return {
        f"{kind}_api_key": SecretStr("sk-of-nobody"),
        f"{kind}_base_url": url,
        "openai_api_key": None,
        "openai_base_url": None,
    }


async def choose(world: World, thread: str, kind: str, *, ticked: bool) -> None:
    menu = world.menus(thread)[-1]
    (select,) = elements(menu, blocks.MODEL_MENU_ACTION)
    block = next(b["block_id"] for b in menu.blocks if select in b.get("elements", ()))
    option = {"value": f"{kind}:{MODEL}", "text": {"type": "plain_text", "text": MODEL}}
    state: dict[str, Any] = {
        blocks.MODEL_MENU_ACTION: {"type": "external_select", "selected_option": option}
    }
    if ticked:
        state[model_options.WEB_SEARCH_ACTION] = TICKED
    action = {"action_id": blocks.MODEL_MENU_ACTION, "block_id": block, "selected_option": option}
    await world.slack.interactions.act("alice", menu, action, {block: state})


def searches(body: Any) -> bool:
    asked = body.get("venice_parameters", {}).get("enable_web_search") == "on"
    return asked or TOOL in body.get("tools", [])


async def restart(world: World, kind: str, url: str, mode: SearchMode) -> None:
    await world.restart(bobbin_web_search=mode, **provider(kind, url))


async def test_the_web_is_searched_if_it_is_ticked_where_the_model_is_chosen(
    worlds: WorldFactory,
) -> None:
    """The choice is kept with the chat, over a restart; the operator's `off` overrules it."""
    async with scripted_world(worlds, FOUND) as (world, server):
        await restart(world, "openrouter", server.url, SearchMode.ASK)
        for ticked in (True, False):
            thread = await world.ask("What is new?")
            assert len(elements(world.menus(thread)[-1], model_options.WEB_SEARCH_ACTION)) == 1
            await choose(world, thread, "openrouter", ticked=ticked)
            await world.answered(thread)
            await world.idle()
            (message,) = world.answers(thread)
            assert (searches(questions(server)[-1]), shown(message)) == (ticked, "Hi you.")
            assert (strings.HEADER_SEARCHES in str(world.header(thread).blocks)) is ticked
            assert [card["title"] for card in cards(message)] == ticked * [strings.SEARCHED]
            assert below(message).startswith("1. <https://a.example/x|A page>")
            if ticked:
                kept = thread
        assert stored(world) == [("search", "done", "")]
        await restart(world, "openrouter", server.url, SearchMode.ASK)
        await world.slack.conversations.say("alice", "general", "Once more.", kept)
        await world.answered(kept, 2)
        assert searches(questions(server)[-1])
        await restart(world, "openrouter", server.url, SearchMode.OFF)
        await world.slack.conversations.say("alice", "general", "And now.", kept)
        await world.answered(kept, 3)
        assert not searches(questions(server)[-1])


async def test_venice_searches_first_and_the_dialog_and_the_api_can_ask_for_it(
    worlds: WorldFactory,
) -> None:
    async with scripted_world(worlds, FOUND) as (world, server):
        await restart(world, "venice", server.url, SearchMode.ASK)
        async with client(world, await token_for(world)) as http:
            api = Api(http, "")
            for search in (True, False):
                made = await http.post(
                    "/chat/conversations", json={"search": search, "model": f"venice:{MODEL}"}
                )
                said = await api.say(made.json()["conversation"]["id"], "What is new?")
                assert searches(questions(server)[-1]) is search
                steps = said["assistantMessage"].get("steps", [])
                kinds = [(step["kind"], step["status"]) for step in steps]
                assert kinds == search * [("search", "done")]
        await world.slack.interactions.command("alice", "general", "/chats", "new")
        await world.until(lambda: bool(world.slack.views.modal("alice")), "the dialog")
        option = {"value": f"venice:{MODEL}", "text": {"type": "plain_text", "text": MODEL}}
        values = {
            "bobbin.model": {
                "dialog_model": {"type": "external_select", "selected_option": option}
            },
            "bobbin.text": {"dialog_text": {"type": "plain_text_input", "value": "What is new?"}},
            "bobbin.search": {model_options.WEB_SEARCH_ACTION: TICKED},
        }
        before = len(questions(server))
        assert await world.slack.views.submit("alice", values) == {}
        await world.until(lambda: len(questions(server)) > before, "the question")
        assert searches(questions(server)[-1])


def refusing(status: int, body: Any) -> Behaviour:
    """A server that refuses searches."""

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        answer = (
            responding(body, status)
            if searches(received.body)
            else streaming(delta("Hi."), STOP, DONE)
        )
        await answer(received, out)

    return behaviour


REFUSALS: dict[str, tuple[str, int, Any]] = {
    "no endpoint with tools": (
        "openrouter", 404, {"error": {"message": "No endpoints found that support tool use.", "code": 404}},
    ),
    "an unknown parameter": ("openrouter", 400, {"error": {"message": "Unknown tool type.", "code": 400}}),
    "Venice's": ("venice", 400, {"error": "Web search is not supported for this model."}),
}  # fmt: skip


async def test_a_refused_search_costs_one_more_request_once_and_is_reported(
    worlds: WorldFactory,
) -> None:
    for name, (kind, status, body) in REFUSALS.items():
        async with scripted_world(worlds, refusing(status, body)) as (world, server):
            await restart(world, kind, server.url, SearchMode.ALWAYS)
            thread = await world.ask("What is new?")
            await world.slack.interactions.choose(
                "alice", world.menus(thread)[-1], "model_menu", f"{kind}:{MODEL}"
            )
            await world.answered(thread)
            await world.slack.conversations.say("alice", "general", "Once more.", thread)
            await world.answered(thread, 2)
            for message in world.answers(thread):
                assert shown(message) == "Hi.", name
                assert [card["title"] for card in cards(message)] == [strings.SEARCH_REFUSED]
            asked = [searches(each) for each in questions(server)]
            assert asked == [True, False, False], name
