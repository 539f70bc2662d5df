"""The frame of a page and of a picture."""
