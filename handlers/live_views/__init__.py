"""Views in Slack that update themselves while somebody looks at them."""
