"""Installing the app in a workspace: the pages, the check of the browser, and what is stored."""

from __future__ import annotations

import re
import time
from html import escape

from cryptography.fernet import Fernet

from bot import english_strings
from handlers.transport.oauth import STATE_TTL
from storage.encryption import _key
from tests.handlers.two_workspaces import (
    CHATS_OF,
    KEY,
    Browser,
    TwoWorkspaces,
)


async def test_two_workspaces_that_installed_the_app_have_whole_conversations(
    installed: TwoWorkspaces,
) -> None:
    one, two = installed, installed.other
    threads = await one.start("one?"), await two.start("two?")
    assert await one.answered(threads[0]) == ["Answer one."]
    assert await two.answered(threads[1]) == ["Answer two."]
    await two.slack.conversations.say("bob", "general", "more?", threads[1])
    assert await two.answered(threads[1], 2) == ["Answer two.", "More."]
    assert [row["team"] for row in one.rows(CHATS_OF)] == ["T0ONE", "T0TWO"]
    assert one.answers(threads[0]) != []
    await one.idle()


async def test_the_install_pages_request_the_scopes_and_confirm_the_installation(
    workspaces: TwoWorkspaces,
) -> None:
    async with Browser(workspaces.url) as browser:
        page = await browser.begin("?team=T0ONE")
        assert "Add to Slack" in page.text
        assert browser.agree_at.startswith(f"{workspaces.slack.url}/oauth/v2/authorize?")
        assert "chat%3Awrite" in browser.agree_at or "chat:write" in browser.agree_at
        assert "team=T0ONE" in browser.agree_at
        assert re.search(r"Secure; HttpOnly", page.headers["set-cookie"])
        done = await browser.come_back(workspaces.gateway.agree(workspaces.slack))
        assert done.status_code == 200
        assert "Installed" in done.text
        assert "slack://app?team=T0ONE&amp;id=A0SANDBOX" in done.text
        assert (done.headers["cache-control"], done.headers["referrer-policy"]) == (
            "no-store",
            "no-referrer",
        )
        assert (await browser.http.post("/slack/install")).status_code == 405


async def test_an_installation_that_another_browser_began_is_rejected(
    workspaces: TwoWorkspaces,
) -> None:
    """Otherwise a link sent to someone could connect their workspace to another person's installation."""
    async with Browser(workspaces.url) as mine, Browser(workspaces.url) as other:
        await mine.begin()
        await other.begin()
        code = workspaces.gateway.agree(workspaces.slack)
        sealed_otherwise = Fernet(_key("another key")).encrypt(b"install:x").decode()
        not_a_state = Fernet(_key(KEY)).encrypt(b"xoxb-somebody's-token").decode()
        too_old = (
            Fernet(_key(KEY))
            .encrypt_at_time(b"install:x", int(time.time()) - STATE_TTL - 1)
            .decode()
        )
        refused = [
            await mine.come_back(code, state=other.state),
            await mine.come_back(code, state=None),
        ]
        for state in (sealed_otherwise, not_a_state, too_old, "forged"):
            mine.cookie = f"slack-app-oauth-state={state}"
            refused.append(await mine.come_back(code, state=state))
        mine.cookie = ""
        refused.append(await mine.come_back(code))
        assert {page.status_code for page in refused} == {400}
        assert all("Begin again" in page.text and "ten minutes" in page.text for page in refused)
        assert workspaces.calls("oauth.v2.access") == 0
        assert (await other.come_back(code)).status_code == 200
    assert len(workspaces.rows("SELECT * FROM installations")) == 1


async def test_when_slack_refuses_the_page_says_so_and_nothing_is_installed(
    workspaces: TwoWorkspaces,
) -> None:
    async with Browser(workspaces.url) as browser:
        await browser.begin()
        code = workspaces.gateway.agree(workspaces.slack)
        assert (await browser.come_back(code)).status_code == 200
        used = await browser.come_back(code)
        assert (used.status_code, "invalid_code" in used.text) == (400, True)
        declined = await browser.http.get("/slack/oauth_redirect?error=<script>alert(1)</script>")
        assert "&lt;script&gt;" in declined.text
        assert "<script>" not in declined.text
        assert (await browser.come_back(None)).status_code == 400
        await browser.begin()
        workspaces.second.faults.add("auth.test", "error", error="internal_error")
        workspaces.forgive("internal_error")
        assert (
            await browser.come_back(workspaces.gateway.agree(workspaces.second))
        ).status_code == 400
    assert [row["team"] for row in workspaces.rows("SELECT team FROM installations")] == ["T0ONE"]


async def test_when_the_database_is_down_the_page_says_so(workspaces: TwoWorkspaces) -> None:
    await workspaces.execute("ALTER TABLE installations RENAME TO hidden")
    done = await workspaces.install(workspaces.slack)
    assert (done.status_code, escape(english_strings.INSTALL_NOT_KEPT) in done.text) == (503, True)
    await workspaces.execute("ALTER TABLE hidden RENAME TO installations")
    assert (await workspaces.install(workspaces.slack)).status_code == 200
    workspaces.forgive_logger("handlers.transport.oauth")


async def test_tokens_are_encrypted_in_the_database_and_codes_are_not_logged(
    installed: TwoWorkspaces,
) -> None:
    code = installed.gateway.agree(installed.slack)
    async with Browser(installed.url) as browser:
        await browser.begin()
        await browser.come_back(code)
        await browser.come_back(code)
    await installed.stop_bot()
    files = b"".join(
        file.read_bytes() for file in installed.database.parent.glob("bobbin.sqlite3*")
    )
    assert b"T0TWO" in files
    assert b"xoxb-" not in files
    assert code not in installed.log.getvalue()
    assert not [token for token in installed.gateway.tokens if token in installed.log.getvalue()]
