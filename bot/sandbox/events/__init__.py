"""How events, commands and interactions reach the app, and how the app responds to them."""
