"""No text of a model, an API client, a file or a name makes Slack notify people, wherever Bobbin repeats it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from bot.config.chats import StreamMode
from tests.api.conftest import Api, client
from tests.handlers.world import World
from tests.security.text_sources import (
    TEXT_SOURCES,
    hostile_token,
    models_with_hostile_name,
    texts_sent,
    write_from_every_source,
)
from tests.slow import slow_after

PINGS = "<!channel> <!here|x> <!everyone> <!Channel> <!subteam^S0ALL|all> <@U0DAN> <@U0DAN|dan> <#C0LEADS>"
ALIVE = re.compile(r"<\\*(?:!(?!date\^)|@U0DAN|#C0LEADS)", re.IGNORECASE)
"""A date (`<!date^…>`) notifies nobody. Bobbin itself mentions participants (`<@U0ALICE>`); the hostile text mentions a
user who is not a participant."""
NOT_SHOWN = frozenset({"value", "private_metadata", "initial_value", "query"})
"""Fields that come back to Bobbin or prefill an input: Slack does not interpret them as text."""


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_no_text_source_pings_on_any_surface(
    tmp_path: Path, log: io.StringIO, mode: StreamMode
) -> None:
    """Checks everything that was sent to Slack, not single messages."""
    async with World(
        tmp_path, log, models=models_with_hostile_name(PINGS), bobbin_stream=mode
    ) as world:
        token = await hostile_token(world, PINGS)
        async with client(world, token) as http:
            await write_from_every_source(world, Api(http, token), PINGS)
        shown = [
            (method, name, text)
            for method, name, text in texts_sent(world)
            if name not in NOT_SHOWN
        ]
        assert [each for each in shown if ALIVE.search(each[2])] == []
        unheard = [
            mouth
            for mouth in TEXT_SOURCES
            if not any(mouth in text and "channel" in text for _, _, text in shown)
        ]
        assert unheard == []


async def test_the_title_of_a_conversation_from_the_api_pings_no_one(
    world: World, api: Api
) -> None:
    """A title chosen by an API client is shown in lists and in the Home tab."""
    chat = await api.conversation(title=f"program's title {PINGS}")
    await api.say(chat, "first")
    listed = await world.slack.interactions.command("alice", "general", "/chats", "")
    assert "program's title" in str(listed[0].blocks)
    assert [
        each for each in texts_sent(world) if each[1] not in NOT_SHOWN and ALIVE.search(each[2])
    ] == []


def test_the_pattern_recognises_pings() -> None:
    """The pattern of the tests above finds every sequence that Slack obeys."""
    for ping in PINGS.split(" "):
        assert ALIVE.search(f"Hello {ping}") is not None
    assert ALIVE.search("Hello &lt;!channel&gt; and <@U0ALICE>") is None
