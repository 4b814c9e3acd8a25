"""How much longer than Slack the sandbox waits for the bot in tests, because the machine may be busy with others."""

DEADLINE_SCALE = 10.0
"""Three seconds for an acknowledgement become thirty. A test that waits for a deadline to pass sets 1.0."""
