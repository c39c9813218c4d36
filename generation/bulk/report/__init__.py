"""Reports of runs: their course over time, and what their results say."""
