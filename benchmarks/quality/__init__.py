"""Measure summaries of a real model against the docstrings that people wrote, and a real server that is killed."""
