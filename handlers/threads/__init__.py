"""What the bot writes in threads besides answers: menus, headers, notices, reactions, and their recovery."""
