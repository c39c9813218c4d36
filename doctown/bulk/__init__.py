"""Many repositories: one job for each, on RunPod or in this process, and an index of their packs."""
