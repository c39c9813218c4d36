"""Servers on the loopback that behave as the real ones do; each can be started by hand."""
