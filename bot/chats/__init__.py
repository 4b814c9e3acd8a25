"""What people and programs may do with chats, independent of Slack and HTTP."""
