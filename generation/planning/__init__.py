"""Decide which symbols are requested, grouped how, and in which order."""
