"""Packs as tools for agents, by the Model Context Protocol. Only `server` imports the SDK."""
