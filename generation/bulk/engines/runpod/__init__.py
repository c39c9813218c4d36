"""Shards as jobs of a RunPod endpoint."""
