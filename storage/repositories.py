"""All repositories of one database; each gives access to one kind of stored data."""

from __future__ import annotations

from collections.abc import Sequence

from bot.usage.limits import Limits
from storage.action_claims import ActionClaims
from storage.answers import Answers
from storage.channel_settings import ChannelSettingsStore
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.chores import Chores
from storage.engine.database import Database
from storage.erasure import Erasure
from storage.ledger import Ledger
from storage.people import People
from storage.personal_data import PersonalData
from storage.pictures import Pictures
from storage.search_index import SearchIndex
from storage.served_teams import Serves
from storage.stop_buttons import StopButtons
from storage.successors import Successors
from storage.summaries import Summaries
from storage.tool_call_history import ToolCallHistory
from storage.tool_calls import ToolCalls
from storage.transcripts import Transcripts


class Repositories:
    def __init__(
        self,
        database: Database,
        limits: Limits,
        serves: Serves,
        channels: Sequence[str],
        approval_life: float,
    ) -> None:
        """`limits`: what people may use. `serves`: the workspaces that this process works for. `channels`: patterns of
        the channels whose chats are listed; empty: all.

        `approval_life`: the most seconds that a tool call waits for a decision.
        """
        self.chats = Chats(database, limits=limits, channels=channels)
        self.answers = Answers(database, limits, serves)
        self.chores = Chores(database, serves)
        self.requests = ChatRequests(database, serves)
        self.people = People(database)
        self.claims = ActionClaims(database)
        self.summaries = Summaries(database)
        self.successors = Successors(database, limits, serves)
        self.channel_settings = ChannelSettingsStore(database)
        self.stop_buttons = StopButtons(database)
        self.ledger = Ledger(database, limits)
        self.transcripts = Transcripts(database)
        self.personal_data = PersonalData(database)
        self.pictures = Pictures(database)
        self.erasure = Erasure(database)
        self.tool_calls = ToolCalls(database, limits, approval_life)
        self.tool_call_history = ToolCallHistory(database)
        self.search_index = SearchIndex(database)
