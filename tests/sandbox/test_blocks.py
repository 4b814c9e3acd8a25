"""Blocks, views and menu options: at Slack's limits they pass, above them they are refused with a JSON pointer."""

from typing import Any

import pytest

from bot.sandbox.errors import InvalidAnswer, SlackRefusal
from bot.sandbox.text import blocks_text
from bot.sandbox.validation.blocks import check_menu_answer, check_message_blocks, check_view

Block = dict[str, Any]


def plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text}


def section(text: str = "x", **more: Any) -> Block:
    return {"type": "section", "text": mrkdwn(text), **more}


def actions(*elements: Block) -> Block:
    return {"type": "actions", "elements": list(elements)}


def button(label: str = "Go", **more: Any) -> Block:
    return {"type": "button", "text": plain(label), **more}


def option(text: str = "A", value: str = "a") -> Block:
    return {"text": plain(text), "value": value}


def select(*options: Block, **more: Any) -> Block:
    return {"type": "static_select", "action_id": "s", "options": list(options), **more}


def feedback(**more: Any) -> Block:
    both = {"positive_button": {"text": plain("Good"), "value": "good"}}
    both |= {"negative_button": {"text": plain("Bad"), "value": "bad"}}
    return {
        "type": "context_actions",
        "elements": [{"type": "feedback_buttons", "action_id": "f", **both, **more}],
    }


def table(*texts: str) -> Block:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": text} for text in texts]]}


WELL: dict[str, list[Block]] = {
    "nothing": [],
    "fifty blocks": [{"type": "divider"}] * 50,
    "a section of 3,000": [section("x" * 3000)],
    "a header of 150": [{"type": "header", "text": plain("x" * 150)}],
    "twelve thousand of Markdown": [
        {"type": "markdown", "text": "x" * 6000},
        {"type": "markdown", "text": "x" * 6000},
    ],
    "ten context elements": [{"type": "context", "elements": [mrkdwn("x")] * 10}],
    "25 buttons": [actions(*(button(action_id=str(number)) for number in range(25)))],
    "a label of 75": [actions(button("x" * 75, value="v" * 2000, action_id="a" * 255))],
    "a hundred options": [
        actions(select(*(option(str(number), str(number)) for number in range(100))))
    ],
    "an initial option": [actions(select(option(), initial_option=option()))],
    "feedback": [feedback()],
    "a table": [table("a", "b")],
    "the same action id in two blocks": [
        actions(button(action_id="a")),
        actions(button(action_id="a")),
    ],
}

WRONG: dict[str, tuple[list[Block], str]] = {
    "51 blocks": ([{"type": "divider"}] * 51, "/blocks"),
    "an unknown block": ([{"type": "poem"}], "/blocks/0/type"),
    "a section of 3,001": ([section("x" * 3001)], "/blocks/0/text/text"),
    "an empty section": ([section("")], "/blocks/0/text/text"),
    "a section of nothing": ([{"type": "section"}], "/blocks/0"),
    "a property of one's own": ([section(colour="red")], "/blocks/0/colour"),
    "a header of 151": ([{"type": "header", "text": plain("x" * 151)}], "/blocks/0/text/text"),
    "a header in mrkdwn": ([{"type": "header", "text": mrkdwn("x")}], "/blocks/0/text/type"),
    "eleven context elements": (
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
        "/blocks/0/elements",
    ),
    "26 buttons": (
        [actions(*(button(action_id=str(number)) for number in range(26)))],
        "/blocks/0/elements",
    ),
    "a label of 76": ([actions(button("x" * 76))], "/blocks/0/elements/0/text/text"),
    "a value of 2,001": ([actions(button(value="x" * 2001))], "/blocks/0/elements/0/value"),
    "a purple button": ([actions(button(style="purple"))], "/blocks/0/elements/0/style"),
    "an input in actions": ([actions({"type": "plain_text_input"})], "/blocks/0/elements/0/type"),
    "101 options": ([actions(select(*([option()] * 101)))], "/blocks/0/elements/0/options"),
    "no options": ([actions(select())], "/blocks/0/elements/0/options"),
    "an option of 76": (
        [actions(select(option("x" * 76)))],
        "/blocks/0/elements/0/options/0/text/text",
    ),
    "an option value of 76": (
        [actions(select(option("x", "v" * 76)))],
        "/blocks/0/elements/0/options/0/value",
    ),
    "an initial option not offered": (
        [actions(select(option(), initial_option=option("B", "b")))],
        "/blocks/0/elements/0/initial_option",
    ),
    "feedback buttons among actions": (
        [actions(feedback()["elements"][0])],
        "/blocks/0/elements/0/type",
    ),
    "feedback without a value": (
        [feedback(positive_button={"text": plain("Good")})],
        "/blocks/0/elements/0/positive_button/value",
    ),
    "two blocks of one id": ([section(block_id="a"), section(block_id="a")], "/blocks/1/block_id"),
    "two elements of one id": (
        [actions(button(action_id="a"), button(action_id="a"))],
        "/blocks/0/elements/1/action_id",
    ),
    "an empty cell": ([table("")], "/blocks/0/rows/0/0/text"),
    "21 columns": ([table(*"x" * 21)], "/blocks/0/rows/0"),
    "an image of two sources": (
        [
            {
                "type": "image",
                "image_url": "https://a.example",
                "slack_file": {"id": "F1"},
                "alt_text": "x",
            }
        ],
        "/blocks/0",
    ),
}


@pytest.mark.parametrize("blocks", WELL.values(), ids=WELL.keys())
def test_valid_blocks_are_accepted(blocks: list[Block]) -> None:
    check_message_blocks(blocks)


@pytest.mark.parametrize(("blocks", "pointer"), WRONG.values(), ids=WRONG.keys())
def test_invalid_blocks_are_refused_with_a_json_pointer(blocks: list[Block], pointer: str) -> None:
    with pytest.raises(SlackRefusal) as refused:
        check_message_blocks(blocks)
    assert refused.value.error == "invalid_blocks"
    messages = refused.value.extra["response_metadata"]["messages"]
    assert any(f"[json-pointer:{pointer}]" in message for message in messages), messages


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "markdown", "text": "x" * 6000}, {"type": "markdown", "text": "x" * 6001}],
        [{"type": "markdown", "text": "x" * 12000}, section("x" * 1201)],
        [section("x" * 2700)] * 5,
    ],
)
def test_too_much_text_in_one_message_is_refused(blocks: list[Block]) -> None:
    with pytest.raises(SlackRefusal, match="msg_blocks_too_long"):
        check_message_blocks(blocks)


def test_a_second_table_in_a_message_is_refused() -> None:
    with pytest.raises(SlackRefusal, match="invalid_attachments"):
        check_message_blocks([table("a"), table("b")])


def modal(**more: Any) -> Block:
    return {"type": "modal", "title": plain("T"), "blocks": [section()], **more}


@pytest.mark.parametrize(
    ("view", "error"),
    [
        (modal(title=plain("x" * 25)), "invalid_arguments"),
        (modal(private_metadata="x" * 3001), "invalid_arguments"),
        (modal(blocks=[{"type": "divider"}] * 101), "invalid_arguments"),
        (modal(blocks=[{"type": "markdown", "text": "x"}]), "invalid_arguments"),
        (modal(blocks=[feedback()]), "invalid_arguments"),
        (
            modal(blocks=[{"type": "input", "label": plain("L"), "element": select(option())}]),
            "invalid_arguments",
        ),
        (modal(blocks=[section("x" * 2990)] * 90), "view_too_large"),
        ({"type": "home", "blocks": []}, "invalid_arguments"),
    ],
)
def test_invalid_modals_are_refused(view: Block, error: str) -> None:
    with pytest.raises(SlackRefusal, match=error):
        check_view(view, "modal")


def test_valid_views_are_accepted() -> None:
    check_view(modal(blocks=[{"type": "divider"}] * 100), "modal")
    check_view(
        {"type": "home", "blocks": [section(), actions(button())], "private_metadata": "x" * 3000},
        "home",
    )


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"options": [option()] * 101},
        {"options": [option("x" * 76)]},
        {"options": [option()], "option_groups": []},
        {"option_groups": [{"label": plain("x" * 76), "options": [option()]}]},
        {"option_groups": [{"label": plain("x"), "options": []}]},
        {"option_groups": [{"label": plain("x"), "options": [option()] * 101}]},
        {"option_groups": [{"label": plain("x"), "options": [option()]}] * 101},
    ],
)
def test_invalid_menu_options_are_refused(answer: Any) -> None:
    with pytest.raises(InvalidAnswer):
        check_menu_answer(answer)


@pytest.mark.parametrize(
    "answer", [{"options": []}, {"option_groups": [{"label": plain("x"), "options": [option()]}]}]
)
def test_valid_menu_options_are_accepted(answer: Any) -> None:
    check_menu_answer(answer)


def test_blocks_text_is_what_a_person_reads() -> None:
    blocks = [
        section("hello"),
        actions(button()),
        {"type": "markdown", "text": "**bold**"},
        table("a", "b"),
        feedback(),
    ]
    assert blocks_text(blocks) == "hello\n**bold**\na | b"
