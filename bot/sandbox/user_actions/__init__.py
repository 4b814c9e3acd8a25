"""What people do in the workspace. The page and the tests act through these classes.

People and channels are named by id or by name; a channel `@name` is the DM with that person. Actions that Slack's own
client does not offer (a missing button, a channel one is not in) raise LookupError.
"""
