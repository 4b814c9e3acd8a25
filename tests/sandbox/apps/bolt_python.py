"""A Slack app with Bolt for Python as its documentation shows it: synchronous, over Socket Mode or HTTP (`PORT`)."""

import os

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

app = App(
    client=WebClient(token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"]),
    signing_secret=os.environ["SLACK_SIGNING_SECRET"],
)

PEOPLE = ["Grace Hopper", "Ada Lovelace", "Alan Turing"]


def text(words):
    return {"type": "plain_text", "text": words}


def ticket_view(title=""):
    return {
        "type": "modal",
        "callback_id": "ticket",
        "title": text("New ticket"),
        "submit": text("Open"),
        "blocks": [
            {
                "type": "input",
                "block_id": "title",
                "label": text("Title"),
                "element": {
                    "type": "plain_text_input",
                    "action_id": "value",
                    "initial_value": title,
                },
            },
            {
                "type": "input",
                "block_id": "assignee",
                "label": text("Assignee"),
                "optional": True,
                "element": {
                    "type": "external_select",
                    "action_id": "assignee",
                    "min_query_length": 0,
                },
            },
            {
                "type": "input",
                "block_id": "watchers",
                "label": text("Watchers"),
                "optional": True,
                "element": {"type": "multi_users_select", "action_id": "watchers"},
            },
            {
                "type": "actions",
                "elements": [
                    {"type": "button", "action_id": "help", "text": text("Help")},
                    {"type": "button", "action_id": "example", "text": text("Example")},
                ],
            },
        ],
    }


def note_view(words):
    section = {"type": "section", "text": {"type": "mrkdwn", "text": words}}
    return {"type": "modal", "title": text("Help"), "blocks": [section]}


@app.message("hello")
def greet(message, say):
    button = {"type": "button", "action_id": "wave", "text": text("Wave"), "value": "1"}
    said = {"type": "section", "text": {"type": "mrkdwn", "text": f"Hey <@{message['user']}>!"}}
    say(text="Hey!", blocks=[{**said, "accessory": button}])


@app.action("wave")
def wave(ack, body, respond, say):
    ack()
    respond(text=f"<@{body['user']['id']}> waved", replace_original=True)
    say(text="In the thread", thread_ts=body["message"]["ts"])


@app.event("app_mention")
def mentioned(event, say, client):
    user = client.users_info(user=event["user"])["user"]
    say(text=f"You called, {user['profile']['real_name']}?", thread_ts=event["ts"])


@app.message("report")
def report(message, client):
    client.files_upload_v2(
        channel=message["channel"],
        filename="report.csv",
        content="a,b\n1,2\n",
        initial_comment="Here it is",
    )


@app.event("message")
def other_messages():
    pass


@app.event("reaction_added")
def reacted(event, client):
    item = event["item"]
    client.chat_postMessage(
        channel=item["channel"], thread_ts=item["ts"], text=f"{event['reaction']} counted"
    )


@app.command("/ticket")
def ticket(ack, command, respond, client):
    ack()
    if command["text"] == "count":
        respond(text="There are 3 tickets", response_type="in_channel")
        respond("Only for you")
        return
    client.views_open(trigger_id=command["trigger_id"], view=ticket_view(command["text"]))


@app.shortcut("new_ticket")
def new_ticket(ack, shortcut, client):
    ack()
    client.views_open(trigger_id=shortcut["trigger_id"], view=ticket_view())


@app.shortcut("ticket_from_message")
def ticket_from_message(ack, shortcut, client):
    ack()
    client.views_open(
        trigger_id=shortcut["trigger_id"], view=ticket_view(shortcut["message"]["text"])
    )


@app.options("assignee")
def assignees(ack, payload):
    found = [name for name in PEOPLE if payload["value"].lower() in name.lower()]
    ack(options=[{"text": text(name), "value": name.split()[0]} for name in found])


@app.action("help")
def show_help(ack, body, client):
    ack()
    client.views_push(trigger_id=body["trigger_id"], view=note_view("A ticket has a title."))


@app.action("example")
def show_example(ack, body, client):
    ack()
    view = body["view"]
    client.views_update(view_id=view["id"], hash=view["hash"], view=ticket_view("An example"))


@app.view("ticket")
def submitted(ack, body, view, client):
    values = view["state"]["values"]
    title = values["title"]["value"]["value"]
    if len(title) < 5:
        ack(response_action="errors", errors={"title": "Say a little more"})
        return
    if title == "show me":
        ack(response_action="update", view=note_view("Shown"))
        return
    ack()
    assignee = values["assignee"]["assignee"].get("selected_option") or {"value": "nobody"}
    client.chat_postMessage(
        channel=body["user"]["id"], text=f"Opened “{title}” for {assignee['value']}"
    )


@app.event("app_home_opened")
def home(event, client):
    section = {
        "type": "section",
        "text": {"type": "mrkdwn", "text": f"Tickets of <@{event['user']}>"},
    }
    client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section]})


if __name__ == "__main__":
    if "PORT" in os.environ:
        app.start(port=int(os.environ["PORT"]), http_server_logger_enabled=False)
    else:
        SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start()
