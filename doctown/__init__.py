"""Doctown turns a repository into a documentation pack.

It fetches the repository, parses its files, resolves references to a graph, has `generation` write the summaries, and
packs the result. Each step takes plain records and returns plain records.
"""
