"""Bulk runs over collections of codebases: sources are partitioned into shards, documented by an engine and merged.

The command is `python -m generation.bulk`. A shard is documented by `run_job`, on RunPod's workers (`engines.runpod`)
or in this process (`engines.local`), or by OpenAI's Batch API (`engines.batch`).
"""
