"""Prepares a model's Markdown for Slack. Pure: no I/O, and no imports from outside this package.

An answer goes through `MentionGuard` (on the deltas), then `unstable_suffix` or `renderable` (what can be shown), and
`split` (what does not fit). The cost of a step grows with the size of the message, not of the answer.
"""
