"""Types shared by all parts of the worker. Imports nothing else of the project."""
