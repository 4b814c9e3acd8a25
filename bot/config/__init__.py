"""The settings: the only reader of the environment and `.env`. `settings` has all of them, by subject in the others."""
