"""Reasoning effort: where it is chosen, what each provider is sent, what people see, and what happens on a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from bot import strings
from bot.config.chats import SearchMode
from bot.domain.model_options import Effort
from bot.sandbox.models.demo import asks_for_title
from handlers.views import blocks, model_options
from tests.api.conftest import Api, client, token_for
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import NO_TITLE, questions, scripted_world
from tests.handlers.test_ask_another import ask_another, new_threads
from tests.handlers.test_header_menu import choose as choose_in_header
from tests.handlers.test_home import acted, element, home
from tests.handlers.test_steps import cards, stored
from tests.handlers.world import World, below, elements, shown
from tests.providers.scripted_server import (
    DONE,
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    delta,
    responding,
    streaming,
)
from tests.slow import slow_after

HI = streaming(delta("Hi you."), delta(finish="stop"), DONE)
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "openrouter": ("a/thinks", {"supported_parameters": ["reasoning", "tools"]}),
    "venice": ("thinks", {"model_spec": {"capabilities": {"supportsReasoningEffort": True}}}),
    "openai": ("gpt-5.2", {}),
    "gemini": ("gemini-3-pro", {}),
    "groq": ("openai/gpt-oss-120b", {}),
    "mistral": ("mistral-small-latest", {}),
    "deepseek": ("deepseek-chat", {}),
    "xai": ("grok-3-mini", {}),
    "together": ("openai/gpt-oss-20b", {}),
}
"""A model that takes an effort, as each provider lists it."""


def settings(url: str) -> dict[str, Any]:
    """All providers, each in a folder of its own at the scripted server."""
    keys = {f"{kind}_api_key": SecretStr("sk-of-nobody") for kind in KINDS}
    addresses = {f"{kind}_base_url": f"{url}/{kind}" for kind in KINDS}
    return keys | addresses | {"ollama_base_url": f"{url}/ollama"}


def everywhere(answer: Behaviour) -> Behaviour:
    """A server that lists the model of whichever provider is asked, and Ollama's."""

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        kind, _, path = received.path.removeprefix("/").partition("/")
        if path == "api/tags":
            await responding({"models": [{"name": "thinks", "digest": "1"}]})(received, out)
        elif path == "api/show":
            shows = {"capabilities": ["completion", "thinking"]}
            await responding(shows)(received, out)
        elif path == "models":
            model, more = KINDS[kind]
            await responding({"data": [{"id": model, **more}]})(received, out)
        elif asks_for_title(received.body["messages"]):
            await NO_TITLE(received, out)
        else:
            await answer(received, out)

    return behaviour


async def choose(world: World, thread: str, key: str, effort: str, *, search: bool = False) -> None:
    """Chooses a model in the newest menu, with this reasoning effort."""
    menu = world.menus(thread)[-1]
    (select,) = elements(menu, blocks.MODEL_MENU_ACTION)
    block = next(b["block_id"] for b in menu.blocks if select in b.get("elements", ()))
    option = {"value": key, "text": {"type": "plain_text", "text": key}}
    (efforts,) = elements(menu, model_options.REASONING_ACTION)
    assert efforts["placeholder"]["text"] == strings.REASONING_LABEL
    chosen = next(each for each in efforts["options"] if each["value"] == effort)
    state: dict[str, Any] = {
        blocks.MODEL_MENU_ACTION: {"type": "external_select", "selected_option": option},
        model_options.REASONING_ACTION: {"type": "static_select", "selected_option": chosen},
    }
    action = {"action_id": blocks.MODEL_MENU_ACTION, "block_id": block, "selected_option": option}
    await world.slack.interactions.act("alice", menu, action, {block: state})


def is_question(received: ReceivedRequest) -> bool:
    asked = received.path.endswith("/chat/completions")
    return asked and not asks_for_title(received.body["messages"])


def effort_in(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says of it, in whichever form."""
    return {name: body[name] for name in ("reasoning", "reasoning_effort") if name in body}


@pytest.mark.parametrize(
    "kinds", slow_after(1, [["openrouter", "openai"], list(KINDS)]), ids=["some", "all"]
)
async def test_each_provider_gets_the_effort_in_its_own_form(
    worlds: WorldFactory, kinds: Sequence[str]
) -> None:
    """With the default choice nothing is sent."""
    async with (
        ScriptedServer(everywhere(HI)).running() as server,
        worlds(**settings(server.url)) as world,
    ):
        models = {kind: KINDS[kind][0] for kind in kinds} | {"ollama": "thinks"}
        for kind, model in models.items():
            for effort in ("high", "default") if kind in ("openrouter", "openai") else ("low",):
                thread = await world.ask(f"Think, {kind}.")
                await choose(world, thread, f"{kind}:{model}", effort)
                await world.answered(thread)
                told = {"reasoning_effort": effort}
                if effort == "default":
                    told = {}
                elif kind == "openrouter":
                    told = {"reasoning": {"effort": effort}}  # type: ignore[dict-item]
                asked = next(each for each in reversed(server.received) if is_question(each))
                assert (kind, effort_in(asked.body)) == (kind, told)
                await world.until(lambda thread=thread: world.header(thread), "the header")  # type: ignore[misc]
                header = str(world.header(thread).blocks)
                seen = {each for each in Effort if strings.HEADER_EFFORT[each] in header}
                assert seen == {effort} - {"default"}


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


EXTRA = {"type": "extra_forbidden", "loc": ["body", "reasoning_effort"], "input": "low"}
LITERAL = "[{'type': 'literal_error', 'loc': ('body', 'reasoning_effort')}]"
REFUSED: dict[str, tuple[int, Any]] = {
    "gpt-5-unknown": (400, said("Unrecognized request argument supplied: reasoning_effort")),
    "gpt-5-unsupported": (
        400,
        said(
            "Unsupported parameter: 'reasoning_effort' is not supported with this model.",
            param="reasoning_effort",
            code="unsupported_parameter",
        ),
    ),
    "gpt-5-value": (
        400,
        said(
            "Unsupported value: 'reasoning_effort' does not support 'low' with this model. "
            "Supported values are: 'high'.",
            code="unsupported_value",
        ),
    ),
    "gpt-5-openrouter": (404, said("No endpoints found that can handle the requested parameters.")),
    "gpt-5-xai": (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Argument not supported on this model: reasoningEffort",
        },
    ),
    "gpt-5-venice": (400, {"error": "Invalid request parameters"}),
    "gpt-5-mistral": (422, {"object": "error", "message": {"detail": [EXTRA]}, "code": None}),
    "gpt-5-vllm": (400, {"object": "error", "message": LITERAL, "type": "BadRequestError"}),
    "gpt-5-groq": (400, said("`reasoning_effort` is not supported with this model")),
}
"""A model for each way in which servers refuse."""


async def refusing(received: ReceivedRequest, out: ResponseWriter) -> None:
    status, body = REFUSED[received.body["model"]]
    answer = responding(body, status) if effort_in(received.body) else HI
    await answer(received, out)


def told_in(world: World, thread: str) -> int:
    """How many answers say that they are without the effort, in a card or below the text."""
    seen = [(cards(message), below(message)) for message in world.answers(thread)]
    return sum(str(each).count(strings.EFFORT_REFUSED) for each in seen)


@pytest.mark.parametrize(
    "models",
    slow_after(1, [["gpt-5-unsupported", "gpt-5-openrouter", "gpt-5-mistral"], list(REFUSED)]),
    ids=["some", "all"],
)
async def test_a_refused_effort_costs_one_more_request_once_and_is_reported(
    worlds: WorldFactory, models: Sequence[str]
) -> None:
    listed = responding({"data": [{"id": model} for model in REFUSED]})
    async with scripted_world(worlds, refusing, models=listed) as (world, server):
        for model in models:
            before = len(questions(server))
            thread = await world.ask("Think.")
            await choose(world, thread, f"openai:{model}", "low")
            await world.answered(thread)
            await world.slack.conversations.say("alice", "general", "Once more.", thread)
            await world.answered(thread, 2)
            await world.until(lambda thread=thread: told_in(world, thread) == 2, model)  # type: ignore[misc]
            assert [shown(message) for message in world.answers(thread)] == ["Hi you."] * 2, model
            asked = [effort_in(each) for each in questions(server)[before:]]
            assert asked == [{"reasoning_effort": "low"}, {}, {}], model
        assert set(stored(world)) == {("thinking", "denied", "")}
        thread = await world.ask("Think more.")
        await choose(world, thread, f"openai:{model}", "high")  # which nobody has refused yet
        await world.answered(thread)
        assert [effort_in(each) for each in questions(server)[-2:]] == [
            {"reasoning_effort": "high"},
            {},
        ]


async def test_the_choice_stays_with_the_chat_and_goes_along_with_what_comes_of_it(
    worlds: WorldFactory,
) -> None:
    listed = responding({"data": [{"id": "gpt-5"}, {"id": "gpt-6"}, {"id": "plain"}]})
    async with scripted_world(worlds, HI, models=listed) as (world, server):
        thread = await world.ask("Think.")
        await choose(world, thread, "openai:gpt-5", "high")
        await world.answered(thread)
        await world.restart()
        await world.slack.conversations.say("alice", "general", "Go on.", thread)
        await world.answered(thread, 2)
        await world.idle()
        assert effort_in(questions(server)[-1]) == {"reasoning_effort": "high"}

        for model, told in (("gpt-6", {"reasoning_effort": "high"}), ("plain", {})):
            known = len(new_threads(world))
            await ask_another(world, world.answers(thread)[1], model=f"openai:{model}")
            await world.until(lambda known=known: len(new_threads(world)) > known, "the branch")  # type: ignore[misc]
            branch = new_threads(world)[-1]
            await world.answered(branch.ts, 2)
            await world.idle()
            assert effort_in(questions(server)[-1]) == told
            said = strings.HEADER_EFFORT["high"] in str(world.header(branch.ts).blocks)
            assert said is bool(told)

        known = len(new_threads(world))
        await choose_in_header(world, thread, "continue")
        await world.until(lambda: len(new_threads(world)) > known, "the continuation")
        continued = new_threads(world)[-1].ts
        await world.idle()
        await world.slack.conversations.say("alice", "general", "And then?", continued)
        await world.answered(continued)
        assert effort_in(questions(server)[-1]) == {"reasoning_effort": "high"}
        await world.idle()


async def test_the_api_accepts_reports_and_exports_the_effort(worlds: WorldFactory) -> None:
    listed = responding({"data": [{"id": "gpt-5"}, {"id": "plain"}]})
    async with scripted_world(worlds, HI, models=listed) as (world, server):
        async with client(world, await token_for(world)) as http:
            api = Api(http, "")
            for model, reasoning, has in (
                ("gpt-5", "medium", {"reasoning": "medium"}),
                ("gpt-5", None, {}),
                ("plain", "medium", {}),
            ):
                given = {"model": f"openai:{model}", "reasoning": reasoning}
                made = await api.ask("POST", "/chat/conversations", 201, json=given)
                conversation = made["conversation"]
                assert effort_in(conversation) == has
                await api.say(conversation["id"], "Think.")
                told = {"reasoning_effort": "medium"} if has else {}
                assert effort_in(questions(server)[-1]) == told
                path = f"/chat/conversations/{conversation['id']}/export"
                exported = (await http.get(path, params={"format": "json"})).json()
                assert exported["conversation"]["reasoning"] == has.get("reasoning")
                text = (await http.get(path, params={"format": "markdown"})).text
                assert (strings.HEADER_EFFORT["medium"] in text) is bool(has)
            wrong = {"model": "openai:gpt-5", "reasoning": "enormous"}
            await api.ask("POST", "/chat/conversations", 422, json=wrong)
            models = (await api.ask("GET", "/chat/models"))["models"]
        offered = {each["id"]: each.get("reasoning") for each in models}
        assert offered == {"openai:gpt-5": ["low", "medium", "high"], "openai:plain": None}


async def test_options_of_the_own_model_apply_without_a_menu(
    worlds: WorldFactory,
) -> None:
    """In the menu, too, where the person may choose otherwise for once."""
    listed = responding({"data": [{"id": "a/thinks", "supported_parameters": ["reasoning"]}]})
    async with scripted_world(worlds, HI, models=listed) as (world, server):
        await world.restart(
            openrouter_api_key=SecretStr("sk-of-nobody"),
            openrouter_base_url=server.url,
            openai_api_key=None,
            openai_base_url=None,
            bobbin_web_search=SearchMode.ASK,
        )
        view = await home(world)
        box = element(view, "home_web_search")["options"][0]
        await acted(world, view, {"action_id": "home_web_search", "selected_options": [box]})
        high = element(view, "home_reasoning")["options"][-1]
        await acted(world, view, {"action_id": "home_reasoning", "selected_option": high})
        assert element(view, "home_web_search")["initial_options"] == [box]
        assert element(view, "home_reasoning")["initial_option"] == high

        thread = await world.ask("Think.")
        (efforts,) = elements(world.menus(thread)[-1], model_options.REASONING_ACTION)
        (search,) = elements(world.menus(thread)[-1], model_options.WEB_SEARCH_ACTION)
        assert (efforts["initial_option"]["value"], len(search["initial_options"])) == ("high", 1)
        await choose(world, thread, "openrouter:a/thinks", "low")
        await world.answered(thread)
        body = questions(server)[-1]
        assert (body["reasoning"], "tools" in body) == ({"effort": "low"}, False)
        await world.idle()

        box = element(view, "home_always")["options"][0]
        await acted(world, view, {"action_id": "home_always", "selected_options": [box]})
        mention = f"<@{world.slack.bot_user.id}> Think at once."
        thread = await world.slack.conversations.say("alice", "general", mention)
        await world.answered(thread)
        body = questions(server)[-1]
        assert (body["reasoning"], body["tools"]) == (
            {"effort": "high"},
            [{"type": "openrouter:web_search"}],
        )
        await world.idle()
        header = str(world.header(thread).blocks)
        assert strings.HEADER_EFFORT["high"] in header
        assert strings.HEADER_SEARCHES in header


async def test_it_is_not_asked_for_where_no_model_takes_it(worlds: WorldFactory) -> None:
    listed = responding({"data": [{"id": "plain"}]})
    async with scripted_world(worlds, HI, models=listed) as (world, _):
        thread = await world.ask("Think.")
        assert elements(world.menus(thread)[-1], model_options.REASONING_ACTION) == []
        view = await home(world)
        assert elements(view, "home_reasoning") == []  # type: ignore[arg-type]
