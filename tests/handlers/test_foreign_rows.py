"""Work of workspaces served by other processes, in the same database: it is not touched, and is still there for
them.
"""

from __future__ import annotations

from bot.sandbox.models.scripts import ModelScript
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.two_workspaces import TwoWorkspaces, allow_events_of_unknown_workspaces
from tests.handlers.world import MODEL, Row, World

ENDLESS = 3_600.0
SOON = patient_timing(
    sweep_interval=0.1,
    thread_sweep_interval=0.1,
    thread_sweep_min_age=0.0,
    header_min_age=0.0,
    duplicate_menu_delay=0.0,
)
FOREIGN = "'T0FOREIGN'"
PAST = "'2001-01-01 00:00:00.000000'"


def _work(world: World, team: str) -> list[list[Row]]:
    """All rows of this workspace that say that something is to be done."""
    of_team = f"(SELECT a.message_id FROM answers a JOIN chats c ON c.id = a.chat_id WHERE c.team = {team})"
    return [
        world.rows(f"SELECT * FROM answers WHERE message_id IN {of_team} ORDER BY message_id"),
        world.rows(f"SELECT * FROM chores WHERE message_id IN {of_team} ORDER BY message_id"),
        world.rows(f"SELECT * FROM questions WHERE team = {team} ORDER BY id"),
    ]


async def _leave_work(world: World) -> list[str]:
    """Two threads in which everything is unfinished: one answer runs, the next one waits, one menu was not posted."""
    world.models.queue(MODEL, ModelScript(["Never"], first_after=ENDLESS))
    running = await world.start("One?")
    await world.until(lambda: len(world.requests()) == 1, "the model is asked")
    await world.slack.conversations.say("alice", "general", "Two?", running)
    await world.until(lambda: len(world.rows("SELECT * FROM answers")) == 2, "two answers")
    asked = await world.ask("Three?")
    await world.stop_bot()
    await world.execute("UPDATE questions SET menu_ts = NULL WHERE ts = ?", asked)
    world.slack.workspace.delete(world.menus(asked)[0])
    await world.execute(
        "INSERT INTO chores (message_id, kind, due_at, tries) "
        "SELECT message_id, 'clear_status', created_at, 0 FROM answers JOIN messages ON id = message_id"
    )
    await world.execute(f"UPDATE answers SET lease_until = {PAST} WHERE lease_until IS NOT NULL")
    return [running, asked]


async def test_one_token_takes_up_the_work_of_its_workspace_alone(worlds: WorldFactory) -> None:
    async with worlds(timing=SOON, bobbin_grace=0.0) as world:
        running, asked = await _leave_work(world)
        own = world.slack.workspace.team_id
        for table in ("chats", "questions"):
            await world.execute(f"UPDATE {table} SET team = {FOREIGN}")
        foreign, calls = _work(world, FOREIGN), len(world.slack.calls)
        await world.start_bot()
        assert await world.answered(await world.start("Mine?")) != []
        await world.until(lambda: not _work(world, f"'{own}'")[1], "its own after-work")
        assert _work(world, FOREIGN) == foreign
        threads = {call.args.get("thread_ts") for call in world.slack.calls[calls:]}
        assert not threads & {running, asked}
        await world.stop_bot()
        for table in ("chats", "questions"):
            await world.execute(f"UPDATE {table} SET team = '{own}' WHERE team = {FOREIGN}")
        world.say("The first.", "The second.")
        await world.start_bot()
        assert await world.answered(running, 2) == ["The first.", "The second."]
        await world.until(lambda: world.menus(asked), "the menu")


async def test_a_removed_app_leaves_its_work_until_it_is_installed_again(
    installed: TwoWorkspaces,
) -> None:
    allow_events_of_unknown_workspaces(installed)
    one, two = installed, installed.other
    thread = await one.start("one?")
    await one.answered(thread)
    await one.idle()
    await installed.uninstall(one.slack)
    await one.execute("UPDATE answers SET state = 'waiting', complete = 0, ending = NULL")
    assert await two.answered(await two.start("two?")) == ["Answer two."]
    await two.until(lambda: not two.chores(), "the other one's after-work")
    assert len(one.requests()) == 2
    assert (await installed.install(one.slack)).status_code == 200
    await one.until(lambda: len(one.ended(thread)) == 1, "it goes on")
    await one.idle()
    assert len(one.requests()) == 3
