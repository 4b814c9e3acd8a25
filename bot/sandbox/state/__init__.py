"""The state of a workspace: people, channels, messages, views. No I/O."""
