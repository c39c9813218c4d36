"""Doctown's generation worker: symbol contexts in, one or two sentences a symbol out.

The way through the package is one direction: `schemas` parses, `planner` and `prompt_builder` decide, `generator` runs
the documenter (`openai_client` or `offline`), and everything after that folds outcomes: `events`, `progress`, `report`,
`storage`. `job.run_job` is all of it, once. docs/ARCHITECTURE.md has the map.
"""
