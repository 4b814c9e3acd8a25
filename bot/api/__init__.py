"""The HTTP side: the API for programs, health and metrics for operators, and what Slack calls in HTTP mode."""
