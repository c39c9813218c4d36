"""Whole collections of codebases in one run: sources are cut into shards, documented by an engine, and merged.

`python -m generation.bulk` is the door. Leaves out how a shard is documented: that is `run_job`, on RunPod's workers
(`runpod_engine`) or in this process (`local_engine`), or OpenAI's Batch API (`batch_engine`).
"""
