"""`python -m bot` is `bobbin`."""

from bot.cli import main

if __name__ == "__main__":
    main()
