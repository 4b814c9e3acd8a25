"""Alembic's environment: `storage.engine.migrate` provides the connection and the transaction around it."""

from __future__ import annotations

from alembic import context

from storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite can alter most of a table only by recreating it
    compare_type=True,
)
context.run_migrations()
