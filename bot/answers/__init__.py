"""Writes answers: from a waiting row in the database to the stored end, safely across many processes."""
