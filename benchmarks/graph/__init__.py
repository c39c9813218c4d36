"""Measure the graph: its edges and definitions against compilers, its speed, and what hostile files do to it."""
