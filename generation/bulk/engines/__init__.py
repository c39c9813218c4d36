"""How the shards of a bulk run are documented: in this process, on RunPod, or by OpenAI's Batch API."""
