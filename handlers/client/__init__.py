"""Slack's Web API: calls within the rate limits, their errors, and look-ups."""
