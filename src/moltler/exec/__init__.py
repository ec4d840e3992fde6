"""Running plans and actions; the door to DuckDB."""
