"""Decides which call to Slack may be made when: a pure scheduler over token buckets, and the clock around it."""
