"""The page of a table: what it holds, drawn."""
