"""JSON Schemas of all that enters and leaves."""
