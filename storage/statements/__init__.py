"""Statements that several repositories share: each function works inside a transaction of its caller."""
