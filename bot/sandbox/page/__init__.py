"""The browser page of the sandbox: its HTTP and WebSocket protocol. The page itself is in `static/`."""
