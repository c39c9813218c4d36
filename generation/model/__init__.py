"""Send requests to the model and return outcomes. The only package that imports `openai`."""
