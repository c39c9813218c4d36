"""The vocabulary of the worker: what flows between its parts. Imports nothing else of the project."""
