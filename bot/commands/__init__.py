"""The work of the commands, one module for each group of them; `bot.cli` parses their arguments."""
