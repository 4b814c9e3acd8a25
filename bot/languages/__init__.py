"""The languages in which people read the bot's texts: which one is spoken, the catalogues, numbers and dates."""
