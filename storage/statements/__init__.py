"""Statements that several repositories share: each function works inside its caller's transaction."""
