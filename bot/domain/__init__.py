"""The nouns that all layers share, as frozen values that need hardly more than the standard library.

A *chat* belongs to a Slack thread or, when it was started through the API, to no thread yet. It holds numbered
*messages*. An assistant message that is still to be written is an *answer*; its row in the database is the job.
"""

from bot.domain.answers import (
    WHOLE_CHAT,
    Answer,
    AnswerResult,
    MessageRef,
    NearBudget,
    PromptFacts,
    Usage,
)
from bot.domain.chats import (
    DEFAULT_TITLE,
    Chat,
    Message,
    Role,
    Source,
    Status,
    Thread,
    TitleBy,
    User,
)
from bot.domain.files import (
    PDF,
    Attachment,
    AttachmentKind,
    Image,
    SharedFile,
)
from bot.domain.models import (
    ModelInfo,
    ModelRef,
    Price,
)

__all__ = [
    "DEFAULT_TITLE",
    "PDF",
    "WHOLE_CHAT",
    "Answer",
    "AnswerResult",
    "Attachment",
    "AttachmentKind",
    "Chat",
    "Image",
    "Message",
    "MessageRef",
    "ModelInfo",
    "ModelRef",
    "NearBudget",
    "Price",
    "PromptFacts",
    "Role",
    "SharedFile",
    "Source",
    "Status",
    "Thread",
    "TitleBy",
    "Usage",
    "User",
]
