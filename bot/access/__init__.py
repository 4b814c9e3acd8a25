"""Who may use Bobbin, where, and for how long: the operator's rules, and what Slack says about people and channels."""
