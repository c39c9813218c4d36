"""Requests to the model become outcomes. The only package that imports `openai`."""
