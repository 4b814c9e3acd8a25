"""Messages as Slack stores them, and the text that a person sees in them."""

from __future__ import annotations

from typing import Any

from bot.sandbox.state.records import Message
from tests.handlers.world import World

MARKS: list[tuple[str, str]] = [
    ("open <http://main.py|main.py> now", "open main.py now"),
    ("open <https://main.rs/|main.rs>", "open main.rs"),
    ("<https://example.com>", "https://example.com"),
    ("<https://example.com/a|the page>", "the page (https://example.com/a)"),
    ("<https://example.com/?a=1&amp;b=2>", "https://example.com/?a=1&b=2"),
    ("<https://example.com|>", "https://example.com"),
    ("<mailto:bob@example.com|bob@example.com>", "bob@example.com"),
    ("<mailto:bob@example.com|write to Bob>", "write to Bob (bob@example.com)"),
    ("<tel:+4930123|+4930123>", "+4930123"),
    ("<@U0BOB|bob> knows", "@bob knows"),
    ("<@U0BOT> hello <@U0BOT|bobbin>", "hello"),
    ("in <#C0ROOM|room>", "in #room"),
    ("<!subteam^S1|@group> please", "@group please"),
    ("<!subteam^S1|group> please", "@group please"),
    ("<!subteam^S1> please", "@group please"),
    ("<!here> <!channel> <!everyone>", "@here @channel @everyone"),
    ("<!here|here> and <!channel|@channel>", "@here and @channel"),
    ("<!date^1392734382^{date_num}|18 February>", "18 February"),
    ("<!date^1392734382^{date_num}^https://example.com/|18 February>", "18 February"),
    ("<!date^1392734382^{date_num}>", "2014-02-18 14:39 UTC"),
    ("<!later|some day>", "some day"),
    ("a &lt; b &amp;&amp; c &gt; d", "a < b && c > d"),
    ("if a < b or c > d, List<String>", "if a < b or c > d, List<String>"),
    ("<ftp://example.com/z|the file>", "the file (ftp://example.com/z)"),
    ("typed &amp;lt; and &amp;copy;", "typed &lt; and &copy;"),
    ("```if a &lt; b: <http://x.py|x.py>```", "```if a < b: x.py```"),
    ("*bold* _it_ ~gone~ `code`\n&gt; quoted", "*bold* _it_ ~gone~ `code`\n> quoted"),
]
"""Raw text with each of Slack's marks, and what a person sees; the bot is U0BOT."""
NAMED_MARKS: list[tuple[str, str]] = [
    ("asked in <#C0GENERAL>?", "asked in #general?"),
    ("or <#C0RANDOM|>, maybe", "or #random, maybe"),
    ("not in <#C0LEADS>", "not in #private channel"),
    ("nor <#C0HIDDEN|>", "nor #private channel"),
    ("by <@U0DAN> in <#C0WATERCOOLER>", "by @dan in #watercooler"),
]
"""Marks without a name, and what a person sees; #leads and #hidden are private, and the bot is in #leads alone."""


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": list(elements)}],
    }


FORWARD: dict[str, Any] = {
    "is_share": True,
    "author_name": "Carol Chen",
    "text": "The &lt;boiler&gt; drips.",
    "fallback": "never read",
}
PREVIEW = {"from_url": "https://example.com/a", "title": "A page", "text": "What is in it."}
SEEN: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "a forward": ({"attachments": [FORWARD]}, ["Carol Chen", "The <boiler> drips."], ["never"]),
    "a forward of blocks": (
        {
            "attachments": [
                {
                    "is_msg_unfurl": True,
                    "author_id": "U0CAROL",
                    "message_blocks": [
                        {"message": {"blocks": [rich({"type": "text", "text": "It drips."})]}}
                    ],
                }
            ]
        },
        ["It drips."],
        [],
    ),
    "a forward of an alert": (
        {
            "attachments": [
                {**FORWARD, "text": "", "attachments": [{"title": "Disk", "text": "is full"}]}
            ]
        },
        ["Carol Chen", "Disk", "is full"],
        ["never"],
    ),
    "a forward that has a fallback alone": (
        {"attachments": [{"is_share": True, "fallback": "[noon] carol: It drips."}]},
        ["It drips."],
        [],
    ),
    "a forward whose words stand in the message inside it": (
        {
            "attachments": [
                {
                    "author_name": "Carol Chen",
                    "message_blocks": [
                        {
                            "message": {
                                "text": "Look at this.",
                                "attachments": [{"title": "Disk", "text": "is full"}],
                            }
                        }
                    ],
                    "fallback": "never read",
                }
            ]
        },
        ["Carol Chen", "Look at this.", "Disk", "is full"],
        ["never"],
    ),
    "an alert with everything": (
        {
            "attachments": [
                {
                    "pretext": "From the monitor",
                    "author_name": "Pager",
                    "title": "Disk",
                    "title_link": "https://example.com/disk",
                    "text": "is full",
                    "fields": [{"title": "Host", "value": "db1"}, {"value": "unnamed"}],
                    "footer": "since noon",
                    "fallback": "never read",
                }
            ]
        },
        ["From the monitor", "Pager", "Disk", "is full", "Host: db1", "unnamed", "since noon"],
        ["never"],
    ),
    "an alert that has a fallback alone": (
        {"attachments": [{"fallback": "Disk is full"}]},
        ["Disk is full"],
        [],
    ),
    "an alert of blocks in an attachment": (
        {"attachments": [{"blocks": [section("Disk is full")], "fallback": "[no preview]"}]},
        ["Disk is full"],
        ["no preview"],
    ),
    "blocks": (
        {
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": "Deploy"}},
                {
                    **section("of *web*"),
                    "fields": [{"type": "mrkdwn", "text": "by <@U0BOB|bob>"}],
                },
                {"type": "context", "elements": [{"type": "mrkdwn", "text": "at noon"}]},
                {"type": "markdown", "text": "has <b>failed</b>"},
                {"type": "image", "image_url": "https://x.invalid", "alt_text": "a red graph"},
                {"type": "table", "rows": [[{"type": "raw_text", "text": "cell"}]]},
            ]
        },
        ["Deploy", "of *web*", "by @bob", "at noon", "has <b>failed</b>", "a red graph", "cell"],
        [],
    ),
    "rich text alone": (
        {
            "blocks": [
                rich(
                    {"type": "text", "text": "a < b for "},
                    {"type": "broadcast", "range": "here"},
                    {"type": "link", "url": "http://main.py", "text": "main.py"},
                    {"type": "emoji", "name": "tada"},
                    {"type": "date", "timestamp": 1392734382, "fallback": "in February"},
                ),
                {
                    "type": "rich_text",
                    "elements": [
                        {
                            "type": "rich_text_list",
                            "style": "ordered",
                            "elements": [{"elements": [{"type": "text", "text": "first"}]}],
                        },
                        {
                            "type": "rich_text_preformatted",
                            "elements": [{"type": "text", "text": "x = 1"}],
                        },
                        {
                            "type": "rich_text_quote",
                            "elements": [{"type": "text", "text": "said"}],
                        },
                    ],
                },
            ]
        },
        ["a < b for @here", "main.py", ":tada:", "in February", "1. first", "x = 1", "> said"],
        ["http://"],
    ),
    "blocks of kinds that are rare, and one that is not known": (
        {
            "blocks": [
                {
                    **section("Tasks"),
                    "accessory": {
                        "type": "checkboxes",
                        "options": [{"text": {"type": "mrkdwn", "text": "buy milk"}, "value": "1"}],
                    },
                },
                {**section("Load"), "accessory": {"type": "image", "alt_text": "a steep curve"}},
                {
                    "type": "context",
                    "elements": [
                        {"type": "image", "image_url": "https://x.invalid", "alt_text": "failed"},
                        {"type": "plain_text", "text": "on main"},
                    ],
                },
                {
                    "type": "video",
                    "title": {"type": "plain_text", "text": "Demo"},
                    "author_name": "Ann",
                    "alt_text": "never read",
                },
                {
                    "type": "call",
                    "call": {"v1": {"name": "Standup", "join_url": "https://z.example"}},
                },
                {"type": "plan", "title": "Plan", "tasks": [{"title": "measure"}]},
                {
                    "type": "carousel",
                    "elements": [{"type": "card", "title": {"type": "mrkdwn", "text": "A card"}}],
                },
                {"type": "tomorrows", "text": {"type": "plain_text", "text": "Not known yet"}},
                {
                    "type": "actions",
                    "elements": [
                        {"type": "button", "text": {"type": "plain_text", "text": "Press"}},
                        {
                            "type": "radio_buttons",
                            "options": [{"text": {"type": "plain_text", "text": "Pizza"}}],
                        },
                    ],
                },
            ]
        },
        [
            *("Tasks", "buy milk", "Load", "a steep curve", "failed on main", "Demo", "Ann"),
            *(
                "Standup",
                "https://z.example",
                "Plan",
                "measure",
                "A card",
                "Not known yet",
                "Pizza",
            ),
        ],
        ["never", "Press"],
    ),
    "rich text whose styles mean something": (
        {
            "blocks": [
                rich(
                    {"type": "text", "text": "run "},
                    {"type": "text", "text": "rm x", "style": {"code": True, "bold": True}},
                    {"type": "text", "text": ", not "},
                    {"type": "text", "text": "rm y", "style": {"strike": True}},
                )
            ]
        },
        ["run `rm x`, not ~rm y~"],
        [],
    ),
    "an alert with numbers, by a service": (
        {
            "attachments": [
                {
                    "service_name": "Jira",
                    "title": "ABC-1",
                    "fields": [{"title": "Votes", "value": 5}],
                    "actions": [{"type": "button", "text": "Press"}],
                }
            ]
        },
        ["Jira", "ABC-1", "Votes: 5"],
        ["Press"],
    ),
    "a preview of a link in the text": (
        {"text": "Read <https://example.com/a>", "attachments": [PREVIEW]},
        ["Read https://example.com/a"],
        ["A page", "What is in it."],
    ),
    "an alert about another page than that of the link in the text": (
        {
            "text": "Compare <https://example.com/a/b>",
            "attachments": [{"from_url": "https://example.com/a/", "title": "The other one"}],
        },
        ["Compare https://example.com/a/b", "The other one"],
        [],
    ),
    "a preview of a link that Slack spells in another way": (
        {
            "text": "Read <https://example.com/a%20b>",
            "attachments": [{"from_url": "https://example.com/a b", "title": "A page"}],
        },
        ["Read https://example.com/a%20b"],
        ["A page"],
    ),
    **{
        f"a link to a message, shown with {' and '.join(marks)}": (
            {
                "text": "See <https://t.slack.com/archives/C1/p1>",
                "attachments": [
                    {
                        **marks,
                        "from_url": "https://t.slack.com/archives/C1/p1",
                        "author_name": "Carol Chen",
                        "text": "The boiler drips.",
                        "footer": "Thread in #general",
                    }
                ],
            },
            ["See https://t.slack.com/archives/C1/p1", "Carol Chen", "The boiler drips."],
            ["Thread in"],
        )
        for marks in (
            {"is_reply_unfurl": True},
            {"is_thread_root_unfurl": True},
            {"channel_id": "C1", "ts": "1.1"},
        )
    },
    "a table with a caption": (
        {
            "blocks": [
                {
                    "type": "data_table",
                    "caption": "Sales of pears",
                    "rows": [
                        [{"type": "raw_text", "text": "July"}, {"type": "raw_number", "value": 5}]
                    ],
                }
            ]
        },
        ["Sales of pears", "July | 5"],
        [],
    ),
    "an app's preview of a link in the text": (
        {
            "text": "Read <https://example.com/a?x=1&amp;y=2>",
            "attachments": [{**PREVIEW, "app_unfurl_url": "https://example.com/a?x=1&y=2"}],
        },
        ["Read https://example.com/a?x=1&y=2"],
        ["A page"],
    ),
}
"""Fields of a message, the words that a person sees in it, and words that they do not see."""
SEEN_BY_NAME: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    **SEEN,
    "rich text with channels": (
        {
            "blocks": [
                rich(
                    {"type": "text", "text": "see "},
                    {"type": "channel", "channel_id": "C0GENERAL"},
                    {"type": "text", "text": " and "},
                    {"type": "channel", "channel_id": "C0LEADS"},
                )
            ]
        },
        ["see #general and #private channel"],
        ["C0"],
    ),
}
"""These, and a message whose words Slack has to be asked for."""


def post(world: World, user: str, fields: dict[str, Any], *, thread: str | None = None) -> str:
    """Posts in #general what Slack would store as this; gives its ts."""
    workspace = world.slack.workspace
    person = workspace.user(user)
    revision = workspace.revision("mrkdwn", fields.get("text", ""), fields.get("blocks", []))
    message = Message(
        channel="C0GENERAL",
        ts=workspace.next_ts(),
        user=person.id,
        thread_ts=thread,
        revisions=[revision],
        bot_id=person.bot_id,
        app_id=person.app_id,
        attachments=fields.get("attachments", []),
    )
    workspace.post(message)
    return message.ts
