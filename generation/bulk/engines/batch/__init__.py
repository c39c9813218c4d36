"""The engine that documents a run through OpenAI's Batch API."""
