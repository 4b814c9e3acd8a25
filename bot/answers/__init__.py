"""Writes answers: from one that waits in the database to its stored end, safely across many processes."""
