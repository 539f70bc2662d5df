"""Recurrent cells, as DARTS and ENAS search them."""
