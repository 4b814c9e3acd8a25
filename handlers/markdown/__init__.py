"""Prepares a model's Markdown for Slack. Pure: no I/O, and nothing outside of this package is imported.

For an answer the order of use is: `MentionGuard` on the deltas, then `unstable_suffix` or `renderable` for what can be
shown, and `split` for what does not fit. The cost of a step grows with the message that it is for, not with the answer.
"""
