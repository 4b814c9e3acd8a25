"""The languages of the bot's texts: the current language, the catalogues, and number and date formats."""
