"""`assistant.threads.*` and `agents.sessions.*`: status lines, titles, prompts and sessions of threads."""

from __future__ import annotations

from functools import partial

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method

MAX_PROMPTS = 4
MAX_TITLE_LENGTH = 200
SESSION_STATUSES = ("active", "processing", "suspended", "closed")


def set_status(call: Call) -> Json:
    """`assistant.threads.setStatus`: cleared when the app posts, by an empty status, or after two minutes."""
    channel, root = _thread(call)
    loading = call.args.structure("loading_messages") if "loading_messages" in call.args else []
    if not isinstance(loading, list) or len(loading) > 10:
        raise SlackRefusal(
            "invalid_arguments", "[ERROR] 1 to 10 loading_messages [json-pointer:/loading_messages]"
        )
    if any(not isinstance(each, str) or not 1 <= len(each) <= 50 for each in loading):
        raise SlackRefusal("invalid_arguments", "[ERROR] loading messages have 1 to 50 characters")
    if "status" not in call.args:
        raise SlackRefusal("invalid_arguments", "[ERROR] missing required field: status")
    call.workspace.set_status(channel, root, call.args.text("status"), loading)
    return {}


def set_title(call: Call) -> Json:
    """`assistant.threads.setTitle`."""
    channel, root = _thread(call)
    title = call.args.required("title")
    if len(title) > MAX_TITLE_LENGTH:
        raise SlackRefusal(
            "invalid_arguments", f"[ERROR] must be less than {MAX_TITLE_LENGTH + 1} characters"
        )
    call.workspace.set_session(channel, root, title=title)
    return {}


def set_prompts(call: Call) -> Json:
    """`assistant.threads.setSuggestedPrompts`: for a thread, or without one for a new conversation."""
    channel = call.channel("channel_id")
    root = _thread(call)[1] if "thread_ts" in call.args else None
    prompts = call.args.items("prompts") or []
    if not 1 <= len(prompts) <= MAX_PROMPTS:
        raise SlackRefusal(
            "invalid_arguments", f"[ERROR] 1 to {MAX_PROMPTS} prompts [json-pointer:/prompts]"
        )
    for number, prompt in enumerate(prompts):
        if not all(
            isinstance(prompt.get(name), str) and prompt[name] for name in ("title", "message")
        ):
            raise SlackRefusal(
                "invalid_arguments",
                f"[ERROR] needs title and message [json-pointer:/prompts/{number}]",
            )
    shown: Json = {"title": call.args.text("title") or None, "prompts": prompts}
    call.workspace.prompts[channel.id, root] = shown
    call.workspace.emit("prompts", channel.id, thread_ts=root, **shown)
    return {}


def set_session_status(subscribed: frozenset[str], call: Call) -> Json:
    """`agents.sessions.setStatus`."""
    channel, root = _thread(call, "thread_ts_required")
    status = call.args.text("status")
    if status not in SESSION_STATUSES:
        raise SlackRefusal(
            "invalid_arguments", f"[ERROR] status must be one of {', '.join(SESSION_STATUSES)}"
        )
    title = call.args.text("title")
    if len(title) > MAX_TITLE_LENGTH:
        raise SlackRefusal(
            "invalid_arguments",
            f"[ERROR] title must be less than {MAX_TITLE_LENGTH + 1} characters",
        )
    fresh = call.workspace.thread_state(channel, root).session is None
    call.workspace.set_session(
        channel, root, status=status, title=title if title and fresh else None
    )
    if "agent_session_stopped" in subscribed:
        return {}
    return {"warning": "missing_agent_session_stopped_event_subscription"}


def rename_session(call: Call) -> Json:
    """`agents.sessions.rename`: of a session that a stream or a status has opened."""
    channel, root = _thread(call, "thread_ts_required")
    title = call.args.text("title")
    if not 1 <= len(title) <= MAX_TITLE_LENGTH:
        raise SlackRefusal(
            "invalid_arguments", f"[ERROR] title must have 1 to {MAX_TITLE_LENGTH} characters"
        )
    if call.workspace.thread_state(channel, root).session is None:
        raise SlackRefusal("session_not_found")
    call.workspace.set_session(channel, root, title=title)
    return {}


def _thread(call: Call, missing: str = "invalid_thread_ts") -> tuple[str, str]:
    channel = call.channel("channel_id")
    if call.workspace.bot.id not in channel.members:
        raise SlackRefusal(
            "not_authorized" if call.method.startswith("agents.") else "channel_not_found"
        )
    root = call.args.required("thread_ts", missing)
    if root not in channel.messages:
        raise SlackRefusal("invalid_thread_ts")
    return channel.id, root


def agent_methods(subscribed: frozenset[str]) -> dict[str, Method]:
    """The methods of this module; `subscribed` are the events that the app gets."""
    return {
        "assistant.threads.setStatus": Method(set_status, ("chat:write", "assistant:write")),
        "assistant.threads.setTitle": Method(set_title, ("assistant:write",)),
        "assistant.threads.setSuggestedPrompts": Method(set_prompts, ("assistant:write",)),
        "agents.sessions.setStatus": Method(
            partial(set_session_status, subscribed), ("chat:write",)
        ),
        "agents.sessions.rename": Method(rename_session, ("chat:write",)),
    }
