"""What an answer has besides its text, as the API shows it. The docstrings are part of the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from bot.domain.steps import Step
from bot.domain.tool_calls import CallState, Decision, StoredCall, parsed_arguments
from storage.pictures import Picture


class SourceLink(BaseModel):
    """A page that an answer rests on."""

    title: str
    url: str = Field(description="An https address.")


class PictureLink(BaseModel):
    """A picture of a message."""

    name: str
    type: str = Field(description="Its MIME type.")
    url: str = Field(description="Where it can be had with the same token.")

    @classmethod
    def of(cls, chat_id: str, picture: Picture) -> PictureLink:
        message = f"/chat/conversations/{chat_id}/messages/{picture.message_id}"
        return cls(name=picture.name, type=picture.mime, url=f"{message}/images/{picture.position}")


class StepOut(BaseModel):
    """What the model did besides writing."""

    kind: Literal["thinking", "search", "document", "tools", "tool"]
    name: str = Field(description="Of a tool; else empty.")
    status: Literal["running", "waiting", "done", "failed", "denied", "unknown"]
    seconds: float | None

    @classmethod
    def of(cls, step: Step) -> StepOut:
        return cls(
            kind=step.kind.value, name=step.name, status=step.status.value, seconds=step.seconds
        )


_DECIDED: dict[CallState, Literal["waiting", "denied"]] = {
    CallState.ASKED: "waiting",
    CallState.DENIED: "denied",
}


class ApprovalOut(BaseModel):
    """A call of a tool about which the asker decides."""

    id: str = Field(description="For `POST …/approvals/{id}`.")
    message: str = Field(description="The id of the answer that waits for it.")
    tool: str = Field(examples=["tickets/close"], description="`server/tool`.")
    arguments: dict[str, Any] = Field(description="What the tool would be called with: data.")
    asker: str | None = Field(description="The Slack id of whoever decides: they asked.")
    status: Literal["waiting", "allowed", "denied"]

    @classmethod
    def of(cls, call: StoredCall) -> ApprovalOut:
        return cls(
            id=call.approval,
            message=call.answer_id,
            tool=call.path,
            arguments=parsed_arguments(call.call),
            asker=call.asker,
            status=_DECIDED.get(call.state, "allowed"),
        )


class DecisionIn(BaseModel):
    """What the asker says about a call of a tool."""

    decision: Decision = Field(
        description="`once`: it is made. `always`: and so are later calls of the same tool for your questions in this "
        "conversation. `deny`: it is not made, and the model is told."
    )


class DecidedApproval(BaseModel):
    approval: ApprovalOut
