"""How Slack reaches the bot: Socket Mode or HTTP, the pages that install the app, and the Bolt application."""
