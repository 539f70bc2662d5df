"""Searchers that train one supernet: `init / step / derive`."""
