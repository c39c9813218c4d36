"""Engines, which document the shards of a bulk run: in this process, on RunPod, or by OpenAI's Batch API."""
