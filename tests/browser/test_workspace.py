"""The workspace around the conversation: text, editing, reactions, files, links, the inspector, connection loss."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import FilePayload, Page, Route, WebSocketRoute, expect

from bot.sandbox import Sandbox
from tests.browser.sample_app import ChattyApp
from tests.browser.steps import composer, open_workspace, thread_messages
from tests.handlers.tcp_proxy import Mute, TcpProxy

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d4944415478da63fccff0bf1e000601027f1a7f5fd00000000049454e44ae426082"
)


@pytest.mark.slow
async def test_mrkdwn_is_rendered(slack: Sandbox, app: ChattyApp, page: Page) -> None:
    """Slack's own markup, as apps and people write it."""
    text = (
        "*bold* _italic_ ~gone~ `code *not bold*` snake_case_name 2*3*4 &lt;b&gt;no tag&lt;/b&gt; :wave: :no_such:\n"
        "&gt; a quote\n```\n*raw* &amp; <@U0ALICE>\n```\n"
        "<https://example.com/a?b=1&amp;c=2|a link> <@U0ALICE> <#C0GENERAL> <!here> <javascript:alert(1)|bad> "
        "<!date^1700000000^{date_num} in words^https://example.com|some day>"
    )
    await app.call("chat.postMessage", channel=slack.workspace.channel("general").id, text=text)
    await open_workspace(page, slack, user="bob")
    body = page.get_by_role("article").last.locator(".mrkdwn")
    await expect(body.locator("strong")).to_have_text(["bold"])
    await expect(body.locator("em")).to_have_text(["italic"])
    await expect(body.locator("s")).to_have_text(["gone"])
    await expect(body.locator("code").first).to_have_text("code *not bold*")
    await expect(body).to_contain_text("snake_case_name 2*3*4 <b>no tag</b> 👋 :no_such:")
    await expect(body.locator("blockquote")).to_have_text("a quote")
    await expect(body.locator("pre")).to_have_text("*raw* & <@U0ALICE>")
    await expect(body.locator(".mention")).to_have_text(["@Alice Archer", "#general", "@here"])
    links = await body.locator("a").evaluate_all(
        "links => links.map((link) => [link.href, link.textContent])"
    )
    assert links == [
        ["https://example.com/a?b=1&c=2", "a link"],
        ["https://example.com/", "11/14/2023 in words"],
    ]


@pytest.mark.slow
async def test_messages_can_be_edited_deleted_and_reacted_to(slack: Sandbox, page: Page) -> None:
    await open_workspace(page, slack)
    box = composer(page, "general")
    await box.fill("first line")
    await box.press("Shift+Enter")
    await box.press_sequentially("secnd line")
    await box.press("Enter")
    message = page.get_by_role("article").last
    await expect(message).to_contain_text("secnd line")
    assert slack.workspace.messages("general")[-1].text == "first line\nsecnd line"
    await box.press("ArrowUp")
    edit = page.get_by_role("textbox", name="Edit message")
    await edit.fill("second line")
    await edit.press("Enter")
    await expect(message).to_contain_text("second line")
    await expect(message).to_contain_text("(edited)")
    await message.hover()
    await message.get_by_role("button", name="React with eyes").click()
    mine = message.get_by_role("button", name="eyes reaction, 1")
    await expect(mine).to_have_attribute("aria-pressed", "true")
    await slack.conversations.react(
        "bob", "general", slack.workspace.messages("general")[-1].ts, "eyes"
    )
    await expect(message.get_by_role("button", name="eyes reaction, 2")).to_be_visible()
    await message.hover()
    await message.get_by_role("button", name="Add reaction").click()
    await page.get_by_role("searchbox", name="Search emoji").fill("hourglass_flow")
    await page.keyboard.press("Enter")
    await expect(
        message.get_by_role("button", name="hourglass_flowing_sand reaction, 1")
    ).to_be_visible()
    await message.hover()
    await message.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Delete message").click()
    await (
        page.get_by_role("dialog", name="Delete message")
        .get_by_role("button", name="Delete")
        .click()
    )
    await expect(page.get_by_role("article")).to_have_count(0)


async def test_files_are_attached_and_shown(slack: Sandbox, app: ChattyApp, page: Page) -> None:
    """Attach with the button, drop and paste; images are shown, voice clips are played, other files are cards."""
    await open_workspace(page, slack)
    pane = page.get_by_role("main")
    attached: list[FilePayload] = [
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"},
        {"name": "dot.png", "mimeType": "image/png", "buffer": PIXEL},
        {"name": "clip.webm", "mimeType": "audio/webm", "buffer": b"words"},
    ]
    await pane.get_by_test_id("file-input").set_input_files(attached)
    await pane.evaluate(
        """pane => {
          const files = new DataTransfer();
          files.items.add(new File(['dropped'], 'dropped.csv', { type: 'text/csv' }));
          pane.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
          const pasted = new DataTransfer();
          pasted.items.add(new File(['pasted'], 'pasted.md', { type: 'text/markdown' }));
          pane.querySelector('textarea').dispatchEvent(
            new ClipboardEvent('paste', { clipboardData: pasted, bubbles: true, cancelable: true }));
        }"""
    )
    await expect(pane.get_by_role("button", name=re.compile("^Remove "))).to_have_count(5)
    await pane.get_by_role("button", name="Remove pasted.md").click()
    await composer(page, "general").fill("look")
    await pane.get_by_role("button", name="Send now").click()
    message = page.get_by_role("article").last
    await expect(message.get_by_role("link", name="notes.txt")).to_be_visible()
    await expect(message.get_by_role("link", name="dropped.csv")).to_be_visible()
    await expect(message.get_by_label("clip.webm")).to_be_visible()
    picture = message.get_by_role("img", name="dot.png")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    [said] = await slack.until(
        lambda: [each for each in app.payloads("message") if each.get("files")]
    )
    names = [file["name"] for file in said["files"]]
    assert names == ["notes.txt", "dot.png", "clip.webm", "dropped.csv"]


async def test_a_voice_clip_is_recorded(slack: Sandbox, app: ChattyApp, page: Page) -> None:
    """With a microphone; without one the page says what to do instead."""
    await open_workspace(page, slack)
    pane = page.get_by_role("main")
    record = pane.get_by_role("button", name="Record a voice clip")
    await record.click()
    await pane.get_by_role("button", name="Stop recording").click()
    await expect(pane.get_by_role("button", name="Remove audio_message.webm")).to_be_visible()
    await pane.get_by_role("button", name="Send now").click()
    message = page.get_by_role("article").last
    await expect(message.get_by_label("audio_message.webm")).to_be_visible()
    [said] = await slack.until(
        lambda: [each for each in app.payloads("message") if each.get("files")]
    )
    assert said["files"][0]["mimetype"] == "audio/webm"

    refuse = "() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(); }"
    await page.evaluate(refuse)
    await record.click()
    await expect(page.get_by_text("The browser lets the page use no microphone.")).to_be_visible()


@pytest.mark.slow
async def test_links_to_messages_open_in_the_page(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    general, random = slack.workspace.channel("general").id, slack.workspace.channel("random").id
    root = await slack.conversations.say("alice", "general", "the root")
    await slack.conversations.say("bob", "general", "the reply", thread=root)
    link = f"https://sandbox.slack.com/archives/{general}/p{root.replace('.', '')}"
    await app.call("chat.postMessage", channel=random, text=f"see <{link}|that thread>")
    await open_workspace(page, slack, channel="random")
    await page.get_by_role("link", name="that thread").click()
    await expect(thread_messages(page)).to_contain_text(["the root", "the reply"])
    await expect(composer(page, "general")).to_be_visible()
    await page.go_back()
    await expect(composer(page, "random")).to_be_visible()
    await page.goto(f"{slack.url}/archives/{general}/p{root.replace('.', '')}")
    await expect(thread_messages(page)).to_contain_text(["the root", "the reply"])
    await expect(page).to_have_url(re.compile(f"^{slack.url}/#"))


@pytest.mark.slow
async def test_the_inspector_shows_the_traffic(slack: Sandbox, app: ChattyApp, page: Page) -> None:
    await open_workspace(page, slack)
    await page.get_by_role("button", name="Traffic").click()
    entries = page.get_by_test_id("traffic-entry")
    await expect(entries.filter(has_text="apps.connections.open")).to_have_count(1)
    await slack.conversations.say("alice", "general", "@bobbin hello")
    posted = entries.filter(has_text="chat.postMessage")
    await expect(posted).to_have_count(1)
    await expect(entries.filter(has_text="app_mention").first).to_be_visible()
    await page.get_by_role("searchbox", name="Filter traffic").fill("postmessage ok")
    await expect(entries).to_have_count(1)
    await posted.get_by_role("button").click()
    await expect(posted).to_contain_text('"*Which model should answer?*"')
    await page.get_by_role("button", name="Pause").click()
    await slack.conversations.say("alice", "general", "@bobbin again")
    await expect(page.get_by_text("new entries are waiting")).to_be_visible()
    await expect(entries).to_have_count(1)
    await page.get_by_role("button", name="Resume").click()
    await expect(entries).to_have_count(2)
    await page.reload()
    await expect(entries.first).to_be_visible()
    for kind in ("Calls", "Events", "Responses"):
        await page.get_by_role("button", name=kind, exact=True).click()
    await expect(entries.filter(has_text="app_mention").first).to_contain_text("ack")
    await expect(entries.filter(has_text="chat.postMessage")).to_have_count(0)
    await page.get_by_role("button", name="Acks", exact=True).click()
    await expect(entries).to_have_count(0)


@pytest.mark.slow
async def test_a_disconnected_app_is_announced(slack: Sandbox, app: ChattyApp, page: Page) -> None:
    await open_workspace(page, slack)
    await expect(page.get_by_text("Bobbin connected")).to_be_visible()
    await app.disconnect()
    await expect(page.get_by_role("alert")).to_contain_text("Bobbin is not connected.")


@pytest.mark.slow
async def test_a_lost_first_response_is_requested_again(
    slack: Sandbox, page: Page, complaints: list[str]
) -> None:
    tries = 0

    async def lose_the_first(route: Route) -> None:
        nonlocal tries
        tries += 1
        await (route.abort() if tries == 1 else route.continue_())

    await page.route("**/sandbox/state*", lose_the_first)
    await open_workspace(page, slack)
    assert tries == 2
    complaints.clear()  # the browser logs the lost request


LATE_FRAMES = """
const later = window.setTimeout;
window.requestAnimationFrame = (draw) => later(draw, 500);
window.setTimeout = (work, wait = 0, ...values) => later(work, wait + 500, ...values);
"""


@pytest.mark.slow
async def test_a_workspace_that_comes_before_the_first_frame_is_shown(
    slack: Sandbox, page: Page
) -> None:
    """On a busy machine it is there before anything was drawn, and nothing changes in it later."""
    await page.add_init_script(LATE_FRAMES)
    await open_workspace(page, slack)


@pytest.mark.slow
@pytest.mark.parametrize("request_line", [b"GET /sandbox/state", b"GET /sandbox/live"])
async def test_what_is_never_answered_is_requested_again(
    slack: Sandbox, page: Page, complaints: list[str], request_line: bytes
) -> None:
    async with TcpProxy(slack.url) as proxy:
        reached = proxy.mute_at(request_line, Mute.BOTH, alone=True)
        await page.clock.install()
        await page.goto(proxy.url, wait_until="commit")
        await reached.wait()
        await page.clock.fast_forward(15_000)
        await expect(composer(page, "general")).to_be_visible()
        await page.goto("about:blank")
    complaints.clear()  # the browser logs the lost requests


async def test_a_lost_connection_is_announced_and_restored(slack: Sandbox, page: Page) -> None:
    """The page loses its socket, says so, reconnects by itself and shows what it missed."""
    open_sockets: list[WebSocketRoute] = []
    down = False

    async def between(route: WebSocketRoute) -> None:
        if down:
            await route.close()
            return
        route.connect_to_server()
        open_sockets.append(route)

    await page.route_web_socket(re.compile("/sandbox/live"), between)
    await open_workspace(page, slack)
    down = True
    for route in open_sockets:
        await route.close()
    await expect(page.get_by_role("alert")).to_contain_text("does not answer")
    await slack.conversations.say("bob", "general", "while you were away")
    down = False
    await expect(page.get_by_text("while you were away")).to_be_visible()
    await expect(page.get_by_role("alert")).to_contain_text("Bobbin is not connected")


@pytest.mark.slow
async def test_unread_counts_and_other_peoples_channels_are_shown(
    slack: Sandbox, page: Page
) -> None:
    """A mention elsewhere is counted until it is read; direct messages open from the sidebar."""
    await open_workspace(page, slack)
    await slack.conversations.say("bob", "random", "@alice come and see")
    row = page.get_by_role("navigation").get_by_role("button", name="random")
    await expect(row).to_contain_text("1")
    await row.click()
    await expect(page.get_by_text("come and see")).to_be_visible()
    await page.get_by_role("button", name="New direct message").click()
    people = page.get_by_role("dialog", name="New direct message")
    await people.get_by_role("checkbox", name="Carol Chen").check()
    await people.get_by_role("button", name="Go").click()
    await page.get_by_role("textbox", name="Message Carol Chen").fill("hello Carol")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("article")).to_contain_text(["hello Carol"])
    await expect(row).not_to_contain_text("1")


async def test_the_page_obeys_its_content_security_policy(
    slack: Sandbox, page: Page, complaints: list[str]
) -> None:
    """Only scripts from the page's own files run, whatever is injected."""
    await open_workspace(page, slack)
    blocked = await page.evaluate(
        """async () => {
          const seen = new Promise((resolve) => {
            document.addEventListener('securitypolicyviolation', (event) => resolve(event.violatedDirective));
          });
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.body.append(script);
          return [await seen, window.ran ?? false];
        }"""
    )
    assert blocked == ["script-src-elem", False]
    assert "Content Security Policy" in complaints.pop()


@pytest.mark.slow
async def test_an_unknown_person_in_the_url_and_a_first_visit_work(
    slack: Sandbox, app: ChattyApp, page: Page, complaints: list[str]
) -> None:
    """A URL of an earlier workspace still opens, and an empty channel says how to begin."""
    await page.goto(f"{slack.url}/#user=U0NOBODY&channel=C0NOWHERE")
    box = composer(page, "general")
    await expect(box).to_be_visible()
    assert all("403" in complaint for complaint in complaints)
    complaints.clear()
    await page.get_by_role("button", name="Mention Bobbin").click()
    await expect(box).to_be_focused()
    await box.press_sequentially("are you there?")
    await box.press("Enter")
    [mentioned] = await slack.until(lambda: app.payloads("app_mention"))
    assert mentioned["text"] == f"<@{slack.bot_user.id}> are you there?"


@pytest.mark.slow
async def test_channels_can_be_left_and_joined_again(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    """A public channel stays visible after leaving; a private one disappears until the next invitation."""
    leads = slack.workspace.channel("leads").id
    await slack.conversations.say("bob", "leads", "what was said before")
    await open_workspace(page, slack, channel="leads")
    sidebar = page.get_by_role("navigation")
    await page.get_by_role("button", name="Leave #leads").click()
    asked = page.get_by_role("dialog", name="Leave #leads?")
    await expect(asked).to_contain_text("somebody in it has to invite you")
    await page.keyboard.press("Escape")
    await expect(asked).to_have_count(0)
    await composer(page, "leads").fill("/leave")
    await composer(page, "leads").press("Enter")
    await asked.get_by_role("button", name="Leave").click()
    await expect(composer(page, "general")).to_be_visible()
    await expect(sidebar.get_by_role("button", name="leads")).to_have_count(0)
    [left] = await slack.until(lambda: app.payloads("member_left_channel"))
    assert (left["user"], left["channel"], left["channel_type"]) == ("U0ALICE", leads, "G")

    await slack.conversations.join("alice", "leads", inviter="bob")
    await sidebar.get_by_role("button", name="leads").click()
    await expect(page.get_by_role("article").first).to_contain_text("what was said before")

    await open_workspace(page, slack)
    await page.get_by_role("button", name="Leave #general").click()
    await page.get_by_role("button", name="Join channel").click()
    await expect(composer(page, "general")).to_be_visible()


@pytest.mark.slow
async def test_slacks_own_commands_invite_and_leave_work(
    slack: Sandbox, app: ChattyApp, page: Page
) -> None:
    slack.workspace.leave(slack.workspace.channel("random"), slack.workspace.user("carol").id)
    await open_workspace(page, slack, channel="random")
    box = composer(page, "random")
    await box.fill("/invite")
    await box.press("Enter")
    await expect(page.get_by_text("Say whom to invite")).to_be_visible()
    await box.fill("/invite @carol")
    await box.press("Enter")  # takes the name that is suggested
    await box.press("Enter")
    await slack.until(
        lambda: slack.workspace.user("carol").id in slack.workspace.channel("random").members
    )
    await box.fill("/leave")
    await box.press("Enter")
    await expect(page.get_by_role("button", name="Join channel")).to_be_visible()
