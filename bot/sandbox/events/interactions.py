"""Builds Slack's interaction payloads, sends them to the app and applies its responses."""

from __future__ import annotations

from typing import Any

from bot.sandbox.errors import NotAcknowledged
from bot.sandbox.events.delivery import EnvelopeDispatcher
from bot.sandbox.events.response_urls import ResponseUrls
from bot.sandbox.journal import Delivery
from bot.sandbox.state.records import Container, Message, View
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.validation.blocks import check_menu_answer
from bot.sandbox.variants import SlackVariants
from bot.sandbox.web_api.messages import message_json
from bot.sandbox.web_api.views import Modals, Triggers, view_json


class InteractionSender:
    """Sends clicks, menu queries, commands, shortcuts and modal submissions."""

    def __init__(
        self,
        workspace: Workspace,
        dispatcher: EnvelopeDispatcher,
        triggers: Triggers,
        response_urls: ResponseUrls,
        modals: Modals,
        variants: SlackVariants,
    ) -> None:
        self._workspace = workspace
        self._dispatcher = dispatcher
        self._triggers = triggers
        self._response_urls = response_urls
        self._modals = modals
        self._variants = variants

    # -- buttons and menus

    async def act(
        self, user: str, container: Container, action: Json, values: Json | None = None
    ) -> None:
        """Sends a click or a choice (`block_actions`). Raises NotAcknowledged if there is no acknowledgement within
        three seconds.
        """
        payload = self._payload("block_actions", user, container)
        payload["actions"] = [{**action, "action_ts": self._workspace.next_ts()}]
        if container.view is None:
            payload["state"] = {"values": values or {}}
        elif values is not None:
            container.view.values = values
            payload["view"]["state"] = {"values": values}
        payload["trigger_id"] = self._triggers.issue(user)
        if container.view is None:
            payload["response_url"] = self._response_urls.issue(user, container)
        await self._ask("interactive", "block_actions", payload, user, quiet=True)

    async def options(
        self, user: str, container: Container, block: Json, element: Json, query: str
    ) -> Json:
        """Asks the app for a menu's options. NotAcknowledged; InvalidAnswer when Slack would not show them."""
        payload = self._payload("block_suggestion", user, container)
        payload |= {
            "action_id": element["action_id"],
            "block_id": block.get("block_id"),
            "value": query,
        }
        delivery = await self._ask("interactive", "block_suggestion", payload, user, quiet=True)
        self._dispatcher.apply_answer(
            "block_suggestion", delivery, lambda: check_menu_answer(delivery.answer)
        )
        answer: Json = delivery.answer
        return answer

    def _payload(self, kind: str, user: str, container: Container) -> Json:
        payload = self._base(kind, user)
        if container.view is not None:
            payload |= self._home_of(user)
            payload |= {"view": view_json(self._workspace, container.view)}
            payload["container"] = {"type": "view", "view_id": container.view.id}
            return payload
        source: Any = container.message or container.ephemeral
        payload["container"] = {
            "type": "message",
            "message_ts": source.ts,
            "channel_id": source.channel,
            "is_ephemeral": container.ephemeral is not None,
        }
        if source.thread_ts:
            payload["container"]["thread_ts"] = source.thread_ts
        payload["channel"] = self._channel_json(source.channel)
        if container.message is not None:
            payload["message"] = message_json(self._workspace, container.message)
        return payload | (self._home_of(user) if self._variants.guests_name_their_own_team else {})

    def _home_of(self, user: str) -> Json:
        """In views Slack names the acting user's own workspace, which may be another one in a shared channel."""
        person = self._workspace.users[user]
        if person.team_id == self._workspace.team_id:
            return {}
        return {"team": {"id": person.team_id, "domain": "elsewhere"}, "enterprise": None}

    def _base(self, kind: str, user: str) -> Json:
        person = self._workspace.users[user]
        team, org = (
            {"id": self._workspace.team_id, "domain": self._workspace.domain},
            self._workspace.enterprise,
        )
        return {
            "type": kind,
            "team": team,
            "user": {
                "id": user,
                "username": person.name,
                "name": person.name,
                "team_id": person.team_id,
            },
            "api_app_id": self._workspace.app_id,
            "token": "sandbox-verification-token",
            "enterprise": None if org is None else {"id": org, "name": org},
            "is_enterprise_install": org is not None,
        }

    def _channel_json(self, channel_id: str) -> Json:
        channel = self._workspace.channels[channel_id]
        names = {"im": "directmessage", "group": "privategroup"}
        return {"id": channel.id, "name": names.get(channel.type, channel.name)}

    async def _ask(
        self, kind: Any, name: str, payload: Json, user: str, *, quiet: bool = False
    ) -> Delivery:
        """Raises NotAcknowledged, or LookupError when the app has no interactivity.

        Unless `quiet`, Slackbot also shows the user a notice.
        """
        if kind == "interactive" and not self._workspace.features.interactivity:
            raise LookupError("this app takes no interactions: its manifest has interactivity off")
        delivery = await self._dispatcher.request(kind, name, payload)
        if not delivery.acked:
            failure = NotAcknowledged(name, _failure(delivery))
            if not quiet:
                channel = str(
                    (payload.get("channel") or {}).get("id") or payload.get("channel_id") or ""
                )
                self._workspace.show_notice(
                    user, f"{name} failed with the error “{failure.error}”", channel
                )
            raise failure
        return delivery

    # -- commands and shortcuts

    async def command(self, user: str, channel: str, command: str, text: str) -> Delivery:
        """Sends a slash command. A message in the acknowledgement is shown at once."""
        person, conversation = self._workspace.users[user], self._workspace.channels[channel]
        url = self._response_urls.issue_for_command(user, channel)
        payload = {
            "token": "sandbox-verification-token",
            "team_id": person.team_id,
            "team_domain": self._workspace.domain,
            "channel_id": channel,
            "channel_name": {"im": "directmessage", "group": "privategroup"}.get(
                conversation.type, conversation.name
            ),
            "user_id": user,
            "user_name": person.name,
            "command": command,
            "text": text,
            "api_app_id": self._workspace.app_id,
            "is_enterprise_install": str(self._workspace.enterprise is not None).lower(),
            "response_url": url,
            "trigger_id": self._triggers.issue(user),
        }
        if self._workspace.enterprise is not None:
            payload["enterprise_id"] = self._workspace.enterprise
        delivery = await self._ask("slash_commands", command, payload, user)
        if isinstance(delivery.answer, dict) and (
            delivery.answer.get("text") or delivery.answer.get("blocks")
        ):
            self._dispatcher.apply_answer(
                command, delivery, lambda: self._response_urls.show(url, delivery.answer)
            )
        return delivery

    async def shortcut(self, user: str, callback_id: str, message: Message | None = None) -> None:
        """Sends a global shortcut, or one on a message."""
        kind = "message_action" if message is not None else "shortcut"
        payload = self._base(kind, user)
        payload |= {"callback_id": callback_id, "trigger_id": self._triggers.issue(user)}
        payload["action_ts"] = self._workspace.next_ts()
        if message is not None:
            payload["channel"] = self._channel_json(message.channel)
            payload |= {"message": message_json(self._workspace, message), "message_ts": message.ts}
            payload["response_url"] = self._response_urls.issue(
                user, Container([], message=message)
            )
        await self._ask("interactive", kind, payload, user)

    # -- modals

    async def submit(self, user: str, view: View, values: Json) -> dict[str, str]:
        """Submits a modal. Returns the app's errors by block id; without errors the modal closes or changes."""
        view.values = values
        view.errors = {}
        payload = self._base("view_submission", user)
        payload |= self._home_of(user)
        payload |= {
            "view": view_json(self._workspace, view),
            "trigger_id": self._triggers.issue(user),
        }
        payload["response_urls"] = self._chosen_response_urls(user, view)
        delivery = await self._ask("interactive", "view_submission", payload, user, quiet=True)
        return self._dispatcher.apply_answer(
            "view_submission",
            delivery,
            lambda: self._modals.apply_submission_answer(user, view, delivery.answer),
        )

    def _chosen_response_urls(self, user: str, view: View) -> list[Json]:
        """A response URL for each conversation that the person chose in a menu that offers one."""
        return [
            {
                "response_url": self._response_urls.issue_for_command(user, channel),
                "channel_id": channel,
                "action_id": action_id,
                "block_id": block["block_id"],
            }
            for block in view.blocks
            if (block.get("element") or {}).get("response_url_enabled")
            for action_id, value in view.values.get(block["block_id"], {}).items()
            if (channel := value.get("selected_conversation") or value.get("selected_channel"))
        ]

    async def closed(self, user: str, view: View, cleared: bool) -> None:
        """Tells the app that a modal was closed, if it asked for that."""
        if view.definition.get("notify_on_close"):
            payload = self._base("view_closed", user)
            payload |= {"view": view_json(self._workspace, view), "is_cleared": cleared}
            await self._ask("interactive", "view_closed", payload, user, quiet=True)


def _failure(delivery: Delivery) -> str:
    """The name that Slack's client gives to an unacknowledged command or interaction."""
    outcomes = {attempt.outcome for attempt in delivery.attempts}
    reached = outcomes.isdisjoint({"http_error", "connection_failed", "too_many_redirects"})
    return "operation_timeout" if reached else "dispatch_failed"
