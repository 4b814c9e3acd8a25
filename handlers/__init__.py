"""Slack: how its events reach us, what they mean here, and how an answer becomes messages."""
