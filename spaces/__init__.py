"""Search spaces: encodings, fingerprints and features; nothing here trains."""
