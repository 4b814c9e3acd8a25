"""`/chats` under whatever name it was installed: the caller's own chats, privately."""

from __future__ import annotations

import re
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import words
from bot.domain import Person
from handlers import blocks, payloads
from handlers.lists import chat_list, read_page
from handlers.surface import Surface, team_of


def register(app: AsyncApp, surface: Surface) -> None:
    @app.command(re.compile(r"^/"))
    async def on_chats(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await surface.workspaces(team_of(body, context))
        said = (body.get("text") or "").strip()
        if said.lower() == "help":
            text = words.CHATS_HELP.format(command=body.get("command", "/chats"))
            await ack(response_type="ephemeral", text=text)
            return
        if said.lower() in ("token", "token revoke"):
            text = await _token(surface, surface.person(slack, body["user_id"]), said, body.get("command", "/chats"))
            await ack(response_type="ephemeral", text=text)
            return
        content = await chat_list(surface.service, slack, body["user_id"], search=said)
        await ack(response_type="ephemeral", text=words.CHATS_FALLBACK, blocks=content)

    @app.action(re.compile(rf"^{re.escape(blocks.PAGE)}\."))
    async def on_page(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await surface.workspaces(team_of(body, context))
        press = payloads.press(body)
        await ack()
        search, trail = read_page(press.value)
        content = await chat_list(surface.service, slack, press.user, search=search, trail=trail)
        shown = slack.respond(press.response_url, replace_original=True, text=words.CHATS_FALLBACK, blocks=content)
        surface.tasks.start(shown, name="page")


async def _token(surface: Surface, person: Person, said: str, command: str) -> str:
    """Gives the person a token for programs, or ends those given before."""
    if said.lower() == "token revoke":
        return words.API_REVOKED if await surface.tokens.revoke(person) else words.API_NONE
    return words.API_ISSUED.format(token=await surface.tokens.issue(person), command=command)
