"""Shards as batches of OpenAI's Batch API."""
