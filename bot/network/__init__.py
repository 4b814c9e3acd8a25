"""How this process reaches other servers: through which proxies, and by which certificates it trusts them.

Every HTTP client gets its connections from one `Network`, so that all treat the environment alike.
"""

from bot.network.connector import DIRECT, Network

__all__ = ["DIRECT", "Network"]
