"""`api.test`, `auth.*`, `bots.*`, `users.*`, `team.*`, `dnd.*`, `emoji.*`, `usergroups.*`, and opening sockets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.journal import public_arguments
from bot.sandbox.state.records import User
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method
from bot.sandbox.web_api.pages import next_page, page_of

PICTURE_SIZES = (24, 32, 48, 72, 192, 512)
NEVER = 1
"""The time that Slack returns for a do-not-disturb period that does not exist."""


def api_test(call: Call) -> Json:
    """`api.test`: echoes its arguments; needs no token."""
    if error := call.args.text("error"):
        raise SlackRefusal(error, args=public_arguments(call.args.values))
    return {"args": public_arguments(call.args.values)}


def auth_test(call: Call) -> Json:
    """`auth.test`."""
    bot, organisation = call.workspace.bot, call.workspace.enterprise
    more: Json = {} if organisation is None else {"enterprise_id": organisation}
    return more | {
        "url": f"{call.workspace.base_url}/",
        "team": call.workspace.team_name,
        "user": bot.name,
        "team_id": call.workspace.team_id,
        "user_id": bot.id,
        "bot_id": bot.bot_id,
        "is_enterprise_install": False,
    }


def auth_teams(call: Call) -> Json:
    """`auth.teams.list`: the one workspace that the app is in."""
    team = {"id": call.workspace.team_id, "name": call.workspace.team_name}
    return {"teams": [team], **next_page("")}


def open_connection(issue_ticket: Callable[[], str], call: Call) -> Json:
    """`apps.connections.open`: a single-use URL for one socket."""
    ticket = issue_ticket()
    host = call.workspace.base_url.partition("://")[2]
    return {"url": f"ws://{host}/link/?ticket={ticket}&app_id={call.workspace.app_id}"}


def bots_info(call: Call) -> Json:
    """`bots.info`."""
    bots = (user for user in call.workspace.users.values() if user.bot_id == call.args.text("bot"))
    user = next(bots, None)
    if user is None:
        raise SlackRefusal("bot_not_found")
    bot = {
        "id": user.bot_id,
        "deleted": False,
        "name": user.name,
        "updated": 0,
        "app_id": user.app_id,
        "user_id": user.id,
        "icons": {f"image_{size}": _picture(call.workspace, user) for size in (36, 48, 72)},
    }
    return {"bot": bot}


def user_json(call: Call, user: User) -> Json:
    """A person or a bot as `users.info` shows it."""
    locale = {"locale": user.locale} if call.args.flag("include_locale") else {}
    organisation = None if user.is_stranger else call.workspace.enterprise
    more: Json = {"enterprise_user": {"enterprise_id": organisation}} if organisation else {}
    return more | {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "deleted": user.is_deactivated,
        "color": user.color.lstrip("#"),
        "real_name": user.real_name,
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "profile": profile_json(call, user),
        "is_admin": user.is_admin,
        "is_owner": user.is_admin,
        "is_primary_owner": False,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": False,
        "is_stranger": user.is_stranger,
        "updated": 0,
        **locale,
    }


def profile_json(call: Call, user: User) -> Json:
    """A profile; with an e-mail address only for apps that may see it."""
    first, _, last = user.real_name.partition(" ")
    shown: Json = {
        "title": "",
        "phone": "",
        "skype": "",
        "real_name": user.real_name,
        "real_name_normalized": user.real_name,
        "display_name": user.name,
        "display_name_normalized": user.name,
        "first_name": first,
        "last_name": last,
        "status_text": "",
        "status_emoji": "",
        "status_expiration": 0,
        "avatar_hash": user.id.lower(),
        "team": user.team_id,
    }
    shown |= {f"image_{size}": _picture(call.workspace, user) for size in PICTURE_SIZES}
    if user.is_bot:
        return shown | {"api_app_id": user.app_id, "bot_id": user.bot_id, "always_active": True}
    return shown | ({"email": _email(user)} if "users:read.email" in call.scopes else {})


def _picture(workspace: Workspace, user: User) -> str:
    return f"{workspace.base_url}/sandbox/avatar/{user.id}.svg"


def _email(user: User) -> str:
    return f"{user.name}@example.com"


def _user(call: Call, name: str = "user") -> User:
    user = call.workspace.users.get(call.args.required(name, "user_not_found"))
    if user is None:
        raise SlackRefusal("user_not_found")
    return user


def users_info(call: Call) -> Json:
    """`users.info`."""
    return {"user": user_json(call, _user(call))}


def users_list(call: Call) -> Json:
    """`users.list`; without a limit, everybody."""
    page, cursor = page_of(call, list(call.workspace.users.values()), 1000)
    members = [user_json(call, user) for user in page]
    return {"members": members, "cache_ts": int(call.workspace.clock()), **next_page(cursor)}


def users_lookup_by_email(call: Call) -> Json:
    """`users.lookupByEmail`: everybody's address is their name at example.com."""
    wanted = call.args.required("email").casefold()
    people = [user for user in call.workspace.users.values() if not user.is_bot]
    found = next((user for user in people if _email(user) == wanted), None)
    if found is None:
        raise SlackRefusal("users_not_found")
    return {"user": user_json(call, found)}


def users_profile(call: Call) -> Json:
    """`users.profile.get`; without a user, the app's own."""
    user = _user(call) if "user" in call.args else call.workspace.bot
    return {"profile": profile_json(call, user)}


def users_presence(call: Call) -> Json:
    """`users.getPresence`: everybody is active."""
    if "user" in call.args:
        _user(call)
    return {"presence": "active"}


def users_set_presence(call: Call) -> Json:
    """`users.setPresence`: accepted, without effect."""
    if call.args.text("presence") not in ("auto", "away"):
        raise SlackRefusal("invalid_presence")
    return {}


def team_info(call: Call) -> Json:
    """`team.info`."""
    workspace = call.workspace
    if call.args.text("team") not in ("", workspace.team_id):
        raise SlackRefusal("team_not_found")
    team = {
        "id": workspace.team_id,
        "name": workspace.team_name,
        "url": f"{workspace.base_url}/",
        "domain": workspace.domain,
        "email_domain": "example.com",
        "icon": {"image_default": True},
        "avatar_base_url": f"{workspace.base_url}/sandbox/avatar/",
        "is_verified": False,
    }
    if workspace.enterprise is not None:
        team |= {"enterprise_id": workspace.enterprise, "enterprise_name": workspace.enterprise}
    return {"team": team}


def team_profile(call: Call) -> Json:
    """`team.profile.get`: the workspace has no custom fields."""
    return {"profile": {"fields": [], "sections": []}}


def dnd_info(call: Call) -> Json:
    """`dnd.info`: do-not-disturb is off for everybody."""
    if "user" in call.args:
        _user(call)
    return _dnd()


def dnd_team(call: Call) -> Json:
    """`dnd.teamInfo`."""
    users = call.args.strings("users")
    if len(users) > 50:
        raise SlackRefusal("too_many_users")
    return {"users": {user: _dnd() for user in users if user in call.workspace.users}}


def _dnd() -> Json:
    return {"dnd_enabled": False, "next_dnd_start_ts": NEVER, "next_dnd_end_ts": NEVER}


def emoji_list(call: Call) -> Json:
    """`emoji.list`: the aliases that every workspace begins with."""
    aliases = {"shipit": "squirrel", "white_square": "white_large_square"}
    shown: Json = {"emoji": {name: f"alias:{other}" for name, other in aliases.items()}}
    shown["cache_ts"] = f"{call.workspace.clock():.6f}"
    return shown | ({"categories": []} if call.args.flag("include_categories") else {})


def usergroups_list(call: Call) -> Json:
    """`usergroups.list`: there are none."""
    return {"usergroups": []}


def usergroup_members(call: Call) -> Json:
    """`usergroups.users.list`."""
    call.args.required("usergroup")
    raise SlackRefusal("no_such_subteam")


def connection_methods(issue_ticket: Callable[[], str]) -> dict[str, Method]:
    """The method that opens sockets; `issue_ticket` returns a ticket or raises SlackRefusal."""
    return {
        "apps.connections.open": Method(partial(open_connection, issue_ticket), caller="app"),
    }


USER_METHODS = {
    "api.test": Method(api_test, caller="anyone"),
    "auth.test": Method(auth_test),
    "auth.teams.list": Method(auth_teams),
    "bots.info": Method(bots_info, ("users:read",)),
    "dnd.info": Method(dnd_info, ("dnd:read",)),
    "dnd.teamInfo": Method(dnd_team, ("dnd:read",)),
    "emoji.list": Method(emoji_list, ("emoji:read",)),
    "team.info": Method(team_info, ("team:read",)),
    "team.profile.get": Method(team_profile, ("users.profile:read",)),
    "usergroups.list": Method(usergroups_list, ("usergroups:read",)),
    "usergroups.users.list": Method(usergroup_members, ("usergroups:read",)),
    "users.getPresence": Method(users_presence, ("users:read",)),
    "users.info": Method(users_info, ("users:read",)),
    "users.list": Method(users_list, ("users:read",)),
    "users.lookupByEmail": Method(users_lookup_by_email, ("users:read.email",)),
    "users.profile.get": Method(users_profile, ("users.profile:read",)),
    "users.setPresence": Method(users_set_presence, ("users:write",)),
}
