"""`views.*`: modals and App Homes, and what the response to a submission does to them."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from bot.sandbox.errors import InvalidAnswer, SlackRefusal
from bot.sandbox.state.records import View
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.validation.blocks import check_view
from bot.sandbox.web_api.calls import Call, Method

MAX_STACKED_MODALS = 3
MAX_EARLIER = 5
"""Replaced contents of a view in which a click still finds its element."""


def view_json(workspace: Workspace, view: View) -> Json:
    """A view as Slack's JSON."""
    shown = {"private_metadata": "", "callback_id": "", "external_id": "", **view.definition}
    shown |= {
        "id": view.id,
        "team_id": workspace.team_id,
        "state": {"values": view.values},
        "hash": view.hash,
    }
    shown |= {
        "root_view_id": view.root_id,
        "previous_view_id": view.previous_id,
        "app_id": workspace.app_id,
    }
    return shown | {
        "bot_id": workspace.bot.bot_id,
        "app_installed_team_id": workspace.enterprise or workspace.team_id,
    }


class Triggers:
    """Trigger ids: short-lived, single-use permissions to open a modal."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._issued: dict[str, tuple[float, str]] = {}
        self._used: set[str] = set()

    def issue(self, user: str) -> str:
        trigger = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self._issued[trigger] = (
            self._workspace.clock() + self._workspace.limits.trigger_ttl,
            user,
        )
        return trigger

    def redeem(self, trigger: str) -> str:
        """The person whom a trigger id was issued for; SlackRefusal if it is unknown, used or expired."""
        if trigger in self._used:
            raise SlackRefusal("exchanged_trigger_id")
        if trigger not in self._issued:
            raise SlackRefusal("invalid_trigger_id")
        expires, user = self._issued[trigger]
        if self._workspace.clock() >= expires:
            raise SlackRefusal("expired_trigger_id")
        self._used.add(trigger)
        return user


class Modals:
    """All users' modals and App Homes."""

    def __init__(self, workspace: Workspace, triggers: Triggers) -> None:
        self._workspace = workspace
        self._triggers = triggers

    def open(self, trigger: str, definition: Any) -> View:
        """Opens a modal, in place of any open ones."""
        check_view(definition, "modal")
        user = self._triggers.redeem(trigger)
        self._workspace.modals[user] = []
        return self._stack(user, definition)

    def push(self, trigger: str, definition: Any) -> View:
        """Opens a modal on top of the one the trigger came from."""
        check_view(definition, "modal")
        user = self._triggers.redeem(trigger)
        if len(self._workspace.modals.get(user, ())) >= MAX_STACKED_MODALS:
            raise SlackRefusal("push_limit_reached")
        return self._stack(user, definition)

    def update(self, view: View, definition: Any, expected_hash: str = "") -> View:
        """Replaces a view's content; `hash_conflict` if it has changed since."""
        if expected_hash and expected_hash != view.hash:
            raise SlackRefusal("hash_conflict")
        check_view(definition, view.type)
        self._replace(view, definition)
        view.hash = _new_hash()
        view.errors = {}
        self._workspace.emit_views_changed(view.user)
        return view

    def publish(self, user: str, definition: Any, expected_hash: str = "") -> View:
        """Publishes a person's App Home."""
        check_view(definition, "home")
        home = self._workspace.homes.get(user)
        if expected_hash and (home is None or expected_hash != home.hash):
            raise SlackRefusal("hash_conflict")
        if home is None:
            home = self._view(user, definition)
            self._workspace.homes[user] = home
        self._replace(home, definition)
        home.hash = _new_hash()
        self._workspace.emit("home", user=user, view=home)
        return home

    def _replace(self, view: View, definition: Any) -> None:
        view.earlier = [view.blocks, *view.earlier][:MAX_EARLIER]
        view.definition = self._with_block_ids(definition)

    def close(self, view: View) -> bool:
        """Closes a modal; with `clear_on_close` the whole stack. Returns whether the stack was cleared."""
        stack = self._workspace.modals.get(view.user, [])
        cleared = bool(view.definition.get("clear_on_close"))
        if cleared:
            stack.clear()
        elif view.id in stack:
            stack.remove(view.id)
        self._workspace.emit_views_changed(view.user)
        return cleared

    def apply_submission_answer(self, user: str, view: View, answer: Any) -> dict[str, str]:
        """Applies the response to a submission. Returns its errors by block id, if it has any."""
        action = answer.get("response_action") if isinstance(answer, dict) else None
        if action == "errors":
            view.errors = _checked_errors(view, answer.get("errors"))
            self._workspace.emit("view_errors", user=user, view=view)
            return dict(view.errors)
        if action == "clear":
            self._workspace.modals[user] = []
            self._workspace.emit_views_changed(user)
        elif action == "update":
            view.values = {}
            self.update(view, answer.get("view"))
        elif action == "push":
            self._push_answer(user, answer.get("view"))
        elif action is None:
            self.close(view)
        else:
            raise InvalidAnswer("invalid_response_action", [f"unknown response_action {action!r}"])
        return {}

    def _push_answer(self, user: str, definition: Any) -> None:
        check_view(definition, "modal")
        if len(self._workspace.modals.get(user, ())) >= MAX_STACKED_MODALS:
            raise InvalidAnswer(
                "push_limit_reached", ["no more than three modals on top of each other"]
            )
        self._stack(user, definition)

    def _stack(self, user: str, definition: Json) -> View:
        stack = self._workspace.modals.setdefault(user, [])
        view = self._view(user, definition)
        if stack:
            view.root_id, view.previous_id = stack[0], stack[-1]
        stack.append(view.id)
        self._workspace.emit_views_changed(user)
        return view

    def _view(self, user: str, definition: Json) -> View:
        view_id = self._workspace.new_id("V")
        view = View(view_id, user, self._with_block_ids(definition), _new_hash(), view_id)
        self._workspace.views[view_id] = view
        return view

    def _with_block_ids(self, definition: Json) -> Json:
        """Slack adds a block id if the app gave none."""
        return {
            **definition,
            "blocks": self._workspace.with_block_ids(definition.get("blocks", ())),
        }


def _new_hash() -> str:
    return f"{secrets.randbelow(10**10)}.{secrets.token_hex(4)}"


def _checked_errors(view: View, errors: Any) -> dict[str, str]:
    inputs = {block.get("block_id") for block in view.blocks if block.get("type") == "input"}
    if not isinstance(errors, dict) or not errors or not errors.keys() <= inputs:
        raise InvalidAnswer(
            "invalid_errors",
            [f"errors must name input blocks of the view: {sorted(map(str, inputs))}"],
        )
    return {str(block): str(error) for block, error in errors.items()}


def open_view(modals: Modals, call: Call) -> Json:
    """`views.open`."""
    view = modals.open(_trigger(call), call.args.structure("view"))
    return {"view": view_json(call.workspace, view)}


def push_view(modals: Modals, call: Call) -> Json:
    """`views.push`."""
    view = modals.push(_trigger(call), call.args.structure("view"))
    return {"view": view_json(call.workspace, view)}


def update_view(modals: Modals, call: Call) -> Json:
    """`views.update`, by `view_id` or `external_id`."""
    view = call.workspace.views.get(call.args.text("view_id"))
    if external := call.args.text("external_id"):
        named = (
            each
            for each in call.workspace.views.values()
            if each.definition.get("external_id") == external
        )
        view = next(named, None)
    if view is None or (
        view.type == "modal" and view.id not in call.workspace.modals.get(view.user, ())
    ):
        raise SlackRefusal("not_found")
    modals.update(view, call.args.structure("view"), call.args.text("hash"))
    return {"view": view_json(call.workspace, view)}


def publish_view(modals: Modals, call: Call) -> Json:
    """`views.publish`."""
    if not call.workspace.features.home_tab:
        raise SlackRefusal("not_enabled")
    user = call.workspace.users.get(call.args.required("user_id"))
    if user is None:
        raise SlackRefusal("user_not_found")
    view = modals.publish(user.id, call.args.structure("view"), call.args.text("hash"))
    return {"view": view_json(call.workspace, view)}


def _trigger(call: Call) -> str:
    return call.args.text("interactivity_pointer") or call.args.required("trigger_id")


def view_methods(modals: Modals) -> dict[str, Method]:
    """The methods of this module."""
    return {
        "views.open": Method(partial(open_view, modals)),
        "views.push": Method(partial(push_view, modals)),
        "views.update": Method(partial(update_view, modals)),
        "views.publish": Method(partial(publish_view, modals)),
    }
