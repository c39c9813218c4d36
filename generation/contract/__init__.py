"""JSON Schemas of the worker's inputs and outputs."""
