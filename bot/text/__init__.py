"""Text and JSON as others send them: encodings, characters cut in two, marked mentions."""
