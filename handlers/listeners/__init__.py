"""Slack's events and interactions: one module per surface, each with a function `register`."""

from __future__ import annotations

from slack_bolt.app.async_app import AsyncApp

from handlers.listeners import (
    answer_buttons,
    approvals,
    ask_another,
    channel_settings,
    chats_command,
    continue_button,
    dialogs,
    header_menu,
    home,
    mention,
    model_menu,
    shortcuts,
    thread_reply,
    workspace_events,
)
from handlers.listeners.context import ListenerContext


def register_all(app: AsyncApp, ctx: ListenerContext) -> None:
    """Registers all listeners with the Bolt application."""
    for module in (
        mention,
        thread_reply,
        model_menu,
        answer_buttons,
        approvals,
        ask_another,
        continue_button,
        header_menu,
        chats_command,
        channel_settings,
        home,
        dialogs,
        shortcuts,
        workspace_events,
    ):
        module.register(app, ctx)
