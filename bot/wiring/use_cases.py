"""The use cases that people and API clients have, on top of the repositories and the parts that write answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bot.access.chat_access import ChatAccess
from bot.access.membership import Membership
from bot.chats.announcing import Announce, announcer
from bot.chats.api_service import ApiService
from bot.chats.approvals import ApprovalService
from bot.chats.attachments.sent_files import SentFiles
from bot.chats.branches import BranchService
from bot.chats.channels import ChannelService
from bot.chats.chat_request_lifecycle import RequestLifecycle
from bot.chats.chat_request_service import ChatRequestService
from bot.chats.continuations import ContinueService
from bot.chats.export import Exporter
from bot.chats.feed import Feed
from bot.chats.service import ChatService
from bot.chats.successors import SuccessorService
from bot.chats.usage import UsageService
from bot.config.settings import Settings
from bot.wiring.answering import Answering
from bot.wiring.resources import Resources
from handlers.client.channels import SlackChannels
from storage.repositories import Repositories


@dataclass(frozen=True, eq=False)
class UseCases:
    """Each use case is built once, when it is first used."""

    settings: Settings
    resources: Resources
    repositories: Repositories
    answering: Answering

    @cached_property
    def announce(self) -> Announce:
        return announcer(self.resources.publisher, self.answering.engine.wake)

    @cached_property
    def membership(self) -> Membership:
        return Membership(
            self.repositories.chats,
            SlackChannels(self.resources.workspaces),
            self.resources.publisher,
            self.resources.tasks,
            self.resources.timing,
        )

    @cached_property
    def channels(self) -> ChannelService:
        return ChannelService(
            self.repositories.channel_settings,
            self.answering.models,
            self.resources.tools,
            has_tools=bool(self.settings.tools.servers),
        )

    # -- chats -------------------------------------------------------------------------------------------------

    @cached_property
    def lifecycle(self) -> RequestLifecycle:
        return RequestLifecycle(self.repositories.requests)

    @cached_property
    def requests(self) -> ChatRequestService:
        return ChatRequestService(
            requests=self.repositories.requests,
            lifecycle=self.lifecycle,
            chats=self.repositories.chats,
            people=self.repositories.people,
            channels=self.channels,
            models=self.answering.models,
            announce=self.announce,
            ledger=self.repositories.ledger,
            limit=self.settings.bobbin_max_messages,
        )

    @cached_property
    def service(self) -> ChatService:
        return ChatService(
            chats=self.repositories.chats,
            answers=self.repositories.answers,
            chat_requests=self.repositories.requests,
            requests=self.requests,
            people=self.repositories.people,
            models=self.answering.models,
            publisher=self.resources.publisher,
            announce=self.announce,
            wake=self.answering.engine.wake,
            limit=self.settings.bobbin_max_messages,
        )

    @cached_property
    def approvals(self) -> ApprovalService:
        return ApprovalService(
            self.repositories.tool_calls,
            self.resources.publisher,
            self.answering.engine.wake,
            self.answering.after_work.start,
        )

    # -- successors --------------------------------------------------------------------------------------------

    @cached_property
    def continuations(self) -> ContinueService:
        return ContinueService(
            chats=self.repositories.chats,
            successors=self.repositories.successors,
            models=self.answering.models,
            summaries=self.repositories.summaries,
            summarizer=self.answering.summarizer,
            turns_of=self.answering.prompts.turns,
            ledger=self.repositories.ledger,
            timing=self.resources.timing,
        )

    @cached_property
    def branches(self) -> BranchService:
        return BranchService(
            chats=self.repositories.chats,
            answers=self.repositories.answers,
            successors=self.repositories.successors,
            models=self.answering.models,
            announce=self.announce,
        )

    @cached_property
    def successors(self) -> SuccessorService:
        return SuccessorService(
            chats=self.repositories.chats,
            successors=self.repositories.successors,
            branches=self.branches,
        )

    # -- what is read ------------------------------------------------------------------------------------------

    @cached_property
    def exporter(self) -> Exporter:
        return Exporter(
            self.repositories.transcripts,
            self.repositories.people,
            self.repositories.personal_data,
            self.answering.models.label,
        )

    @cached_property
    def usage(self) -> UsageService:
        return UsageService(self.repositories.ledger, self.resources.access_control.is_admin)

    @cached_property
    def feed(self) -> Feed:
        return Feed(
            coordination=self.resources.coordination,
            chats=self.repositories.chats,
            answers=self.repositories.answers,
            on_delivery=self.membership.note_delivery,
        )

    # -- the API -----------------------------------------------------------------------------------------------

    @cached_property
    def api(self) -> ApiService:
        return ApiService(
            chats=self.repositories.chats,
            answers=self.repositories.answers,
            models=self.answering.models,
            people=self.repositories.people,
            continuations=self.continuations,
            branches=self.branches,
            files=SentFiles(self.resources.documents, self.answering.voice_clips),
            access=ChatAccess(
                self.repositories.chats, self.resources.access_control.rules, self.membership
            ),
            announce=self.announce,
            fitter=self.resources.image_fitter,
            exporter=self.exporter,
            pictures=self.repositories.pictures,
            approvals=self.approvals,
            claims=self.repositories.claims,
            wake=self.answering.engine.wake,
            limit=self.settings.bobbin_max_messages,
        )
