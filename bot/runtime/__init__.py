"""What every process needs while it runs: tasks, its end, its memory, its HTTP server."""
