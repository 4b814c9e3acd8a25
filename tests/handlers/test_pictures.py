"""Pictures that models make: shown in the thread once, kept in the chat, sent along with the next question."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bot import strings
from bot.sandbox.faults import Fault
from bot.sandbox.models.scripts import Fault as ModelFault
from bot.sandbox.models.scripts import ModelScript, Picture
from bot.sandbox.state.records import Message
from tests.api.conftest import Api, client, token_for
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import questions, scripted_world
from tests.handlers.shared_files import image_bytes, sent_images
from tests.handlers.world import MODEL, World, below, options_of
from tests.providers.scripted_server import DONE, USAGE, delta, responding, streaming
from tests.slow import slow_after

TEAL, RED = image_bytes(), image_bytes(colour="red", size=(2000, 10))
PAINTER = "demo/painter"
QUICK = patient_timing(late_effect=0.5, chore_pause=0.05, slack_call_timeout=1.0)


def drawn(*pictures: bytes, text: str = "", repeated: bool = False) -> Any:
    entries = [
        {"image_url": {"url": f"data:image/png;base64,{base64.b64encode(each).decode()}"}}
        for each in pictures
    ]
    last = delta(finish="stop", **({"images": entries} if repeated else {}))
    return streaming(delta(text or None, images=entries), last, USAGE, DONE)


def listing(**outputs: list[str]) -> Any:
    """The list of models, with what each makes."""
    entries = [
        {
            "id": name.replace("_", "/"),
            "architecture": {"input_modalities": ["text", "image"], "output_modalities": kinds},
        }
        for name, kinds in outputs.items()
    ]
    return responding({"data": entries})


BOTH = listing(demo_quick=["text", "image"])


def with_files(world: World, thread: str) -> list[Message]:
    """The bot's messages in the thread that show files."""
    return [message for message in world.replies(thread) if message.files]


def files(world: World, thread: str) -> list[bytes]:
    """The pictures that the thread shows."""
    return [
        world.slack.workspace.files[file].content
        for message in with_files(world, thread)
        for file in message.files
    ]


def paint(world: World, *pieces: Any) -> None:
    world.models.queue(PAINTER, ModelScript(pieces))


async def under_way(world: World, fault: Fault) -> None:
    await world.until(lambda: fault.hits, f"{fault.method} is under way")


async def painted(world: World) -> str:
    """A chat whose first answer is a picture; gives the thread once all is shown or told."""
    paint(world, Picture(TEAL))
    thread = await world.start("Draw a boat.", model=PAINTER)
    await world.answered(thread)
    await world.until(lambda: not world.chores(), "the after-work")
    return thread


async def test_pictures_are_shown_kept_and_sent_along_and_paid_for_once(
    worlds: WorldFactory,
) -> None:
    answer = drawn(TEAL, RED, repeated=True)
    async with scripted_world(worlds, answer, models=BOTH) as (world, server):
        thread = await world.start("Draw a boat.")
        await world.until(lambda: len(files(world, thread)) == 2, "the pictures")
        (message,) = with_files(world, thread)
        assert await world.answered(thread) == [strings.PICTURES_MADE.format(count=2), ""]
        first, second = (world.slack.workspace.files[file] for file in message.files)
        assert (first.content, first.name, first.mimetype) == (TEAL, "picture-1.png", "image/png")
        assert first.alt_text == strings.PICTURE_ALT.format(model=MODEL)
        assert (message.thread_ts, len(second.content) < len(RED) * 20) == (thread, True)
        assert "10 tokens" in below(world.answers(thread)[0])

        await world.slack.conversations.say("alice", "general", "Now bigger.", thread)
        await world.until(lambda: len(questions(server)) == 2, "the second question")
        *_, made, asked = questions(server)[1]["messages"]
        assert (made["role"], made["content"].count("picture-")) == ("assistant", 2)
        kinds = [part["type"] for part in asked["content"]]
        assert (asked["role"], kinds) == ("user", ["text", "image_url", "image_url"])
        assert asked["content"][0]["text"].endswith("Now bigger.")
        assert [each.get("modalities") for each in questions(server)] == [["image", "text"]] * 2

        await world.until(lambda: len(files(world, thread)) == 4, "more pictures")
        costs = world.rows("SELECT cost FROM ledger WHERE kind = 'answer'")
        assert [row["cost"] for row in costs] == [0.002, 0.002]


async def test_the_api_names_pictures_gives_them_to_their_owner_and_exports_them(
    worlds: WorldFactory,
) -> None:
    async with scripted_world(worlds, drawn(TEAL, text="A boat."), models=BOTH) as (world, _):
        token = await token_for(world)
        async with (
            client(world, token) as http,
            client(world, await token_for(world, "bob")) as bob,
        ):
            api = Api(http, token)
            chat = await api.conversation()
            said = (await api.say(chat, "Draw a boat."))["assistantMessage"]
            (image,) = said["images"]
            assert (said["content"], image["name"], image["type"]) == (
                "A boat.",
                "picture-1.png",
                "image/png",
            )
            assert (await api.history(chat))["messages"][1]["images"] == [image]
            got = await http.get(image["url"])
            assert (got.content, got.headers["content-type"]) == (TEAL, "image/png")
            for wrong in (image["url"].replace("images/0", "images/1"), image["url"] + "/x"):
                assert (await http.get(wrong)).status_code == 404
            assert (await bob.get(image["url"])).status_code == 404
            listed = (await http.post("/list-messages", json={"chat": chat})).json()["messages"]
            assert (listed[1]["images"], "images" in listed[0]) == ([image], False)
            v1 = {"conversation_id": chat, "message": "Draw a boat."}
            again = (await http.post("/api/v1/chat", json=v1)).json()["assistant_message"]
            assert again["images"][0]["url"].endswith(f"/messages/{again['id']}/images/0")
            http.headers.pop("Authorization")
            assert (await http.get(image["url"])).status_code == 401
            bob.headers["Authorization"] = f"Bearer {token}"
            exported = await bob.get(f"/chat/conversations/{chat}/export?format=json")
            (kept,) = exported.json()["messages"][1]["images"]
            assert base64.b64decode(kept["data"]) == TEAL


UPLOAD = ("files.getUploadURLExternal", "upload", "files.completeUploadExternal")
TROUBLE: dict[str, Mapping[str, Any]] = {
    "is limited": {"mode": "ratelimited", "retry_after": 0},
    "fails": {"mode": "status", "status": 503},
    "fails after its effect": {"mode": "status", "status": 503, "after_effect": True},
}


@pytest.mark.parametrize("trouble", slow_after(1, TROUBLE))
async def test_a_picture_is_shown_once_though_any_call_of_its_upload_fails(
    worlds: WorldFactory, trouble: str
) -> None:
    async with worlds(timing=QUICK) as world:
        world.forgive(
            "file_not_found", method="files.info"
        )  # how the bot learns that it is not shared
        for method in UPLOAD:
            world.slack.faults.add(method, **TROUBLE[trouble])
            thread = await painted(world)
            assert files(world, thread) == [TEAL], method
            assert len(with_files(world, thread)) == 1


async def test_a_lost_response_shows_nothing_twice(worlds: WorldFactory) -> None:
    async with worlds(timing=QUICK) as world:
        fault = world.slack.faults.add("files.completeUploadExternal", "lost")
        thread = await painted(world)
        assert (files(world, thread), fault.hits) == ([TEAL], 1)


REFUSALS = {
    "files.getUploadURLExternal": "file_uploads_disabled",
    "upload": "HTTP 413",
    "files.completeUploadExternal": "storage_limit_reached",
}


@pytest.mark.parametrize("method", REFUSALS)
async def test_a_refusal_is_shown_in_the_thread_once(world: World, method: str) -> None:
    world.slack.faults.add(method, "status" if method == "upload" else "error", times=-1,
                           status=413, error=REFUSALS[method])  # fmt: skip
    thread = await painted(world)
    told = [m.text for m in world.replies(thread) if REFUSALS[method] in m.text]
    chat = world.chats()[0]["id"]
    assert told == [strings.PICTURES_REFUSED.format(reason=REFUSALS[method], id=chat)]
    assert files(world, thread) == []
    assert len(world.models.requests()) == 1


@pytest.mark.parametrize("method", slow_after(1, UPLOAD))
async def test_a_permanent_failure_is_reported_once_and_the_api_has_the_picture(
    worlds: WorldFactory, method: str
) -> None:
    impatient = replace(QUICK, chore_timeout=1.0, slack_call_timeout=0.4, late_effect=0.1)
    async with worlds(timing=impatient) as world:
        world.forgive("file_not_found", method="files.info")
        world.slack.faults.add(method, "hang", times=-1, seconds=3_600.0)
        thread = await painted(world)
        chat = world.chats()[0]["id"]
        line = strings.PICTURES_REFUSED.format(reason="timeout", id=chat)
        assert [m.text for m in world.replies(thread)].count(line) == 1
        assert (files(world, thread), len(world.models.requests())) == ([], 1)
        async with client(world, await token_for(world)) as http:
            said = (await http.get(f"/chat/conversations/{chat}")).json()["messages"][-1]
            assert (await http.get(said["images"][0]["url"])).content == TEAL


async def test_a_missing_scope_is_reported_and_models_that_only_draw_are_not_offered(
    worlds: WorldFactory,
) -> None:
    only = listing(demo_quick=["text", "image"], art_only=["image"])
    for granted, offered in ((True, ["demo/quick", "art/only"]), (False, ["demo/quick"])):
        missing = frozenset[str]() if granted else frozenset({"files:write"})
        scripted = scripted_world(worlds, drawn(TEAL), models=only, without_scopes=missing)
        async with scripted as (world, server):
            thread = await world.ask("Draw a boat.")
            menu = world.menus(thread)[-1]
            shown = await world.slack.interactions.options("alice", menu, "model_menu", "")
            assert [o["text"]["text"] for o in options_of(shown)] == offered
            await world.choose(thread)
            await world.answered(thread)
            await world.until(lambda: not world.chores(), "the after-work")
            assert bool(files(world, thread)) == granted
            chat = world.chats()[-1]["id"]
            line = strings.PICTURES_WITHOUT_SCOPE.format(scope="files:write", id=chat)
            assert [line in m.text for m in world.replies(thread)].count(True) == (not granted)
            assert len(questions(server)) == 1


async def test_a_picture_whose_process_ended_before_it_was_shown_is_shown_by_the_next(
    worlds: WorldFactory,
) -> None:
    async with worlds(timing=QUICK) as world:
        world.forgive(
            "file_not_found", method="files.info"
        )  # how the bot learns that it is not shared
        for method in UPLOAD:
            fault = world.slack.faults.add(method, "hang", seconds=3_600.0)
            paint(world, Picture(TEAL))
            thread = await world.start("Draw a boat.", model=PAINTER)
            await under_way(world, fault)
            await world.restart()
            await world.until(partial(files, world, thread), "the picture")
            await world.until(lambda: not world.chores(), "the after-work")
            assert files(world, thread) == [TEAL], method


async def test_a_demo_model_draws_and_sees_what_it_has_drawn(world: World) -> None:
    thread = await world.start("A lighthouse.", model=PAINTER)
    await world.until(lambda: files(world, thread), "the picture")
    await world.slack.conversations.say("alice", "general", "Another one.", thread)
    await world.answered(thread, 2)
    assert sent_images(world) == [("PNG", (640, 420))]


@pytest.mark.parametrize(("way", "ending"), [("hang", "stopped"), ("break", "failed")])
async def test_an_answer_that_is_stopped_or_breaks_after_a_picture_keeps_what_came(
    worlds: WorldFactory, way: Any, ending: str
) -> None:
    """A retry begins without it."""
    async with worlds(timing=QUICK) as world:
        world.forgive("stopped_by_user")
        pieces: list[Any] = ["Here: ", Picture(TEAL), Picture(RED)]
        world.models.queue(PAINTER, ModelScript(pieces, fault=ModelFault(way, after=2)))
        thread = await world.start("Draw a boat.", model=PAINTER)
        await world.until(lambda: "Here:" in str(world.answers(thread)), "the first words")
        if way == "hang":
            await world.until(lambda: world.stop_buttons(thread), "the button")
            await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
        await world.until(lambda: files(world, thread) == [TEAL], "the picture")
        assert [row["status"] for row in world.ended(thread)] == [ending]
        assert len(world.rows("SELECT 1 FROM attachments")) == 1

        world.say("No picture this time.", model=PAINTER)
        await world.slack.interactions.press("alice", world.answers(thread)[0], "retry_answer")
        await world.until(lambda: world.ended(thread)[0]["status"] == "done", "the retry")
        await world.idle()
        assert world.rows("SELECT 1 FROM attachments") == []
        assert len(world.models.requests()) == 2
