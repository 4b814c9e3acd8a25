"""How the parts of the bot are built from each other; `bot.app` opens and starts them."""
