"""Slack delivers one envelope to two replicas: it takes effect once, and the user is told once."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from bot import strings
from tests import services
from tests.deadlines import patient_timing
from tests.handlers.replicas import PostgresWorld, two_replicas
from tests.handlers.shared_files import MOVIE, say_with_files, sent_text
from tests.handlers.test_dialogs import wait_for_dialog
from tests.handlers.test_voice_clips import CLIP, EARS, SAID, shown
from tests.handlers.world import elements
from tests.slow import slow_after

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(spare_postgresql: services.SpareDatabase) -> Iterator[str]:
    yield spare_postgresql.take()
    spare_postgresql.give_back()


@pytest.fixture
async def world(tmp_path: Path, log: io.StringIO, url: str) -> AsyncIterator[PostgresWorld]:
    async with two_replicas(tmp_path, log, url) as both:
        yield both


async def _command(world: PostgresWorld, text: str) -> None:
    await world.slack.interactions.command("alice", "general", "/chats", text)
    await world.idle()


async def test_one_command_makes_one_api_token_and_shows_it(world: PostgresWorld) -> None:
    await _command(world, "token")

    assert len(world.rows("SELECT 1 FROM api_tokens")) == 1
    (whisper,) = world.whispers("alice")
    assert "bob_" in whisper

    await _command(world, "token revoke")
    assert world.whispers("alice")[1:] == [strings.API_ACCESS_REVOKED]


async def _command_new(world: PostgresWorld) -> None:
    await world.slack.interactions.command("alice", "general", "/chats", "new")


async def _global_shortcut(world: PostgresWorld) -> None:
    await world.slack.interactions.shortcut("alice", "new_chat")


async def _message_shortcut(world: PostgresWorld) -> None:
    ts = await world.slack.conversations.say("bob", "general", "Have you seen the boiler?")
    message = world.slack.workspace.message("C0GENERAL", ts)
    await world.slack.interactions.shortcut("alice", "ask_bobbin", message)


async def _home_button(world: PostgresWorld) -> None:
    await world.slack.views.open_home("alice")
    home = await world.until(lambda: world.slack.views.home("alice"), "the Home tab")
    assert home is not None
    await world.slack.interactions.press("alice", home, "new_chat")


@pytest.mark.parametrize(
    "act", slow_after(2, [_command_new, _home_button, _global_shortcut, _message_shortcut])
)
async def test_one_envelope_opens_one_dialog_without_a_complaint(
    world: PostgresWorld, act: Callable[[PostgresWorld], Awaitable[None]]
) -> None:
    await act(world)
    await wait_for_dialog(world)
    await world.idle()

    assert len(world.slack.calls_of("views.open")) == 1
    assert world.whispers("alice") == []


async def test_one_submission_starts_one_chat(world: PostgresWorld) -> None:
    await _command_new(world)
    await wait_for_dialog(world)
    assert await world.slack.views.submit("alice", {"bobbin.text": {"dialog_text": "Once?"}}) == {}
    await world.until(world.chats, "the chat")
    await world.idle()

    assert (len(world.chats()), len(world.rows("SELECT 1 FROM answers"))) == (1, 1)


async def test_one_submission_of_a_channels_settings_gets_one_notice(world: PostgresWorld) -> None:
    world.slack.workspace.user("alice").is_admin = True
    await world.slack.interactions.command("alice", "general", "/chats", "here")
    await world.until(lambda: world.slack.views.modal("alice"), "the dialog")
    values = {"bobbin.instructions": {"channel_instructions": "Be brief."}}
    assert await world.slack.views.submit("alice", values) == {}
    await world.until(lambda: world.whispers("alice"), "the notice")
    await world.idle()

    assert world.whispers("alice") == [strings.CHANNEL_SAVED.format(channel="C0GENERAL")]


async def test_one_opening_of_the_home_tab_publishes_it_once(world: PostgresWorld) -> None:
    await world.slack.views.open_home("alice")
    await world.until(lambda: world.slack.views.home("alice"), "the Home tab")
    await world.idle()

    assert len(world.slack.calls_of("views.publish")) == 1


async def test_one_press_on_the_menu_is_answered_or_refused_once(world: PostgresWorld) -> None:
    world.say("Once.")
    thread = await world.ask("Who may choose?")
    menu = world.menus(thread)[-1]
    await world.slack.interactions.press("bob", menu, "start_chat")
    await world.until(lambda: world.whispers("bob"), "the refusal")
    await world.idle()
    assert len(world.whispers("bob")) == 1

    await world.slack.interactions.press("alice", menu, "start_chat")
    assert await world.answered(thread) == ["Once."]
    await world.idle()
    assert (len(world.chats()), world.whispers("alice")) == (1, [])


async def test_one_press_in_a_list_shows_one_page(world: PostgresWorld) -> None:
    await world.answered(await world.start("A chat for the list."))
    await world.idle()
    listed = await world.slack.interactions.command("alice", "general", "/chats")
    used = len(world.slack.calls_of("response_url"))
    again = elements(listed[0], "chats_page.again")  # type: ignore[arg-type]  # it has blocks too
    assert again
    await world.slack.interactions.press("alice", listed[0], "chats_page.again")
    await world.until(lambda: len(world.slack.calls_of("response_url")) > used, "the page")
    await world.idle()

    assert len(world.slack.calls_of("response_url")) == used + 1


async def test_one_message_to_a_full_chat_gets_one_notice(world: PostgresWorld) -> None:
    thread = await world.start("The first of many.")
    await world.answered(thread)
    await world.idle()
    world.rows("UPDATE chats SET message_count = 100 RETURNING id")
    await world.slack.conversations.say("alice", "general", "One too many.", thread)
    await world.until(lambda: world.whispers("alice"), "the notice")
    await world.idle()

    assert len(world.whispers("alice")) == 1


async def test_one_message_of_unreadable_files_gets_one_notice(world: PostgresWorld) -> None:
    bot = world.slack.bot_user.id
    await world.slack.conversations.say("alice", "general", f"<@{bot}>", files=[MOVIE])
    await world.until(lambda: world.whispers("alice"), "the notice")
    await world.idle()

    assert len(world.whispers("alice")) == 1


async def test_a_clip_is_transcribed_once_though_its_answer_changes_workers(
    tmp_path: Path, log: io.StringIO, url: str
) -> None:
    timing = patient_timing(late_effect=8.0)
    async with two_replicas(tmp_path, log, url, timing=timing, **EARS) as world:
        thread = await world.start("Hello?")
        await world.answered(thread)
        await world.idle()
        world.forgive("message_not_in_streaming_state", "streaming_state_conflict")
        world.models.transcripts.append(SAID)
        hearing = world.models.hold_clips = asyncio.Event()
        await say_with_files(world, "", CLIP, thread=thread)
        await world.until(lambda: world.models.clips, "the clip is being heard")
        lose = "UPDATE answers SET owner = 'gone', lease_until = lease_until - interval '1 hour'"
        world.rows(f"{lose} WHERE state = 'running' RETURNING chat_id")
        taken = "SELECT 1 FROM answers WHERE state = 'running' AND owner != 'gone' AND attempt = 2"
        await world.until(lambda: world.rows(taken), "another replica has the answer")
        hearing.set()
        await world.answered(thread, 2)
        await world.idle()
        assert (len(world.models.clips), sent_text(world)) == (1, SAID)
        assert len(shown(world, thread, "How many apples")) == 1
