"""Slack's Web API: calls within the rate limits, their errors, and what is looked up by them."""
