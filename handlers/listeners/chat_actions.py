"""What several message elements do with the chat that they belong to."""

from __future__ import annotations

from bot import strings
from bot.domain import Chat
from bot.errors import ChatNotFound
from bot.usage.limits import BudgetReached
from bot.usage.sentences import budget_reached
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext
from handlers.views.payloads import BlockAction


async def chat_of_action(
    ctx: ListenerContext, slack: SlackClient, action: BlockAction, chat_id: str
) -> Chat | None:
    """The chat of a pressed element, if it is in the element's channel; otherwise the person is told."""
    try:
        chat = await ctx.chats.get(chat_id)
    except ChatNotFound:
        chat = None
    if (
        chat is not None
        and chat.team == slack.team
        and chat.thread is not None
        and chat.thread.channel == action.channel
    ):
        return chat
    ctx.notify(slack, action, strings.REQUEST_UNKNOWN)
    return None


async def continue_in_new_chat(
    ctx: ListenerContext, slack: SlackClient, action: BlockAction, old: Chat
) -> None:
    """Opens the chat that continues this one, or says where it is."""
    try:
        continuation = await ctx.continue_service.create(old, action.user, in_slack=True)
    except BudgetReached as reached:
        ctx.notify(slack, action, budget_reached(reached))
        return
    if link := await ctx.headers.link(continuation.chat):
        ctx.notify(slack, action, strings.CONTINUED_HERE.format(link=link))
        return
    ctx.notify(slack, action, strings.CONTINUING)
    ctx.successors.open(continuation)
