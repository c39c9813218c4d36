"""Summaries without a model, from what the context itself says."""
