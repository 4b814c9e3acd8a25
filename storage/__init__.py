"""What outlives a process or is shared between processes: the database, and coordination through Redis."""
