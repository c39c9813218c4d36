"""The programs under test, each in a process of its own: this worker, and what people would otherwise use.

They run under different environments, so this package imports nothing but the standard library until a client is
chosen.
"""
