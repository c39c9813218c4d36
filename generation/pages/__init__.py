"""Self-contained HTML pages of figures, charts and tables."""
