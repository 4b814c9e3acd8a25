"""API tokens."""

from __future__ import annotations

from bot.languages.texts import Plural

API_ACCESS_ISSUED = (
    "Your API token, shown only this once:\n```{token}```\n"
    "Anyone with this token can read and write your chats in this workspace. "
    "`{command} token revoke` ends it. How to use it: docs/api.md, or /docs at Bobbin's address."
)
API_ACCESS_LIFE = (
    "I don't understand how long the token should be valid. "
    "Use a number of hours, days or weeks, for example `{command} token 30d`."
)
API_ACCESS_HEADING = "*Your API tokens* ({count})"
API_ACCESS_MORE = Plural("…and {count} older one", "…and {count} older ones")
API_ACCESS_LINE = "• made {date}, {ends}, {used}"
API_ACCESS_ENDS = "ends {date}"
API_ACCESS_ENDLESS = "valid until revoked"
API_ACCESS_USED = "last used {date}"
API_ACCESS_UNUSED = "never used"
API_ACCESS_REVOKED = "Done: all your API tokens are revoked."
API_ACCESS_NONE = "You have no API token."
