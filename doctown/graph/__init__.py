"""From the records of all files to the graph: imports to files, calls to symbols, centrality."""
