"""A payload becomes a job and its symbols."""
