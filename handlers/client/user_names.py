"""Names of Slack users and channels, and users' languages: from memory, else the database, else Slack.

Slack's responses are cached; users' names and locales are stored too. A channel counts as a `User` here: ids are unique
within a workspace, and names replace both kinds of ids in texts in the same way.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

from bot.domain import User
from bot.errors import StorageError
from bot.languages.catalogues import make_ready
from bot.languages.language import Language, language_of, using_language
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from bot.text.mention_marks import MENTION_MARK
from bot.timing import Timing
from handlers.client.errors import NotInstalled, SlackError, SlackRejected
from handlers.client.slack_names import ask_account, is_channel
from handlers.client.workspaces import WorkspaceResolver
from storage.people import Account, People

log = get_logger(__name__)

NAME_TTL = 3600.0
"""Seconds for which a name is used without asking Slack again."""
UNKNOWN_TTL = 300.0
"""Seconds before asking Slack again for a name that it did not provide."""
RETRY_DELAY = 20.0
"""Seconds before asking Slack again after it was too busy or could not be reached."""
MAX_NAMES = 10_000
MAX_LOOKUPS = 50
"""Names that Slack may be asked for because of one message or thread."""
_MENTION = re.compile(
    rf"(?:@(?={MENTION_MARK}[UW])|#(?={MENTION_MARK}[CG])){MENTION_MARK}([A-Z0-9]{{2,21}})\b"
)
"""How `handlers.views.message_content` writes an id for which Slack provides no name."""


@dataclass(eq=False, slots=True)
class _LookUp:
    """A request to Slack for a name that is in progress."""

    task: asyncio.Task[None]
    kept_waiting: bool = False
    """Whether one caller has waited for it until the timeout; then no further caller waits."""


class UserNames:
    """Looks up names. Calling it returns a user's name, or None if it is unknown; it never raises.

    A caller waits at most `timing.user_name_timeout` for all names together, and only once: a slower look-up continues
    in the background, and its result is cached whatever it is.
    """

    def __init__(
        self,
        people: People,
        workspaces: WorkspaceResolver,
        tasks: Tasks,
        timing: Timing = Timing(),
    ) -> None:
        self._people = people
        self._workspaces = workspaces
        self._tasks = tasks
        self._timing = timing
        self._names: dict[User, str] = {}
        self._locales: dict[User, str] = {}
        self._asked_at: dict[User, float] = {}
        """When Slack was last asked, whatever the result."""
        self._lookups: dict[User, _LookUp] = {}

    async def __call__(self, user: User) -> str | None:
        return (await self.find([user])).get(user)

    async def known(self, users: Iterable[User]) -> dict[User, str]:
        """The names among these that are known without asking Slack."""
        wanted = set(users)
        missing = {user for user in wanted - self._names.keys() if self._is_due(user, UNKNOWN_TTL)}
        if missing:
            try:
                self._keep(await self._stored(missing))
            except StorageError as error:
                log.warning("names_not_read", reason=str(error))
        return {user: self._names[user] for user in wanted if user in self._names}

    async def _stored(self, users: Iterable[User]) -> dict[User, Account]:
        people = [user for user in users if not is_channel(user.id)]
        return await self._people.accounts(people) if people else {}

    async def language(self, user: User) -> Language:
        """The user's language according to Slack, with its catalogue loaded; English until it is known.

        Slack is asked in the background. The database is waited for, as long as for names.
        """
        language = await self.known_language(user)
        if user not in self._locales:
            self._ask({user}, UNKNOWN_TTL)
        return language

    async def known_language(self, user: User) -> Language:
        """The user's language, without asking Slack."""
        if user not in self._locales and self._is_due(user, UNKNOWN_TTL):
            reading = self._tasks.start(self.known([user]), name="locale")
            await asyncio.wait([reading], timeout=self._timing.user_name_timeout)
        return await make_ready(language_of(self._locales.get(user)))

    async def find(self, users: Iterable[User]) -> dict[User, str]:
        """The names that are known, or that Slack provides in time."""
        wanted = set(users)
        missing = wanted - (await self.known(wanted)).keys()
        self._ask(missing, UNKNOWN_TTL)
        await self._wait_for(missing)
        return {user: self._names[user] for user in wanted if user in self._names}

    async def note_locale(self, user: User, locale: str) -> None:
        """Slack reports the user's current locale; stored if the user is known. Raises StorageError."""
        await self.known([user])
        known = self._known(user)
        if known.name and known.locale != locale:
            await self._people.set_account(user, Account(known.name, locale))
            self._keep({user: Account(known.name, locale)})

    @asynccontextmanager
    async def using_language_of(self, user: User) -> AsyncIterator[None]:
        """Inside the block, texts are read in the user's language."""
        with using_language(await self.language(user)):
            yield

    async def settle(self, team: str, texts: Iterable[str]) -> None:
        """Waits for names in these texts for which Slack is being asked.

        Starts no look-ups: what looks like an id in a text may be ordinary text.
        """
        mentioned = {User(team, user) for text in texts for user in _MENTION.findall(text)}
        await self._wait_for(mentioned)

    async def learn(self, author: User, mentioned: Iterable[User]) -> None:
        """Asks Slack for unknown names, and for the author's current one. Returns when Slack has responded."""
        missing = {*mentioned} - (await self.known([author, *mentioned])).keys()
        self._ask({author}, NAME_TTL if author in self._names else UNKNOWN_TTL)
        self._ask(missing, UNKNOWN_TTL)
        running = [self._lookups[user].task for user in (author, *missing) if user in self._lookups]
        if running:
            await asyncio.wait(running)

    async def replace_ids(self, team: str, text: str) -> str:
        """The text with known names, such as "@Ada" and "#general", instead of the ids in Slack's markup.

        Ids without a name stay as they are, so that they can be replaced later.
        """
        users = {User(team, user) for user in _MENTION.findall(text)}
        found = await self.known(users) if users else {}
        return _MENTION.sub(
            lambda id: id[0][0] + found.get(User(team, id[1]), MENTION_MARK + id[1]), text
        )

    async def name_ids(self, team: str, text: str) -> str:
        """The text as people read it: with known names, and bare ids for all others."""
        return (await self.replace_ids(team, text)).replace(MENTION_MARK, "")

    def _ask(self, users: Iterable[User], every: float) -> None:
        """Has Slack asked for these names, except those requested in the last `every` seconds."""
        due = (user for user in users if self._is_due(user, every))
        for user in islice(due, MAX_LOOKUPS):
            task = self._tasks.start(self._look_up(user), name="user name")
            self._lookups[user] = _LookUp(task)
            task.add_done_callback(partial(self._on_answered, user))

    def _on_answered(self, user: User, _: asyncio.Task[None]) -> None:
        self._lookups.pop(user, None)

    def _is_due(self, user: User, every: float) -> bool:
        never = -every
        return (
            user not in self._lookups
            and time.monotonic() - self._asked_at.get(user, never) >= every
        )

    async def _wait_for(self, users: Iterable[User]) -> None:
        running = [self._lookups[user] for user in users if user in self._lookups]
        fresh = [lookup for lookup in running if not lookup.kept_waiting]
        if fresh:
            timeout = self._timing.user_name_timeout
            await asyncio.wait([lookup.task for lookup in fresh], timeout=timeout)
            for lookup in fresh:
                lookup.kept_waiting = True

    async def _look_up(self, user: User) -> None:
        """Asks Slack for a name and remembers the outcome."""
        max_wait = self._timing.user_lookup_timeout
        try:
            async with asyncio.timeout(max_wait):
                slack = await self._workspaces.client_for(user.team)
                account = await ask_account(slack, user.id, max_wait)
            if account and not is_channel(user.id) and account != self._known(user):
                await self._people.set_account(user, account)
        except (SlackError, NotInstalled, TimeoutError, StorageError) as error:
            log.info("name_unknown", reason=str(error) or type(error).__name__)
            refused = isinstance(error, SlackRejected | NotInstalled)
            self._asked_at[user] = time.monotonic() - (
                0.0 if refused else UNKNOWN_TTL - RETRY_DELAY
            )
            return
        self._keep({user: account} if account else {})
        self._asked_at[user] = time.monotonic()

    def _known(self, user: User) -> Account:
        return Account(self._names.get(user, ""), self._locales.get(user))

    def _keep(self, accounts: dict[User, Account]) -> None:
        if len(self._names) >= MAX_NAMES or len(self._asked_at) >= MAX_NAMES:
            self._names.clear()
            self._locales.clear()
            self._asked_at.clear()
        for user, account in accounts.items():
            self._names[user] = account.name
            if account.locale:
                self._locales[user] = account.locale
