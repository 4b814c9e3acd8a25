"""The dialog "New chat": the buttons that open it, its menu, and what is submitted."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import Thread
from bot.errors import ChatNotFound, LimitReached, ModelNotAllowed, StorageError
from bot.observability import get_logger
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext, team_of
from handlers.views import blocks, modals, payloads
from handlers.views.modals import DialogTarget
from handlers.views.payloads import DialogSubmission

log = get_logger(__name__)


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(blocks.NEW_CHAT_ACTION)
    async def on_new_chat(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        press = payloads.block_action(body)
        await ack()
        wanted = DialogTarget(press.channel, response_url=press.response_url or "")
        ctx.dialog_chats.offer(slack, press.user, body["trigger_id"], wanted, like=press.value)

    @app.options(modals.DIALOG_MODEL_ACTION)
    async def on_options(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack(option_groups=ctx.model_options(body))

    @app.view(blocks.NEW_CHAT_ACTION)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.workspaces.client_for(team_of(body, context))
        errors = await _submit(ctx, slack, payloads.dialog_submission(body))
        if errors:
            await ack(response_action="errors", errors=errors)
        else:
            await ack()


async def _submit(
    ctx: ListenerContext, slack: SlackClient, given: DialogSubmission
) -> dict[str, str]:
    """Stores what was asked, or tells by block id what is wrong with it."""
    if problems := _problems(given):
        return problems
    wanted = given.target
    try:
        request, new = await ctx.service.ask_in_dialog(
            Thread(slack.team, wanted.channel, wanted.thread),
            given.dialog,
            given.user,
            given.text,
            given.model,
            user_team=_elsewhere(given.user_team, slack.team),
            files=wanted.shared_files,
        )
    except (ModelNotAllowed, ChatNotFound):
        return {modals.MODEL_BLOCK: strings.MODEL_NOT_OFFERED}
    except LimitReached:
        return {modals.TEXT_BLOCK: strings.LIMIT_REACHED}
    except StorageError as error:
        log.warning("not_stored", kind="view_submission", reason=str(error))
        return {modals.TEXT_BLOCK: strings.SAVE_FAILED}
    if new:
        ctx.dialog_chats.begin(request, wanted.response_url)
    return {}


def _elsewhere(user_team: str | None, team: str) -> str | None:
    """The person's own workspace, if it is another one; organisations are none."""
    return user_team if user_team and user_team.startswith("T") and user_team != team else None


def _problems(given: DialogSubmission) -> dict[str, str]:
    problems = {}
    if not given.text:
        problems[modals.TEXT_BLOCK] = strings.DIALOG_NO_TEXT
    elif len(given.text) > modals.MAX_TEXT_LENGTH:
        problems[modals.TEXT_BLOCK] = strings.DIALOG_TOO_LONG.format(
            most=modals.MAX_TEXT_LENGTH, count=len(given.text)
        )
    if given.has_menu and given.model is None:
        problems[modals.MODEL_BLOCK] = strings.DIALOG_NO_MODEL
    return problems
