"""People who are not allowed: every entry point refuses before anything is stored, and says so privately once a day."""

from __future__ import annotations

import asyncio

import pytest

from bot import strings
from bot.access.rules import Treatment, Verdict
from handlers.views.header_menu import HeaderChoice
from handlers.views.payloads import Subcommand, slash_command
from tests.access.conftest import WorldFactory
from tests.access.entry_points import IN_NO_CHANNEL, SLACK_ENTRY_POINTS, UNANSWERED, mention
from tests.access.listeners import NO_DOORS, Listeners
from tests.access.rules import RULES, becomes_outsider, refusing
from tests.access.scene import PLACE, WHO, stored, told, written
from tests.api.conftest import client, token_for
from tests.deadlines import patient_timing
from tests.handlers.conftest import TwoWorkspacesFactory
from tests.handlers.world import World
from tests.slow import slow_after


@pytest.mark.parametrize("rule", slow_after(1, RULES))
async def test_no_entry_point_in_slack_admits_a_refused_person(
    worlds: WorldFactory, rule: Verdict
) -> None:
    """Nothing is stored, no model is asked, nobody else sees anything, and the person is told once.

    No entry point is missing: the payloads that Slack sent reached every registered listener.
    """
    entry_points, listeners = SLACK_ENTRY_POINTS, Listeners.registered()
    if rule is Verdict.CHANNEL_NOT_ALLOWED:
        entry_points = {
            name: entry_point
            for name, entry_point in entry_points.items()
            if name not in IN_NO_CHANNEL
        }
    async with refusing(worlds, rule) as (world, scene):
        before, seen, heard = stored(world), written(world), told(world)
        sent = len(world.slack.deliveries)
        for attempt in entry_points.values():
            await attempt(scene)
        await world.idle()
        now = stored(world)
        assert [table for table, rows in now.items() if rows != before[table]] == []
        assert written(world) == seen
        assert list(world.models.journal) == []
        if entry_points is SLACK_ENTRY_POINTS:
            reached = listeners.reached_by(world.slack.deliveries[sent:])
            assert listeners.ids.keys() - reached == NO_DOORS
        places = 2 if rule is Verdict.CHANNEL_NOT_ALLOWED else 1  # the channel, and direct messages
        assert told(world)[len(heard) :].count(strings.NOT_ALLOWED[rule]) <= places
        assert set(told(world)) - set(heard) == {strings.NOT_ALLOWED[rule]}


def test_no_subcommand_and_no_entry_of_the_header_menu_is_forgotten() -> None:
    """One listener serves all subcommands, and one all entries."""
    texts = [name.removeprefix("/chats") for name in SLACK_ENTRY_POINTS if name[0] == "/"]
    asked = {slash_command({"user_id": WHO, "text": text}).subcommand for text in texts}
    chosen = {f"the header's {choice.capitalize()}" for choice in HeaderChoice}
    assert asked == set(Subcommand)
    assert chosen <= set(SLACK_ENTRY_POINTS)


async def until_told_again(world: World, text: str, heard: int, entry_point: str) -> None:
    await world.until(lambda: told(world).count(text) == heard + 1, entry_point)


async def test_every_door_in_slack_says_why(worlds: WorldFactory) -> None:
    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, scene):
        text = strings.NOT_ALLOWED[Verdict.USER_NOT_ALLOWED]
        for name, attempt in SLACK_ENTRY_POINTS.items():
            if name in UNANSWERED:
                continue
            heard = told(world).count(text)
            await attempt(scene)
            await until_told_again(world, text, heard, name)
            await world.execute("DELETE FROM done_once")


async def test_others_are_answered_under_every_rule(worlds: WorldFactory) -> None:
    async with worlds(
        bobbin_allowed_users=("u0bob", "T0SANDBOX/U0CAROL"),
        bobbin_allowed_channels=("C0*", "D*"),
        bobbin_guests=Treatment.IGNORE,
    ) as world:
        for user in ("bob",):
            thread = await world.start(f"From {user}?", user)
            assert len(await world.answered(thread)) == 1
        assert await token_for(world, "bob")


async def test_outsiders_and_guests_are_answered_where_the_rules_say_so(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_outsiders=Treatment.ANSWER) as world:
        becomes_outsider(world)
        world.slack.workspace.user("bob").is_restricted = True
        assert len(await world.answered(await world.start("From elsewhere?", WHO))) == 1
        assert len(await world.answered(await world.start("A guest's?", "bob"))) == 1


async def test_a_person_of_unknown_standing_counts_as_an_outsider(worlds: WorldFactory) -> None:
    """A message without its author's workspace, in a shared channel, while Slack does not respond."""
    async with worlds(timing=patient_timing(person_timeout=0.1)) as world:
        slack = world.slack
        slack.faults.add("users.info", error="internal_error", times=-1)
        world.forgive("internal_error", method="users.info")
        before = stored(world)
        event = {
            "type": "app_mention",
            "user": "U0NOBODY",
            "text": f"<@{slack.bot_user.id}> Who am I?",
            "ts": slack.workspace.next_ts(),
            "channel": slack.workspace.channel(PLACE).id,
        }
        slack.subscriptions.deliver(event, ext_shared=True)
        world.forgive("user_not_found", "channel_not_found")
        await world.idle()
        assert stored(world) == before
        assert list(world.models.journal) == []


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_a_possible_guest_waits_for_slack_if_guests_are_ignored(
    worlds: WorldFactory, who: str
) -> None:
    """They are asked to wait; a member is answered as soon as Slack responds; outsiders are still ignored."""
    timing = patient_timing(person_timeout=0.1)
    async with worlds(timing=timing, bobbin_guests=Treatment.IGNORE) as world:
        world.slack.workspace.user("bob").is_restricted = True
        world.slack.faults.add("users.info", error="internal_error", times=-1)
        world.forgive("internal_error", method="users.info")
        before = stored(world)
        bot = world.slack.bot_user.id
        await world.slack.conversations.say(who, PLACE, f"<@{bot}> Who am I?")
        unknown = strings.NOT_ALLOWED[Verdict.UNKNOWN]
        await world.until(lambda: unknown in told(world, who), "the reason")
        await world.idle()
        assert stored(world) == before
        world.slack.faults.clear()  # the question in progress is asked again
        asked = "users.info"
        await world.until(
            lambda: any(call.error is None for call in world.slack.calls_of(asked)), "Slack tells"
        )
        await world.idle()
        if who == "alice":
            assert len(await world.answered(await world.start("And now?", who))) == 1
        else:
            await world.slack.conversations.say(who, PLACE, f"<@{bot}> And now?")
            guest = strings.NOT_ALLOWED[Verdict.GUEST]
            await world.until(lambda: guest in told(world, who), "the rule")
            assert stored(world) == before


async def test_people_of_other_workspaces_of_the_organisation_are_members(
    make_workspaces: TwoWorkspacesFactory,
) -> None:
    """In a channel that two of its workspaces share; the home workspace alone does not decide it."""
    async with make_workspaces(enterprise="E0ORG") as workspaces:
        await workspaces.install(workspaces.slack, workspaces.second, enterprise="E0ORG")
        workspaces.forgive("team_not_found", method="chat.startStream")  # then it is shown by edits
        workspaces.slack.workspace.user("dan").team_id = "T0TWO"
        workspaces.slack.workspace.channel(PLACE).ext_shared = True
        workspaces.reply_to({"From the other workspace?": "Answer for a colleague."})
        thread = await workspaces.start("From the other workspace?", "dan")
        assert await workspaces.answered(thread) == ["Answer for a colleague."]
        await workspaces.idle()


async def test_members_are_recognised_without_asking_slack(worlds: WorldFactory) -> None:
    """The facts in messages and presses suffice, so nobody waits for Slack and no rate limit is used up."""
    async with worlds() as world:
        world.slack.faults.add("users.info", error="internal_error", times=-1)
        world.forgive("internal_error", method="users.info")
        thread = await world.start("Who am I?")
        assert len(await world.answered(thread)) == 1
        assert await token_for(world, "alice")
        await world.slack.views.open_home("alice")
        await world.until(lambda: world.slack.views.home("alice"), "the Home tab")
        await world.idle()
        assert not [line for line in world.lines() if line["event"] == "refused"]


async def test_what_others_say_to_each_other_is_not_answered_with_a_refusal(
    worlds: WorldFactory,
) -> None:
    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, scene):
        heard = told(world)
        people, bob = world.slack.conversations, world.slack.workspace.user("bob").id
        await people.say(WHO, PLACE, "Lunch, anybody?")
        lunch = await people.say("bob", PLACE, "Yes!")
        await people.say(WHO, PLACE, "At one?", lunch)
        await people.say(WHO, PLACE, f"<@{bob}> look at this", scene.chat)
        await world.idle()
        assert told(world) == heard


async def test_the_refusal_is_sent_once_a_day(worlds: WorldFactory) -> None:
    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, scene):
        text = strings.NOT_ALLOWED[Verdict.USER_NOT_ALLOWED]
        await asyncio.gather(*(mention(scene) for _ in range(5)))
        await world.idle()
        assert told(world).count(text) == 1
        await world.restart()
        await mention(scene)
        await world.idle()
        assert told(world).count(text) == 1
        await world.execute("DELETE FROM done_once")
        await mention(scene)
        await world.until(lambda: told(world).count(text) == 2, "the next day's notice")


async def test_no_list_shows_chats_of_channels_that_are_no_longer_allowed(
    worlds: WorldFactory,
) -> None:
    """Neither titles nor search results, at any entry point."""
    async with worlds() as world:
        for place, title in (("general", "Kept apart"), ("random", "Still listed")):
            world.entitle(title)
            await world.answered(await world.start("A question.", WHO, place), channel=place)
            await world.idle()
        token = await token_for(world)
        await world.restart(bobbin_allowed_channels=("C0RANDOM", "D*"))
        lists = []
        for words in ("", "question", "Kept"):
            (shown,) = await world.slack.interactions.command(WHO, "random", "/chats", words)
            lists.append(str(shown.blocks))
        await world.slack.views.open_home(WHO)
        home = await world.until(lambda: world.slack.views.home(WHO), "the Home tab")
        assert home is not None
        async with client(world, token) as http:
            for method, path in (
                ("GET", "/chat/conversations"),
                ("GET", "/chat/conversations?q=question"),
                ("POST", "/list-chats"),
            ):
                lists.append((await http.request(method, path, json={})).text)
        assert [text for text in (*lists, str(home.blocks)) if "Kept apart" in text] == []
        assert ["Still listed" in text for text in lists] == [True, True, False, True, True, True]


async def test_home_shows_nothing_but_the_reason(worlds: WorldFactory) -> None:
    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, _):
        await world.slack.views.open_home(WHO)
        text = strings.NOT_ALLOWED[Verdict.USER_NOT_ALLOWED]

        def shown() -> bool:
            view = world.slack.views.home(WHO)
            return view is not None and [b["text"]["text"] for b in view.blocks] == [text]

        await world.until(shown, "the reason")
