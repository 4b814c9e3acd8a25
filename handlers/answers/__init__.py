"""Shows one answer in its Slack thread while it is being written."""
