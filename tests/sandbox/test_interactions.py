"""Buttons, menus, commands and modals between a person and a real Bolt app."""

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import InvalidAnswer, Limits, NotAcknowledged, Sandbox, SlackRefusal, flat_options
from tests.sandbox.conftest import Bot, refusal

Body = dict[str, Any]


def plain(text: str) -> Body:
    return {"type": "plain_text", "text": text}


def option(name: str) -> Body:
    return {"text": plain(name), "value": name.lower()}


MENU = {
    "type": "external_select",
    "action_id": "model",
    "min_query_length": 0,
    "placeholder": plain("Model"),
}
GO = {"type": "button", "action_id": "go", "value": "now", "text": plain("Go")}
PANEL = [{"type": "actions", "block_id": "panel", "elements": [MENU, GO]}]
MODAL = {
    "type": "modal",
    "callback_id": "new",
    "title": plain("New chat"),
    "submit": plain("Start"),
    "blocks": [
        {
            "type": "input",
            "block_id": "first",
            "label": plain("First message"),
            "element": {"type": "plain_text_input", "action_id": "text"},
        }
    ],
}


async def panel(web: AsyncWebClient) -> str:
    posted = await web.chat_postMessage(channel="C0GENERAL", text="panel", blocks=PANEL)
    return str(posted["ts"])


async def test_a_menu_gets_its_options_from_the_app_and_sends_the_choice(
    slack: Sandbox, bot: Bot, web: AsyncWebClient
) -> None:
    chosen: list[Body] = []

    @bot.app.options("model")
    async def on_options(ack: Any, payload: Body) -> None:
        names = [name for name in ("Alpha", "Beta") if payload["value"].lower() in name.lower()]
        await ack(
            option_groups=[{"label": plain("Demo"), "options": [option(name) for name in names]}]
        )

    @bot.app.action("model")
    async def on_choice(ack: Any, body: Body) -> None:
        chosen.append(body)
        await ack()

    await bot.connect()
    ts = await panel(web)
    answer = await slack.interactions.menu("alice", ts, "model", "al")
    assert [each["value"] for each in flat_options(answer)] == ["alpha"]
    await slack.interactions.choose("alice", ts, "model", "beta")
    action = chosen[0]["actions"][0]
    assert (action["type"], action["block_id"], action["selected_option"]["value"]) == (
        "external_select",
        "panel",
        "beta",
    )
    assert chosen[0]["state"]["values"]["panel"]["model"]["selected_option"]["value"] == "beta"
    assert chosen[0]["container"]["message_ts"] == ts
    with pytest.raises(LookupError, match="does not offer"):
        await slack.interactions.choose("alice", ts, "model", "gamma")


async def test_a_menu_with_101_options_is_refused(
    slack: Sandbox, bot: Bot, web: AsyncWebClient
) -> None:
    @bot.app.options("model")
    async def on_options(ack: Any) -> None:
        await ack(options=[option(f"M{number}") for number in range(101)])

    await bot.connect()
    ts = await panel(web)
    with pytest.raises(InvalidAnswer, match="100 items"):
        await slack.interactions.menu("alice", ts, "model")
    assert [refused.method for refused in slack.refusals] == ["ack:block_suggestion"]


async def test_a_button_payload_has_what_the_app_needs_to_respond(
    slack: Sandbox, bot: Bot, web: AsyncWebClient
) -> None:
    @bot.app.action("go")
    async def on_go(ack: Any, respond: Any, body: Body) -> None:
        await ack()
        await respond(text="only you", replace_original=False)
        await respond(text="gone", replace_original=True)

    await bot.connect()
    ts = await panel(web)
    await slack.interactions.press("alice", ts, "go")
    await slack.until(lambda: slack.workspace.message("general", ts).text == "gone")
    assert [whisper.text for whisper in slack.workspace.ephemerals("alice", "general")] == [
        "only you"
    ]
    assert slack.workspace.ephemerals("bob") == []
    with pytest.raises(LookupError, match="no element 'go'"):
        await slack.interactions.press("alice", ts, "go")


async def test_a_response_url_can_be_used_five_times(
    slack: Sandbox, bot: Bot, web: AsyncWebClient
) -> None:
    statuses: list[int] = []

    @bot.app.action("go")
    async def on_go(ack: Any, respond: Any) -> None:
        await ack()
        for number in range(6):
            answer = await respond(text=str(number), replace_original=False)
            statuses.append(answer.status_code)

    await bot.connect()
    await slack.interactions.press("alice", await panel(web), "go")
    assert statuses == [200] * 5 + [404]
    assert [refused.error for refused in slack.refusals] == ["used_url"]


async def test_a_commands_response_url_cannot_replace_its_message(slack: Sandbox, bot: Bot) -> None:
    """Only the response URL of a button press in that message can."""

    @bot.app.command("/chats")
    async def on_command(ack: Any, respond: Any) -> None:
        await ack(text="first", blocks=PANEL)
        await respond(text="second", replace_original=True)

    @bot.app.action("go")
    async def on_go(ack: Any, respond: Any) -> None:
        await ack()
        await respond(text="replaced", replace_original=True)

    await bot.connect()
    await slack.interactions.command("alice", "general", "/chats")
    await slack.until(lambda: len(slack.workspace.ephemerals("alice", "general")) == 2)
    first, second = sorted(
        slack.workspace.ephemerals("alice", "general"), key=lambda whisper: bool(not whisper.blocks)
    )
    assert second.text == "second"
    await slack.interactions.press("alice", first, "go")
    await slack.until(lambda: first.text == "replaced")
    assert len(slack.workspace.ephemerals("alice", "general")) == 2


async def test_a_submission_by_a_guest_names_the_guests_workspace(slack: Sandbox, bot: Bot) -> None:
    received: list[Body] = []

    @bot.app.command("/chats")
    async def on_command(ack: Any, body: Body, client: AsyncWebClient) -> None:
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)
        await ack()

    @bot.app.view("new")
    async def on_submit(ack: Any, body: Body) -> None:
        received.append(body)
        await ack()

    await bot.connect()
    slack.workspace.user("dan").team_id = "T0ELSEWHERE"
    for user in ("alice", "dan"):
        await slack.interactions.command(user, "general", "/chats")
        await slack.views.submit(user, {"first": {"text": "Hello"}})
    assert [body["team"]["id"] for body in received] == ["T0SANDBOX", "T0ELSEWHERE"]
    assert {body["view"]["app_installed_team_id"] for body in received} == {"T0SANDBOX"}


async def test_a_command_answers_privately_and_modals_stack(slack: Sandbox, bot: Bot) -> None:
    triggers: list[str] = []
    submitted: list[str] = []

    @bot.app.command("/chats")
    async def on_command(ack: Any, body: Body, client: AsyncWebClient) -> None:
        triggers.append(body["trigger_id"])
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)
        await ack(text=f"you said {body['text']}")

    @bot.app.view("new")
    async def on_submit(ack: Any, view: Body) -> None:
        text = view["state"]["values"]["first"]["text"]["value"]
        if not text:
            await ack(response_action="errors", errors={"first": "Say something"})
            return
        submitted.append(text)
        await ack()

    await bot.connect()
    shown = await slack.interactions.command("alice", "general", "/chats", "new <x>")
    assert [whisper.text for whisper in shown] == ["you said new <x>"]
    again = bot.app.client.views_open(trigger_id=triggers[0], view=MODAL)
    assert await refusal(again) == "exchanged_trigger_id"
    assert await slack.views.submit("alice", {}) == {"first": "Say something"}
    assert slack.views.modal("alice") is not None
    assert await slack.views.submit("alice", {"first": "Hello"}) == {}
    assert slack.views.modal("alice") is None
    assert submitted == ["Hello"]


class TestShortDeadlines:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(rates=False, ack_timeout=0.2, trigger_ttl=0.0)

    async def test_a_missing_acknowledgement_is_an_operation_timeout(
        self, slack: Sandbox, bot: Bot, web: AsyncWebClient
    ) -> None:
        await bot.connect()
        file_notices: list[str] = []
        slack.workspace.subscribe(
            lambda change: file_notices.append(change.kind) if change.kind == "notice" else None
        )
        with pytest.raises(NotAcknowledged):
            await slack.interactions.press("alice", await panel(web), "go")
        assert file_notices == []  # Slack shows this beside the button
        with pytest.raises(NotAcknowledged):
            await slack.interactions.command("alice", "general", "/chats", "")
        assert file_notices == ["notice"]

    async def test_a_trigger_expires(self, slack: Sandbox, web: AsyncWebClient) -> None:
        trigger = slack.triggers.issue("U0ALICE")
        assert await refusal(web.views_open(trigger_id=trigger, view=MODAL)) == "expired_trigger_id"
        assert await refusal(web.views_open(trigger_id="1.2.3", view=MODAL)) == "invalid_trigger_id"


async def test_views_push_update_publish_and_conflict(slack: Sandbox, web: AsyncWebClient) -> None:
    opened = await web.views_open(trigger_id=slack.triggers.issue("U0ALICE"), view=MODAL)
    for _ in range(2):
        await web.views_push(trigger_id=slack.triggers.issue("U0ALICE"), view=MODAL)
    fourth = web.views_push(trigger_id=slack.triggers.issue("U0ALICE"), view=MODAL)
    assert await refusal(fourth) == "push_limit_reached"
    stale = web.views_update(view_id=opened["view"]["id"], view=MODAL, hash="0.stale")
    assert await refusal(stale) == "hash_conflict"
    home = {"type": "home", "blocks": PANEL}
    await web.views_publish(user_id="U0ALICE", view=home)
    view = slack.views.home("alice")
    assert view is not None
    assert [block["block_id"] for block in view.blocks] == ["panel"]
    titleless = {**MODAL, "title": plain("x" * 25)}
    long = web.views_open(trigger_id=slack.triggers.issue("U0ALICE"), view=titleless)
    assert await refusal(long) == "invalid_arguments"


async def test_people_can_act_only_in_their_channels(slack: Sandbox, web: AsyncWebClient) -> None:
    posted = await web.chat_postMessage(channel="C0LEADS", text="x", blocks=PANEL)
    with pytest.raises(LookupError, match="carol is not in leads"):
        await slack.interactions.press("carol", posted["ts"], "go")
    with pytest.raises(LookupError, match="carol is not in leads"):
        await slack.conversations.say("carol", "leads", "hi")
    with pytest.raises(SlackRefusal, match="channel_not_found"):
        await slack.conversations.say("carol", "nowhere", "hi")
