"""Parts of requests that models may refuse, and what is sent instead."""
