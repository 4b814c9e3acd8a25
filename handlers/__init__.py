"""Slack's side: one module for each surface, each with `register`."""

from __future__ import annotations

from slack_bolt.app.async_app import AsyncApp

from handlers import (
    answer_buttons,
    chats_command,
    dialogs,
    home,
    lifecycle,
    mention,
    model_menu,
    shortcuts,
    thread_reply,
)
from handlers.surface import Surface


def register_all(app: AsyncApp, surface: Surface) -> None:
    """Every listener of Bobbin's."""
    for module in (
        mention,
        thread_reply,
        model_menu,
        answer_buttons,
        chats_command,
        home,
        dialogs,
        shortcuts,
        lifecycle,
    ):
        module.register(app, surface)
