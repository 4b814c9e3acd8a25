"""Lets `python -m bot` do what `bobbin` does."""

from bot.cli import main

if __name__ == "__main__":
    main()
