"""Modals, Home, the agent pane, commands, and the elements of Block Kit."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from bot.sandbox import Sandbox
from tests.browser.sample_app import ChattyApp, button, plain, section
from tests.browser.steps import composer, open_thread, open_workspace, thread_messages

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_message_shortcut_opens_a_modal_with_validation(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """The errors of the page and of the app are shown at their fields."""
    await slack.conversations.say("bob", "general", "what do you think?")
    await open_workspace(page, slack)
    message = page.get_by_role("article").filter(has_text="what do you think?")
    await message.hover()
    await message.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Ask about this").click()
    dialog = page.get_by_role("dialog", name="New chat")
    start = dialog.get_by_role("button", name="Start")
    await start.click()
    await expect(dialog.get_by_role("alert")).to_have_text(
        ["Please complete this required field."] * 2
    )
    model = dialog.get_by_role("combobox", name="Model")
    await expect(model).to_be_focused()
    await model.press("ArrowDown")
    await expect(page.get_by_role("option", name="Swift")).to_be_visible()
    await model.press_sequentially("model-39")
    await expect(page.get_by_role("option")).to_have_text(["vendor/model-39"])
    await model.press("Enter")
    first = dialog.get_by_role("textbox", name="First message")
    await first.fill("hi")
    await start.click()
    await expect(dialog.get_by_role("alert")).to_have_text(["Write a little more."])
    await expect(first).to_be_focused()
    await first.fill("Say more,\nplease")
    await start.click()
    await expect(dialog).to_have_count(0)
    values = app.payloads("view_submission")[-1]["view"]["state"]["values"]
    assert values["model"]["model"]["selected_option"]["value"] == "vendor/model-39"
    assert values["first"]["text"] == {"type": "plain_text_input", "value": "Say more,\nplease"}
    assert app.payloads("message_action")[0]["message"]["text"] == "what do you think?"


@pytest.mark.slow
async def test_a_global_shortcut_opens_a_modal_that_escape_closes(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    await open_workspace(page, slack)
    await page.get_by_role("button", name="Attach or run a shortcut").click()
    await page.get_by_role("menuitem", name="New chat").click()
    dialog = page.get_by_role("dialog", name="New chat")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    assert slack.views.modal("alice") is None


@pytest.mark.slow
async def test_stacked_modals_keep_their_input(slack: Sandbox, app: ChattyApp, page: Page) -> None:
    await open_workspace(page, slack)
    await page.get_by_role("button", name="Attach or run a shortcut").click()
    await page.get_by_role("menuitem", name="New chat").click()
    text = page.get_by_role("dialog", name="New chat").get_by_role("textbox", name="First message")
    await text.fill("half a thought")
    trigger = slack.triggers.issue(slack.workspace.user("alice").id)
    upper = {
        "type": "modal",
        "title": plain("Upper"),
        "close": plain("Back"),
        "blocks": [section("Are you there?")],
    }
    await app.call("views.push", trigger_id=trigger, view=upper)
    await page.get_by_role("dialog", name="Upper").get_by_role("button", name="Back").click()
    await expect(page.get_by_role("dialog", name="Upper")).to_have_count(0)
    await expect(text).to_have_value("half a thought")


@pytest.mark.slow
async def test_the_home_tab_and_the_agent_pane_work(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """The app's pane offers prompts, a prompt starts a thread, and its Home shows what it published."""
    await open_workspace(page, slack)
    await page.get_by_role("navigation").get_by_role("button", name="Bobbin").click()
    await expect(page.get_by_role("tab", name="Messages")).to_have_attribute(
        "aria-selected", "true"
    )
    await page.get_by_role("button", name="Explain something").click()
    await expect(page.get_by_role("complementary", name="Thread")).to_be_visible()
    await expect(thread_messages(page)).to_contain_text(["Explain tides to me"])
    [said] = await slack.until(
        lambda: [event for event in app.payloads("message") if event["channel_type"] == "im"]
    )
    assert said["text"] == "Explain tides to me"
    await page.get_by_role("tab", name="Home").click()
    home = page.get_by_test_id("home")
    await expect(home.get_by_role("heading", name="Your chats")).to_be_visible()
    await home.get_by_role("button", name="New chat").click()
    [pressed] = await slack.until(lambda: app.payloads("block_actions"))
    assert pressed["view"]["type"] == "home"
    assert pressed["actions"][0]["action_id"] == "new"


@pytest.mark.slow
async def test_commands_are_completed_except_in_threads(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    root = await slack.conversations.say("alice", "general", "a thread")
    await open_workspace(page, slack, thread=root)
    box = composer(page, "general")
    await box.press_sequentially("/ch")
    await expect(page.get_by_role("option")).to_contain_text(["/chats"])
    await box.press("Tab")
    await expect(box).to_have_value("/chats ")
    await box.press_sequentially("tides and moons")
    await box.press("Enter")
    await expect(page.get_by_test_id("ephemeral")).to_contain_text("Files in Python")
    assert app.payloads("/chats")[0]["text"] == "tides and moons"
    reply = page.get_by_role("textbox", name="Reply…")
    await reply.fill("/chats")
    await reply.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("cannot be used in threads")
    await expect(reply).to_have_value("/chats")
    await box.fill("/nothing at all")
    await box.press("Enter")
    await expect(page.get_by_test_id("ephemeral").last).to_contain_text(
        "/nothing is not a valid command."
    )


@pytest.mark.slow
@pytest.mark.parametrize("deadline_scale", [1.0])
async def test_a_missing_acknowledgement_is_shown(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """A command and a button without an acknowledgement show an error."""
    blocks = [section("Shall we?"), {"type": "actions", "elements": [button("Yes, do", "yes")]}]
    await app.call(
        "chat.postMessage", channel=slack.workspace.channel("general").id, text="?", blocks=blocks
    )
    app.silent = {"/chats", "block_actions"}
    await open_workspace(page, slack)
    await composer(page, "general").fill("/chats")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Yes, do").click()
    await expect(page.get_by_role("alert")).to_contain_text("operation_timeout")
    await expect(page.get_by_test_id("ephemeral").first).to_contain_text("operation_timeout")


def every_block() -> list[dict[str, Any]]:
    options = [{"text": plain(name), "value": name.lower()} for name in ("Red", "Green", "Blue")]
    confirm = {
        "title": plain("Really?"),
        "text": plain("It is gone then."),
        "confirm": plain("Remove"),
        "deny": plain("Keep"),
    }
    checkboxes = {
        "type": "checkboxes",
        "action_id": "ticks",
        "options": options,
        "initial_options": [options[1]],
    }
    select = {
        "type": "static_select",
        "action_id": "colour",
        "placeholder": plain("Pick a colour"),
        "options": options,
    }
    overflow = {"type": "overflow", "action_id": "more", "options": options[:2]}
    word = {"type": "text", "text": "rich", "style": {"bold": True}}
    cells = [
        [{"type": "raw_text", "text": text} for text in row]
        for row in (("sea", "height"), ("calm", "2 m"))
    ]
    return [
        {"type": "header", "text": plain("A header :tada:")},
        section("*Fields*", fields=[{"type": "mrkdwn", "text": "_left_"}, plain("right")]),
        {"type": "divider"},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "small `print`"}]},
        {"type": "actions", "block_id": "acts", "elements": [select, checkboxes, overflow]},
        section("Danger", accessory=button("Remove it", "remove", style="danger", confirm=confirm)),
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [word]}]},
        {"type": "table", "rows": cells},
    ]


async def test_every_block_kit_element_works(slack: Sandbox, app: ChattyApp, page: Page) -> None:
    await app.call(
        "chat.postMessage",
        channel=slack.workspace.channel("general").id,
        text="all",
        blocks=every_block(),
    )
    await open_workspace(page, slack)
    message = page.get_by_role("article").last
    await expect(message.get_by_role("heading", name="A header")).to_be_visible()
    await expect(message.locator("em")).to_have_text("left")
    await expect(message.get_by_role("separator")).to_have_count(1)
    await expect(message.locator("strong", has_text="rich")).to_be_visible()
    await expect(message.get_by_role("cell", name="2 m")).to_be_visible()

    colour = message.get_by_role("combobox", name="Pick a colour")
    await colour.click()
    await colour.press_sequentially("re")
    await expect(page.get_by_role("option")).to_have_text(["Red", "Green"])
    await colour.press("ArrowDown")
    await colour.press("Enter")
    await expect(colour).to_have_value("Green")
    await message.get_by_role("checkbox", name="Blue").check()
    await message.get_by_role("button", name="More options").click()
    await page.get_by_role("menuitem", name="Red").click()
    await message.get_by_role("button", name="Remove it").click()
    await page.get_by_role("dialog", name="Really?").get_by_role("button", name="Remove").click()
    acted = await slack.until(
        lambda: app.payloads("block_actions") if len(app.payloads("block_actions")) == 4 else None
    )
    assert acted is not None
    chosen = [body["actions"][0] for body in acted]
    assert chosen[0]["selected_option"]["value"] == "green"
    assert [option["value"] for option in chosen[1]["selected_options"]] == ["green", "blue"]
    assert chosen[2]["selected_option"]["value"] == "red"
    assert chosen[3]["action_id"] == "remove"
    assert acted[1]["state"]["values"]["acts"]["colour"]["selected_option"]["value"] == "green"


@pytest.mark.slow
async def test_everything_works_by_keyboard(slack: Sandbox, app: ChattyApp, page: Page) -> None:
    """Mention, open the thread, choose and answer without a pointer."""
    await open_workspace(page, slack)
    await expect(composer(page, "general")).to_be_focused()
    await page.keyboard.type("@bobb")
    await expect(page.get_by_role("option", name=re.compile("Bobbin"))).to_have_attribute(
        "aria-selected", "true"
    )
    await page.keyboard.press("Tab")
    await page.keyboard.type("tides?")
    await page.keyboard.press("Enter")
    await page.get_by_role("main").get_by_role("button", name="1 reply").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("textbox", name="Reply…")).to_be_focused()
    menu = page.get_by_role("combobox", name="Choose a model")
    await menu.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("option", name="Swift")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("option")).to_have_count(0)
    await expect(page.get_by_role("complementary", name="Thread")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("option", name="Swift")).to_have_class(re.compile("active"))
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    [pressed] = await slack.until(lambda: app.payloads("block_actions"))
    assert pressed["actions"][0]["selected_option"]["value"] == "Scholar"


@pytest.mark.slow
async def test_a_reopened_thread_shows_the_choice_again(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """As in Slack, a menu keeps the choice even if the message was never updated."""
    await slack.conversations.say("alice", "general", "@bobbin hello")
    await slack.until(lambda: len(slack.workspace.messages("general")) == 2)
    await open_workspace(page, slack)
    await open_thread(page)
    menu = page.get_by_role("combobox", name="Choose a model")
    await expect(menu).to_have_value("Swift")
    await menu.click()
    await page.get_by_role("option", name="Poet").click()
    await expect(menu).to_have_value("Poet")
    await page.get_by_role("button", name="Close thread").click()
    await open_thread(page)
    await expect(menu).to_have_value("Poet")


@pytest.mark.slow
async def test_enter_may_be_pressed_before_the_options_arrive(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """Enter selects an option for the typed query, not one of the options shown before."""
    await slack.conversations.say("alice", "general", "@bobbin hello")
    await slack.until(lambda: len(slack.workspace.messages("general")) == 2)
    await open_workspace(page, slack)
    await open_thread(page)
    menu = page.get_by_role("combobox", name="Choose a model")
    await menu.click()
    await expect(page.get_by_role("option", name="Swift")).to_be_visible()
    await menu.fill("model-3")
    await menu.press("Enter")
    await expect(menu).to_have_value("vendor/model-3")
    [pressed] = await slack.until(lambda: app.payloads("block_actions"))
    assert pressed["actions"][0]["selected_option"]["value"] == "vendor/model-3"
    await menu.fill("nothing like it")
    await menu.press("Enter")
    await expect(page.get_by_text("No results")).to_be_visible()
    assert len(app.payloads("block_actions")) == 1
