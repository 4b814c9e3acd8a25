"""The servers that offer tools to models over the Model Context Protocol: the only home of `mcp` and `httpx2`."""
