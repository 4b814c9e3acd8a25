"""Slack's payloads as values."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.views import payloads

BUTTON = {"action_id": "start_chat", "block_id": "bobbin.choose.R1.openai:a", "value": "R1"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"text": "a &lt; b &amp; <@U0BOB|bob> in <#C1|here>"}, "a < b & @bob in #here"),
        ({"text": "", "attachments": [{"fallback": "An alert"}]}, "An alert"),
        ({"text": "", "attachments": [{}, {"text": "Details"}]}, "Details"),
        ({}, ""),
    ],
)
def test_the_text_of_a_shortcuts_message_is_what_people_read(
    message: dict[str, Any], expected: str
) -> None:
    body = {"message": {"ts": "1.2", **message}, "channel": {"id": "C1"}}

    assert payloads.shortcut_message(body, "U0BOT") == payloads.ShortcutMessage(
        "C1", "1.2", expected
    )


@pytest.mark.parametrize(
    ("text", "subcommand", "argument"),
    [
        ("", "", ""),
        ("help", "help", ""),
        ("  HELP ", "help", ""),
        ("help me", "", ""),
        ("token", "token", ""),
        ("Token   revoke", "token revoke", ""),
        ("token revoke all", "", ""),
        ("new", "new", ""),
        ("NEW  What is it? ", "new", "What is it?"),
        ("newer chats", "", ""),
    ],
)
def test_a_slash_command_has_a_subcommand_or_is_a_search(
    text: str, subcommand: str, argument: str
) -> None:
    command = payloads.slash_command({"text": text, "user_id": "U1", "command": "/talks"})

    assert (command.name, command.user, command.text) == ("/talks", "U1", text.strip())
    assert (command.subcommand, command.argument) == (subcommand, argument)


def test_a_block_action_names_the_message_and_its_thread() -> None:
    body = {
        "user": {"id": "U1"},
        "actions": [
            {"action_id": "model_menu", "block_id": "B", "selected_option": {"value": "k"}}
        ],
        "container": {"channel_id": "C1", "message_ts": "1.2", "thread_ts": "1.1"},
        "response_url": "https://hooks.slack.com/x",
    }

    action = payloads.block_action(body)

    assert (action.user, action.channel, action.message_ts, action.thread) == (
        "U1",
        "C1",
        "1.2",
        "1.1",
    )
    assert (action.block, action.value, action.response_url) == (
        "B",
        "k",
        "https://hooks.slack.com/x",
    )


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, "openai:a"),
        ({"bobbin.choose.R1.openai:a": {}}, "openai:a"),
        ({"bobbin.choose.R1.openai:a": {"model_menu": {"selected_option": None}}}, "openai:a"),
        (
            {"bobbin.choose.R1.openai:a": {"model_menu": {"selected_option": {"value": "x:b"}}}},
            "x:b",
        ),
    ],
)
def test_the_start_button_starts_with_the_model_that_the_menu_shows(
    state: dict[str, Any], expected: str
) -> None:
    assert (
        payloads.model_beside_button({"actions": [BUTTON], "state": {"values": state}}) == expected
    )


def test_a_button_without_a_menu_beside_it_is_an_error() -> None:
    with pytest.raises(ValueError):
        payloads.model_beside_button({"actions": [{**BUTTON, "block_id": "answer.A1.1"}]})


def test_checkboxes_show_whether_one_is_checked() -> None:
    assert payloads.has_selection({"actions": [{"selected_options": [{"value": "always"}]}]})
    assert not payloads.has_selection({"actions": [{"selected_options": []}]})
