"""`/chats here`: the dialog with a channel's settings, which admins may change."""

from __future__ import annotations

from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import strings
from bot.domain import User
from bot.errors import ModelNotAllowed, StorageError
from bot.observability import get_logger
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext
from handlers.threads.open_view import open_view
from handlers.threads.private_notices import notify_once
from handlers.views import blocks, channel_settings
from handlers.views.blocks import is_direct
from handlers.views.channel_settings import SettingsSubmission
from handlers.views.modals import DialogTarget
from handlers.views.payloads import Reader, SlashCommand

log = get_logger(__name__)

MAX_GROUPS = 100
"""Groups that Slack shows in a menu."""


def register(app: AsyncApp, ctx: ListenerContext) -> None:
    @app.options(channel_settings.CHANNEL_MODEL_ACTION)
    async def on_options(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        query = body.get("value") or ""
        groups = ctx.model_choices(body, context)
        none = {
            "label": blocks.plain_text(strings.CHANNEL_MODEL, 75),
            "options": [channel_settings.no_default_option()],
        }
        await ack(option_groups=groups if query else [none, *groups][:MAX_GROUPS])

    @app.options(channel_settings.USED_TOOLS_ACTION)
    async def on_used_tools(ack: AsyncAck, body: dict[str, Any]) -> None:
        words = body.get("value") or ""
        tools = ctx.channels.tools(words)
        await ack(option_groups=channel_settings.tool_groups(tools, none=not words))

    @app.options(channel_settings.ASKED_TOOLS_ACTION)
    async def on_asked_tools(ack: AsyncAck, body: dict[str, Any]) -> None:
        tools = ctx.channels.tools(body.get("value") or "")
        await ack(option_groups=channel_settings.tool_groups(tools, none=False))

    @app.view(channel_settings.CHANNEL_SETTINGS_ACTION)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], context: dict[str, Any]) -> None:
        slack = await ctx.slack_of(body, context)
        submission = channel_settings.settings_submission(body)
        errors = await _save(ctx, slack, submission)
        if errors:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        ctx.tasks.start(_notify_saved(slack, submission, body["view"]["id"]), name="notice")


async def _notify_saved(slack: SlackClient, submission: SettingsSubmission, dialog: str) -> None:
    """Tells the person once across all replicas. `dialog`: the view's id."""
    target = submission.target
    reader = Reader(submission.user, target.channel, response_url=target.response_url)
    text = strings.CHANNEL_SAVED.format(channel=target.channel)
    await notify_once(slack, ("channel_settings", dialog), reader, text)


async def open_settings(ctx: ListenerContext, slack: SlackClient, command: SlashCommand) -> str:
    """Opens the dialog for the channel in which the command was used; or returns why it can't."""
    if is_direct(command.channel) or not command.channel:
        return strings.CHANNEL_ONLY
    user = User(slack.team, command.user)
    if not await ctx.access_control.is_admin(user):
        return not_admin(ctx)
    settings = await ctx.channels.get(slack.team, command.channel)
    default = settings.default_model
    view = channel_settings.settings_dialog(
        DialogTarget(command.channel, response_url=command.response_url),
        settings,
        ctx.models.info(default) if default else None,
        has_tools=ctx.channels.has_tools,
    )
    reader = Reader(command.user, command.channel, response_url=command.response_url)
    ctx.tasks.start(open_view(slack, command.trigger, view, reader), name="dialog")
    return ""


def not_admin(ctx: ListenerContext) -> str:
    """The text that says who may change what affects other people."""
    named = [
        admin.rpartition("/")[2] for admin in ctx.access_control.rules.admins if "*" not in admin
    ]
    more = strings.ADMINS_TOO.format(names=", ".join(f"<@{id}>" for id in named)) if named else ""
    return strings.ADMINS_ONLY.format(more=more)


async def _save(
    ctx: ListenerContext, slack: SlackClient, submission: SettingsSubmission
) -> dict[str, str]:
    """Stores the settings; returns what prevents that, by block id."""
    user = User(slack.team, submission.user)
    if not await ctx.access_control.is_admin(user):
        return {channel_settings.INSTRUCTIONS_BLOCK: not_admin(ctx)}
    try:
        await ctx.channels.change(
            user,
            submission.target.channel,
            instructions=submission.instructions,
            key=submission.model,
            skip_menu=submission.skip_menu,
            tools=submission.tools,
        )
    except ModelNotAllowed:
        return {channel_settings.CHANNEL_MODEL_BLOCK: strings.MODEL_NOT_OFFERED}
    except StorageError as error:
        log.warning("not_stored", kind="view_submission", reason=str(error))
        return {channel_settings.INSTRUCTIONS_BLOCK: strings.SAVE_FAILED}
    return {}
