"""The HTTP side: the API for programs, health and metrics for operators, and Slack's requests in HTTP mode."""
