"""Slack: how its events reach the bot, what they mean here, and how an answer becomes messages."""
