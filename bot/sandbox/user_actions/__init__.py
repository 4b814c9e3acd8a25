"""What people do in the workspace. The page and the tests act through these classes.

People and channels are named by id or by name; a channel `@name` is the DM with that person. What Slack's own client
does not offer (a button that is not there, a channel one is not in) raises LookupError.
"""
