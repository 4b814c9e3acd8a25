"""Voice clips become text: stored as part of the message, shown in the thread once, answered like any other message."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import replace
from typing import Any

import pytest

from bot import strings
from bot.chats.attachments.rules import MAX_EARLIER_FILES
from bot.sandbox.models.scripts import Fault
from bot.sandbox.user_actions.conversations import Upload
from handlers.markdown.plain_text import mrkdwn_escape
from tests.api.conftest import client, token_for
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import (
    NOTES,
    VISION_MODEL,
    ask_with_files,
    image_file,
    say_with_files,
    sent_content,
    sent_text,
)
from tests.handlers.world import World
from tests.slow import slow_after

CLIP = Upload("audio_message.m4a", b"\0\0\0\x18ftypM4A words words", "audio/mp4")
EARS = {"bobbin_transcribe_model": "openai:demo/ears"}
SAID = "How many apples <!channel> are there?"


def shown(world: World, thread: str, said: str) -> list[str]:
    """What the thread shows of a clip."""
    texts = [m.text for m in world.replies(thread) if "bobbin.spoken." in str(m.blocks)]
    return [text for text in texts if said in text]


def heard(world: World) -> list[str]:
    rows = world.rows("SELECT * FROM ledger WHERE kind = 'transcription'")
    assert all((row["provider"], row["model"]) == ("openai", "demo/ears") for row in rows)
    for row in rows:  # what was not reported is estimated, so that it counts for budgets
        assert bool(row["estimated_tokens"]) == (
            row["outcome"] == "done" and not row["prompt_tokens"]
        )
    return [row["outcome"] for row in rows]


async def test_a_clip_is_transcribed_shown_stored_and_answered(worlds: WorldFactory) -> None:
    """Also with text, with a second clip, and after the chat has begun."""
    async with worlds(**EARS) as world:
        world.models.transcripts += [SAID, "And pears?", "In all?"]
        thread = await ask_with_files(world, "", CLIP)
        await world.answered(thread)
        await world.idle()
        assert sent_text(world) == SAID
        assert world.messages(thread)[0]["text"] == SAID
        (line,) = shown(world, thread, "How many apples")
        assert line == strings.SPOKEN.format(name="alice", text=mrkdwn_escape(SAID))

        await say_with_files(world, "Also:", CLIP, CLIP, thread=thread)
        await world.answered(thread, 2)
        await world.idle()
        assert sorted(sent_text(world).split("\n\n")) == ["Also:", "And pears?", "In all?"]
        assert shown(world, thread, "And pears?")
        assert (world.models.clips, heard(world)) == ([len(CLIP.content)] * 3, ["done"] * 3)

        token = await token_for(world)
        async with client(world, token) as http:
            chat = world.chats()[0]["id"]
            world.models.transcripts.append("And plums?")
            file = {
                "name": "clip.webm",
                "content": base64.b64encode(b"clip").decode(),
                "type": "audio/webm",
            }
            body = {"content": "Then:", "files": [file]}
            said = await http.post(f"/chat/conversations/{chat}/messages", json=body)
            assert said.json()["userMessage"]["content"] == "Then:\n\nAnd plums?"


async def test_unusable_clips_are_reported_and_other_text_is_answered(
    worlds: WorldFactory,
) -> None:
    refused = Fault("http", status=400)
    async with worlds(**EARS) as world:
        thread = await world.start("Hello?")
        await world.answered(thread)
        for problem, fault, words in (("no_words", None, " "), ("not_heard", refused, "")):
            world.models.clip_fault = fault
            world.models.transcripts.append(words)
            await say_with_files(world, f"With {problem}", CLIP, thread=thread)
            line = strings.FILE_PROBLEMS[problem].format(names=CLIP.name)
            await world.until(lambda: line in world.whispers("alice"), "the notice")  # noqa: B023
            await world.idle()
            assert sent_text(world).startswith(f"With {problem}")
        await say_with_files(world, "", CLIP, thread=thread)
        await world.until(lambda: line in str(world.answers(thread)[-1].blocks), "the sentence")
        world.models.clip_fault = None
        world.models.transcripts.clear()
        world.models.transcripts.append("Now I speak.")
        await world.slack.interactions.press("alice", world.answers(thread)[-1], "retry_answer")
        await world.until(lambda: shown(world, thread, "Now I speak."), "the words")
        await world.idle()
        assert sent_text(world) == "Now I speak."


async def test_clips_pictures_and_documents_of_the_thread_before_reach_the_model(
    worlds: WorldFactory,
) -> None:
    """The asker pays for the newest clips, whose text belongs to nobody; clips that cannot be transcribed are left out
    silently.
    """
    many = [replace(CLIP, name=f"clip {n}.m4a") for n in range(MAX_EARLIER_FILES)]
    async with worlds(**EARS) as world:
        root = await say_with_files(world, "Listen:", CLIP, user="bob")
        picture = image_file("plum.png")
        await say_with_files(world, "", *many, picture, NOTES, thread=root, user="bob")
        world.models.transcripts += [" ", *(f"Words {n}." for n in range(1, MAX_EARLIER_FILES))]
        await world.ask("What did he say?", thread=root)
        await world.until(
            lambda: world.rows("SELECT 1 FROM questions WHERE context IS NOT NULL"), "the thread"
        )
        await world.choose(root, model=VISION_MODEL)
        await world.answered(root)
        await world.idle()

        sent = sent_text(world)
        heard_words = re.findall(
            r"Shared in this thread before: clip (\d)\.m4a\n```\nWords \d\.\n```", sent
        )
        assert heard_words == sorted(heard_words)
        assert len(heard_words) == MAX_EARLIER_FILES - 1
        assert f"Shared in this thread before: {CLIP.name}" not in sent
        assert "Shared in this thread before: notes.txt" in sent
        assert [part["type"] for part in sent_content(world)].count("image_url") == 1
        assert heard(world) == ["done"] * MAX_EARLIER_FILES
        (payer,) = world.rows("SELECT DISTINCT \"user\" FROM ledger WHERE kind = 'transcription'")
        (question,) = world.rows('SELECT "user" FROM questions')
        assert payer["user"] == question["user"]
        assert (shown(world, root, "Words"), world.whispers("alice")) == ([], [])


@pytest.mark.parametrize("settings", [{}, EARS | {"bobbin_allowed_models": ("demo/quick",)}])
async def test_without_an_allowed_model_for_them_clips_get_the_sentence_of_other_files(
    worlds: WorldFactory, settings: dict[str, Any]
) -> None:
    async with worlds(**settings) as world:
        await check_clips_are_not_read(world)


async def check_clips_are_not_read(world: World) -> None:
    ts = await say_with_files(world, f"<@{world.slack.bot_user.id}>", CLIP)
    line = strings.FILE_PROBLEMS["kind"].format(names=CLIP.name)
    await world.until(lambda: line in world.whispers("alice"), "the notice")
    assert (world.menus(ts), world.models.clips) == ([], [])


@pytest.mark.parametrize("mode", slow_after(1, ["hang", "lost"]))
async def test_words_are_shown_once_even_if_a_process_ends_meanwhile(
    worlds: WorldFactory, mode: str
) -> None:
    timing = patient_timing(late_effect=0.5, chore_pause=0.05, slack_call_timeout=1.0)
    async with worlds(timing=timing, **EARS) as world:
        world.models.transcripts.append(SAID)
        thread = await world.start("Hello?")
        await world.answered(thread)
        await world.idle()
        fault = world.slack.faults.add("chat.postMessage", mode, seconds=3_600.0)  # type: ignore[arg-type]
        await say_with_files(world, "", CLIP, thread=thread)
        await world.until(lambda: fault.hits, "the words are being shown")
        await world.restart()
        await world.answered(thread, 2)
        await world.idle()
        assert len(shown(world, thread, "How many apples")) == 1
        assert heard(world) == ["done"]


async def test_no_later_question_waits_for_a_clip_that_could_not_be_transcribed(
    worlds: WorldFactory,
) -> None:
    async with worlds(**EARS) as world:
        thread = await world.start("Hello?")
        await world.answered(thread)
        world.models.clip_fault = Fault("http", status=400)
        await say_with_files(world, "", CLIP, thread=thread)
        line = strings.FILE_PROBLEMS["not_heard"].format(names=CLIP.name)
        await world.until(lambda: line in str(world.answers(thread)[-1].blocks), "the sentence")
        await world.idle()
        assert heard(world) == ["failed"]
        await world.slack.conversations.say("alice", "general", "And now?", thread)
        await world.answered(thread, 2)
        await world.idle()
        assert sent_text(world).endswith("And now?")
        assert heard(world) == ["failed"]


async def test_the_api_transcribes_only_what_it_will_store(worlds: WorldFactory) -> None:
    """Not for a message that is already stored, arrives while an answer is written, or has a bad file."""
    async with worlds(**EARS) as world, client(world, await token_for(world)) as http:
        made = (await http.post("/chat/conversations", json={})).json()["conversation"]["id"]
        path = f"/chat/conversations/{made}/messages"
        content = base64.b64encode(b"clip").decode()
        file = {"name": "clip.webm", "content": content, "type": "audio/webm"}
        broken = {"name": "a.mp4", "content": base64.b64encode(b"\0\0\0\x18ftypmp42").decode()}

        async def say(key: str, *files: dict[str, str]) -> int:
            body = {"content": "Then:", "files": files}
            return (await http.post(path, json=body, headers={"Idempotency-Key": key})).status_code

        assert await say("bad", file, broken) == 422
        assert world.models.clips == []

        world.models.transcripts += ["One", "Two"]
        hearing = world.models.hold_clips = asyncio.Event()
        first = asyncio.ensure_future(say("a", file, file))
        await world.until(lambda: len(world.models.clips) == 2, "both clips are being heard")
        assert [await say(key, file) for key in ("a", "other")] == [409, 409]
        hearing.set()
        assert [await first, await say("a", file, file)] == [201, 201]
        (said,) = world.rows("SELECT text FROM messages WHERE role = 'user'")
        assert sorted(said["text"].split()) == ["One", "Then:", "Two"]
        assert (len(world.models.clips), heard(world)) == (2, ["done"] * 2)

        world.say("Slowly answered.", rate=0.001)
        waiting = asyncio.ensure_future(say("b", file))
        running = "SELECT 1 FROM answers WHERE state = 'running'"
        await world.until(lambda: world.rows(running), "the answer is being written")
        assert [await say(f"c{number}", file) for number in range(3)] == [409] * 3
        assert heard(world) == ["done"] * 3
        waiting.cancel()
