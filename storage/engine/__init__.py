"""Connections, transactions, column types and migrations, for SQLite and PostgreSQL alike."""
