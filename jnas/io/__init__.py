"""What goes in and out: files written whole, archives, pickles under restriction, progress."""
