"""The main flow on the page: mention, choose, watch the answer grow, reply, reload."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from bot.sandbox import Sandbox
from tests.browser.sample_app import ChattyApp
from tests.browser.steps import composer, mention, open_thread, open_workspace, thread_messages

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_mention_choose_watch_reply_and_reload(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """From a first mention to a reload, which returns to the same thread."""
    await open_workspace(page, slack)
    await mention(page, "how do tides work?")
    await open_thread(page)
    menu = page.get_by_role("combobox", name="Choose a model")
    await menu.click()
    await expect(page.get_by_role("option")).to_have_count(43)
    await menu.fill("SCHO")
    await expect(page.get_by_role("option")).to_have_text(["Scholar"])
    await menu.press("Enter")
    await expect(menu).to_have_value("Scholar")
    [pressed] = await slack.until(lambda: app.payloads("block_actions"))
    assert pressed["actions"][0]["selected_option"]["value"] == "Scholar"
    assert pressed["state"]["values"]["menu"]["model"]["selected_option"]["value"] == "Scholar"

    root = pressed["container"]["thread_ts"]
    channel, user = pressed["channel"]["id"], pressed["user"]["id"]
    ts = await app.start_answer(channel, root, user, "The moon")
    answer = page.locator(f'.thread-pane article[data-ts="{ts}"]')
    await expect(answer.locator(".markdown")).to_have_text("The moon")
    await expect(answer.locator(".growing")).to_be_visible()
    await app.append(" **pulls** the sea.\n\n```python\nprint(")
    await expect(answer.locator("strong")).to_have_text("pulls")
    await expect(answer.locator("pre code")).to_have_text("print(")
    await app.append('"tide")\n```\n\n| sea | height |\n| --- | ---: |\n| calm | 2 m |\n')
    await expect(answer.get_by_role("cell")).to_have_text(["calm", "2 m"])
    await app.finish()
    await expect(answer.locator(".growing")).to_have_count(0)
    await answer.get_by_role("button", name="Good answer").click()
    await slack.until(lambda: len(app.payloads("block_actions")) == 2)
    assert app.payloads("block_actions")[1]["actions"][0]["value"] == "up"

    reply = page.get_by_role("textbox", name="Reply…")
    await reply.fill("and on *Mars*?")
    await reply.press("Enter")
    await expect(thread_messages(page).last).to_contain_text("and on Mars?")
    await expect(thread_messages(page).last.locator("strong")).to_have_text("Mars")
    await page.reload()
    await expect(thread_messages(page)).to_have_count(4)
    await expect(page.get_by_role("button", name="3 replies")).to_be_visible()


async def test_model_output_is_never_run(slack: Sandbox, app: ChattyApp, page: Page) -> None:
    """HTML, scripts and odd links in an answer are shown as text or as nothing, never run."""
    alice, general = slack.workspace.user("alice").id, slack.workspace.channel("general").id
    root = await slack.conversations.say("alice", "general", "hello")
    await open_workspace(page, slack, thread=root)
    text = '<img src=x onerror="document.title=1"> <script>document.title="owned"</script> [go](javascript:alert(1))'
    ts = await app.start_answer(
        general,
        root,
        alice,
        text + "\n\n![pixel](https://evil.example/p.png) [ok](https://example.com)",
    )
    answer = page.locator(f'.thread-pane article[data-ts="{ts}"] .markdown')
    await expect(answer).to_contain_text("<script>")
    await expect(answer).to_contain_text("<img src=x")
    assert await answer.locator("img, script").count() == 0
    assert await answer.locator("a").evaluate_all("links => links.map((link) => link.href)") == [
        "https://evil.example/p.png",
        "https://example.com/",
    ]
    assert await page.title() == "Sandbox: a local workspace"


@pytest.mark.slow
async def test_a_growing_answer_renders_only_its_last_block_again(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """Finished blocks stay the same elements, so selections and scroll positions survive."""
    alice, general = slack.workspace.user("alice").id, slack.workspace.channel("general").id
    root = await slack.conversations.say("alice", "general", "hello")
    await open_workspace(page, slack, thread=root)
    ts = await app.start_answer(general, root, alice, "First paragraph.\n\nSecond")
    answer = page.locator(f'.thread-pane article[data-ts="{ts}"]')
    await expect(answer.locator("p")).to_have_count(2)
    await answer.locator("p").first.evaluate("element => { element.kept = true }")
    await page.evaluate(
        """() => {
          window.changes = 0;
          const others = document.querySelector('.channel-pane .list');
          new MutationObserver((list) => { window.changes += list.length }).observe(
            others, { childList: true, subtree: true, characterData: true, attributes: true });
        }"""
    )
    for number in range(4):
        await app.append(f" and more {number}")
        await expect(answer.locator("p").last).to_contain_text(f"more {number}")
    assert await answer.locator("p").first.evaluate("element => element.kept === true")
    assert await page.evaluate("window.changes") == 0


@pytest.mark.slow
async def test_the_end_stays_in_view_unless_the_reader_scrolled_up(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    alice, general = slack.workspace.user("alice").id, slack.workspace.channel("general").id
    root = await slack.conversations.say("alice", "general", "hello")
    await open_workspace(page, slack, thread=root)
    await app.start_answer(
        general, root, alice, "\n\n".join(f"line {number}" for number in range(60))
    )
    pane = page.locator(".thread-pane .list")
    gap = "list => Math.round(list.scrollHeight - list.scrollTop - list.clientHeight)"
    await expect(pane.get_by_text("line 59")).to_be_in_viewport()
    await app.append("\n\nthe newest line")
    await expect(pane.get_by_text("the newest line")).to_be_in_viewport()
    await pane.evaluate("list => { list.scrollTop = 0 }")
    latest = page.get_by_role("button", name="Latest messages")
    await expect(latest).to_be_visible()
    await app.append("\n\none after that")
    await expect(pane.get_by_text("one after that")).to_be_attached()
    assert await pane.evaluate("list => list.scrollTop") == 0
    await latest.click()
    await expect(pane.get_by_text("one after that")).to_be_in_viewport()
    assert await pane.evaluate(gap) <= 1


@pytest.mark.slow
async def test_the_status_is_shown_and_slacks_stop_reaches_the_app(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """ "is thinking…" is shown in the thread and beside the reply count; Stop sends the app an event."""
    general = slack.workspace.channel("general").id
    root = await slack.conversations.say("alice", "general", "hello")
    await open_workspace(page, slack, thread=root)
    await app.call(
        "assistant.threads.setStatus", channel_id=general, thread_ts=root, status="is thinking…"
    )
    await app.call(
        "agents.sessions.setStatus", channel_id=general, thread_ts=root, status="processing"
    )
    line = page.get_by_test_id("status")
    await expect(line).to_contain_text("Bobbin is thinking…")
    await expect(page.locator(".channel-pane").get_by_text("Bobbin is thinking…")).to_be_visible()
    await page.get_by_role("button", name="Stop responding").click()
    [stopped] = await slack.until(lambda: app.payloads("agent_session_stopped"))
    assert stopped["thread_ts"] == root
    await app.call("assistant.threads.setStatus", channel_id=general, thread_ts=root, status="")
    await app.call("agents.sessions.setStatus", channel_id=general, thread_ts=root, status="active")
    await app.call("agents.sessions.rename", channel_id=general, thread_ts=root, title="Of tides")
    await expect(line).to_have_count(0)
    await expect(page.get_by_test_id("thread-title")).to_have_text("Of tides")
    await page.get_by_role("button", name="Rename chat").click()
    await page.get_by_role("textbox", name="Chat title").fill("Of seas")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("thread-title")).to_have_text("Of seas")
    assert slack.agent_sessions.title("general", root) == "Of seas"


@pytest.mark.slow
async def test_acting_as_another_person_shows_that_persons_workspace(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """Acting as another user shows their workspace: shared messages, not the private ones."""
    await open_workspace(page, slack)
    box = composer(page, "general")
    await box.fill("/chats")
    await box.press("Enter")
    private = page.get_by_test_id("ephemeral")
    await expect(private).to_contain_text("Only visible to you")
    await expect(private.get_by_role("button", name="Open")).to_be_visible()
    await box.fill("hello all")
    await box.press("Enter")
    await page.get_by_role("button", name=re.compile("Acting as Alice")).click()
    await page.get_by_role("menuitemradio", name="Bob Brown").click()
    await expect(page.get_by_role("button", name=re.compile("Acting as Bob"))).to_be_visible()
    await expect(page.get_by_role("article").filter(has_text="hello all")).to_be_visible()
    await expect(private).to_have_count(0)
