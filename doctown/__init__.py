"""Turn a repository into a documentation pack."""
