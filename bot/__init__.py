"""Bobbin: Slack as the user interface for conversations with language models."""
