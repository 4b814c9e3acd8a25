"""People read texts in the language chosen in Slack; a thread is in the language of the person who started its chat."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

from bot import strings
from bot.languages.language import Language, using_language
from bot.languages.texts import Plural, translated
from bot.sandbox.state.records import Message
from scripts.texts import texts
from tests.handlers.test_dialogs import wait_for_dialog
from tests.handlers.test_home import home
from tests.handlers.world import World, elements

GERMAN = "erika"
TOO_SHORT = 5
"""Characters of a text that may stand in another one by chance."""


async def get_to_know(world: World, *people: str) -> None:
    """Until their locales are known, which are asked for beside what they do first."""
    for person in people:
        await world.slack.interactions.command(person, "general", "/chats", "help")
    await world.until(
        lambda: len(world.rows("SELECT 1 FROM people WHERE locale IS NOT NULL")) == len(people),
        "the locales",
    )
    await world.idle()


def texts_in(shown: Any) -> Iterator[str]:
    """All that a person reads in blocks and attachments of arguments."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            if isinstance(value, str) and key in ("text", "accessibility_label"):
                yield value
            else:
                yield from texts_in(value)
    elif isinstance(shown, list | tuple):
        for each in shown:
            yield from texts_in(each)


def read_in(messages: list[Message]) -> str:
    """What all revisions of these messages say."""
    said = [text for message in messages for text in texts_in(list(message.blocks))]
    return "\n".join(said + [message.text for message in messages])


@cache
def in_language(language: Language, other_than: Language) -> list[re.Pattern[str]]:
    """What is recognised as a text in this language and not in another: all that are no mere names and numbers."""
    return list(_patterns(language, other_than))


def _patterns(language: Language, other_than: Language) -> Iterator[re.Pattern[str]]:
    for _, text in texts():
        source = text.many if isinstance(text, Plural) else text
        with using_language(language):
            said = translated(source)
        with using_language(other_than):
            other = translated(source)
        words = re.sub(r"\{[^}]*\}", "", said).strip()
        if said != other and len(words) > TOO_SHORT:
            parts = [re.escape(part) for part in re.split(r"\{[^}]*\}", said)]
            yield re.compile(r"(?<!\w)" + ".+?".join(parts) + r"(?!\w)")


def found(language: Language, text: str) -> list[str]:
    other = Language.GERMAN if language is Language.ENGLISH else Language.ENGLISH
    return [each.pattern for each in in_language(language, other) if each.search(text)]


async def test_a_thread_is_in_the_language_of_its_starter(world: World) -> None:
    await get_to_know(world, "alice", GERMAN)
    begun = {}
    for owner, other in ((GERMAN, "alice"), ("alice", GERMAN)):
        world.say("Ebbe und Flut. " * 200, "Flut", rate=20)
        thread = await world.ask("Gezeiten?", owner)
        await world.slack.interactions.choose(
            other, world.menus(thread)[-1], "model_menu", "openai:demo/quick"
        )
        await world.choose(thread, owner)
        await world.until(partial(world.stop_buttons, thread), "Stop")
        # Before the model is asked, Stop would leave the long text to the next answer.
        await world.until(partial(world.answers, thread), "the first words")
        await world.slack.conversations.say(other, "general", "Und nun?", thread)
        button = world.stop_buttons(thread)[0]
        await world.slack.interactions.press(other, button, "stop_answer")
        await world.answered(thread, 2)
        await world.idle()
        begun[owner] = read_in(world.replies(thread))

    assert found(Language.ENGLISH, begun[GERMAN]) == []
    assert found(Language.GERMAN, begun["alice"]) == []
    with using_language(Language.GERMAN):
        assert strings.STOPPED_BY.format(user="U0ALICE") in begun[GERMAN]
        assert strings.RETRY_BUTTON in begun[GERMAN]
        told = strings.ONLY_ASKER_CHOOSES.format(user="U0ALICE")
    assert world.whispers(GERMAN)[1:] == [told]
    told = strings.ONLY_ASKER_CHOOSES.format(user=world.slack.workspace.user(GERMAN).id)
    assert world.whispers("alice")[1:] == [told]


async def test_a_failure_told_by_another_process_and_its_retry_keep_the_language(
    world: World,
) -> None:
    await get_to_know(world, GERMAN)
    await world.restart()
    world.fail("http", status=401)
    thread = await world.start("Frage", GERMAN)
    await world.answered(thread)
    await world.idle()
    await world.restart()
    world.say("Antwort.")
    (failed,) = world.answers(thread)
    (retry,) = elements(failed, "retry_answer")
    assert retry["text"]["text"] == "Erneut versuchen"
    await world.slack.interactions.press(GERMAN, failed, "retry_answer")
    await world.until(lambda: "Antwort." in read_in(world.answers(thread)), "the answer")
    await world.idle()
    assert found(Language.ENGLISH, read_in(world.replies(thread))) == []


async def test_dialogs_lists_and_the_home_tab_speak_the_readers_language(world: World) -> None:
    await get_to_know(world, GERMAN, "alice")
    thread = await world.start("What is tide?", "alice")
    await world.slack.conversations.say(GERMAN, "general", "Ich auch.", thread)
    await world.answered(thread, 2)
    await world.idle()

    await world.slack.interactions.command(GERMAN, "general", "/chats", "")
    await world.slack.interactions.command(GERMAN, "general", "/chats", "usage")
    await world.slack.interactions.command(GERMAN, "general", "/chats", "here")
    await world.slack.interactions.command(GERMAN, "general", "/chats", "new")
    dialog = await wait_for_dialog(world, GERMAN)
    view = await home(world, GERMAN)
    await world.idle()
    private = [
        *texts_in(
            [each.blocks for each in world.slack.workspace.ephemerals(GERMAN, "general")[1:]]
        ),
        *world.whispers(GERMAN)[1:],
        *texts_in(dialog.definition),
        *texts_in(view.definition),
    ]
    assert found(Language.ENGLISH, "\n".join(private)) == []
    assert {"Neuer Chat", "Deine Chats", "Chats finden"} <= set(private)


async def test_another_language_is_spoken_as_soon_as_it_is_chosen(world: World) -> None:
    await get_to_know(world, "alice")
    world.slack.workspace.set_locale("alice", "ja-JP")
    await world.until(
        lambda: world.rows("SELECT 1 FROM people WHERE locale = 'ja-JP'"), "the locale"
    )
    thread = await world.start("潮の満ち引き？")
    await world.answered(thread)
    await world.idle()
    assert "started by" not in read_in(world.replies(thread))
    assert "さんが開始" in read_in(world.headers(thread))


async def test_nothing_waits_for_a_locale_that_slack_does_not_tell(world: World) -> None:
    """Until it is known, English."""
    world.slack.faults.add("users.info", times=1, mode="hang", seconds=2.0)
    thread = await world.start("Frage", GERMAN)
    await world.answered(thread)
    await world.idle()
    assert found(Language.GERMAN, read_in(world.replies(thread))) == []


async def test_the_words_of_every_language_stop_an_answer(world: World) -> None:
    world.say(*["So many words. " * 400] * 7, rate=40)
    thread = await world.start("Frage", GERMAN)
    ways = ("Stopp!", "arrête.", "¡Alto!", "ストップ。", "Ｓｔｏｐ", "STOP")
    for count, word in enumerate(ways, 1):
        await world.until(lambda: world.rows("SELECT 1 FROM answers WHERE state = 'running'"), word)
        await world.slack.conversations.say("alice", "general", word, thread)
        await world.answered(thread, count)
        await world.slack.conversations.say("alice", "general", "Go on.", thread)
    assert [row["status"] for row in world.ended(thread)] == ["stopped"] * len(ways)
    assert not {row["text"] for row in world.messages(thread)} & set(ways)
    await world.until(lambda: world.rows("SELECT 1 FROM answers WHERE state = 'running'"), "next")
    await world.slack.conversations.say("alice", "general", "stop", thread)
    await world.answered(thread, len(ways) + 1)


async def test_a_chat_without_a_title_is_called_so_in_the_readers_language(world: World) -> None:
    await get_to_know(world, GERMAN)
    world.entitle(None)
    thread = await world.start("Gezeiten?", GERMAN)
    await world.answered(thread)
    await world.idle()
    header = world.header(thread)
    assert read_in([header]).count("Neue Unterhaltung") >= 2  # in the message and for notifications
    await world.slack.interactions.choose(
        GERMAN, header, "chat_menu", f"rename:{world.chats()[0]['id']}"
    )
    dialog = await wait_for_dialog(world, GERMAN)
    (field,) = [block["element"] for block in dialog.definition["blocks"]]
    assert field["initial_value"] == "Neue Unterhaltung"
    unchanged = {"bobbin.title": {"title": field["initial_value"]}}
    assert await world.slack.views.submit(GERMAN, unchanged, dialog) == {}
    await world.idle()
    (chat,) = world.chats()
    assert (chat["title"], chat["title_by"]) == ("New conversation", "default")
