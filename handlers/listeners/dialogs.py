"""The dialog "New chat": the buttons that open it, its menu of models, and its submission."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import Thread
from bot.errors import ChatNotFound, LimitReached, ModelNotAllowed, StorageError
from bot.observability import get_logger
from bot.usage.limits import BudgetReached
from bot.usage.sentences import budget_reached
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext
from handlers.views import blocks, chat_full, modals, payloads
from handlers.views.modals import DialogTarget
from handlers.views.payloads import DialogSubmission

log = get_logger(__name__)


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.action(blocks.NEW_CHAT_ACTION)
    async def on_new_chat(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        action = payloads.block_action(body)
        await ack()
        wanted = chat_full.parse_new_chat(action.value)
        target = DialogTarget(action.channel, response_url=action.response_url or "")
        ctx.dialog_chats.open_dialog(
            slack,
            user=action.user,
            trigger=body["trigger_id"],
            target=target,
            text=wanted.text,
            like=wanted.like,
            refused=wanted.ts,
        )

    @app.options(modals.DIALOG_MODEL_ACTION)
    async def on_options(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        await ack(option_groups=ctx.model_choices(body, context))

    @app.view(blocks.NEW_CHAT_ACTION)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        submission = payloads.dialog_submission(body)
        errors = _problems(submission) or await _submit(ctx, slack, submission)
        if errors:
            await ack(response_action="errors", errors=errors)
        else:
            await ack()


def _problems(submission: DialogSubmission) -> dict[str, str]:
    """What is missing or too long, by block id."""
    problems = {}
    if not submission.text:
        problems[modals.TEXT_BLOCK] = strings.DIALOG_NO_TEXT
    elif len(submission.text) > modals.MAX_TEXT_LENGTH:
        problems[modals.TEXT_BLOCK] = strings.DIALOG_TOO_LONG.format(
            most=modals.MAX_TEXT_LENGTH, count=len(submission.text)
        )
    if submission.has_menu and submission.model is None:
        problems[modals.MODEL_BLOCK] = strings.DIALOG_NO_MODEL
    return problems


async def _submit(
    ctx: ListenerContext, slack: SlackClient, submission: DialogSubmission
) -> dict[str, str]:
    """Stores the submission; returns what prevents that, by block id."""
    target = submission.target
    try:
        request, is_new = await ctx.requests.submit_dialog(
            thread=Thread(slack.team, target.channel, target.thread),
            dialog=submission.dialog,
            user=submission.user,
            text=modals.with_quote(submission.text, submission.about),
            key=submission.model,
            user_team=_other_workspace(submission.user_team, slack.team),
            files=target.shared_files,
            options=submission.options,
        )
    except (ModelNotAllowed, ChatNotFound):
        return {modals.MODEL_BLOCK: strings.MODEL_NOT_OFFERED}
    except LimitReached:
        return {modals.TEXT_BLOCK: strings.CHAT_FULL.format(count=ctx.service.limit)}
    except BudgetReached as reached:
        return {modals.TEXT_BLOCK: budget_reached(reached)}
    except StorageError as error:
        log.warning("not_stored", kind="view_submission", reason=str(error))
        return {modals.TEXT_BLOCK: strings.SAVE_FAILED}
    if is_new:
        ctx.dialog_chats.start_chat(request, target.response_url)
    return {}


def _other_workspace(user_team: str | None, team: str) -> str | None:
    """The user's own workspace, if it is a different one. Organisations (E…) are not workspaces."""
    return user_team if user_team and user_team.startswith("T") and user_team != team else None
