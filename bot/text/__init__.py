"""Text and JSON from outside: encodings, split characters, marked mentions."""
