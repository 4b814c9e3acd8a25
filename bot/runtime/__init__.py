"""What every process needs while it runs: tasks, shutdown, memory, HTTP server."""
