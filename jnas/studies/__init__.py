"""Questions over many seeds, each in a folder from which it goes on."""
