"""The engine that documents shards as jobs of a RunPod endpoint."""
