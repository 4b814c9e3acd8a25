"""Which tools may be used in a channel: the stricter of its admins' choice (`/chats here`) and the operator's rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.domain.tool_calls import ChannelTools, Permission, Tool, pattern_of
from bot.sandbox.state.records import View
from handlers.views.channel_settings import tool_groups
from tests.access.test_channel_settings import ADMINS, open_dialog
from tests.api.conftest import Api, client, token_for
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World, options_of
from tests.tools.talk import asking, calling, offered, results, script, tooled


def chosen(*patterns: str) -> dict[str, Any]:
    options = [{"text": {"type": "plain_text", "text": p}, "value": p} for p in patterns]
    return {"type": "multi_external_select", "selected_options": options}


async def save(world: World, use: tuple[str, ...] = (), ask: tuple[str, ...] = ()) -> View:
    """Sets the tools of #general; returns the dialog as it was before."""
    view = await open_dialog(world)
    values = {
        "bobbin.channel_tools": {"channel_tools": chosen(*use)},
        "bobbin.channel_asked_tools": {"channel_asked_tools": chosen(*ask)},
    }
    assert await world.slack.views.submit("alice", values) == {}  # acknowledged once it is stored
    return view


async def test_admins_say_which_tools_may_be_used(worlds: WorldFactory, tmp_path: Path) -> None:
    """Immediately, for offers, calls and earlier approvals; never more than the operator allows."""
    rules = {"deny": ["big"]}
    async with tooled(worlds, tmp_path, rules, **ADMINS) as (world, server):
        await world.until(
            lambda: any(line["event"] == "tool_server_open" for line in world.lines()), "connected"
        )
        view = await open_dialog(world)
        menu = options_of(await world.slack.interactions.menu("alice", view, "channel_tools"))
        values = [option["value"] for option in menu]
        assert values[:3] == ["-", "web/*", "web/add"]
        assert "web/big" not in values
        found = await world.slack.interactions.menu("alice", view, "channel_tools", "WEB loo")
        assert [option["value"] for option in options_of(found)] == ["web/*", "web/look"]
        await world.slack.views.close("alice")

        script(world, calling(("add", {"text": "x"})), "It is not allowed.")
        thread = await world.start("Add x.")
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        await save(world, use=("web/look", "web/ping", "web/big"), ask=("web/ping",))
        await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.answered(thread)
        assert server.effects == []
        assert "admins of this channel" in results(world)[-1]
        assert offered(world) == {"web__look", "web__ping"}

        script(world, calling(("put", {"text": "y"}), ("look", {}), ("ping", {})), "So it is.")
        await world.slack.conversations.say("alice", "general", "And now?", thread)
        (message,) = await world.until(lambda: asking(world, thread), "it is asked about")
        assert "web/ping" in str(message.blocks)
        await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.answered(thread, 2)
        assert server.effects == ["look "]

        shown = await save(world, use=("-", "web/look"))
        initial = [block.get("element", {}).get("initial_options", ()) for block in shown.blocks]
        assert [[o["value"] for o in options] for options in initial if options] == [
            ["web/look", "web/ping", "web/big"], ["web/ping"],
        ]  # fmt: skip
        script(world, "There are none.")
        await world.slack.conversations.say("alice", "general", "None?", thread)
        await world.answered(thread, 3)
        assert offered(world) == set()
        elsewhere = await world.start("Elsewhere?", channel="random")
        await world.answered(elsewhere, channel="random")
        assert "web__add" in offered(world)

        (row,) = world.rows(
            "SELECT max(question_id) AS id FROM answers JOIN chats ON chats.id = chat_id WHERE thread = ?",
            thread,
        )
        async with client(world, await token_for(world)) as http:
            body = {"from": row["id"], "model": "demo/storyteller"}
            await Api(http, "").ask("POST", "/chat/conversations", 201, json=body)
        await world.until(
            lambda: world.models.requests()[-1].model == "demo/storyteller", "another is asked"
        )
        assert offered(world) == set()
        await world.idle()
        audits = [a for a in world.lines() if a.get("action") == "channel_settings_changed"]
        assert [audit.get("tools") for audit in audits] == ["web/look web/ping web/big", "-"]


def test_long_lists_are_cut_as_slack_wants_them() -> None:
    """By server, and by tool within each; tools that are not listed are found by typing."""
    tools = [
        Tool(f"{n}", f"server{n // 300:03}", f"tool{n}{'x' * (n % 90)}", "", {})
        for n in range(45_000)
    ]
    groups = tool_groups(tools, none=True)
    options = [option for group in groups for option in group["options"]]
    assert len(groups) == 100
    assert max(len(group["options"]) for group in groups) == 100
    assert max(len(option["value"]) for option in options) <= 75
    long = next(option["value"] for option in options if option["value"].endswith("x*"))
    (tool,) = [tool for tool in tools if pattern_of(tool.path) == long]
    assert ChannelTools(use=(long,)).permission(tool) is Permission.ASKS
    assert ChannelTools(use=(long,)).permission(tools[0]) is Permission.DENIED
