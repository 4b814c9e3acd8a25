"""Slack payloads parsed into values, and values rendered as Block Kit. Pure functions."""
