"""Parts of a request that models may refuse, and what is sent to them instead."""
