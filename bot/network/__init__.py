"""How this process reaches other servers: which proxies it uses, and which certificates it trusts.

Every HTTP client gets its connections from one `Network`, so that all treat the environment alike.
"""

from bot.network.connector import DIRECT, Network

__all__ = ["DIRECT", "Network"]
