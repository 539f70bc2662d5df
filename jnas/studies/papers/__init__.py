"""What a paper takes from a study: tidy numbers, tables, sentences, pictures as files."""
