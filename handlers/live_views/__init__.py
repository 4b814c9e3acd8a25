"""Views in Slack that update themselves while users look at them."""
