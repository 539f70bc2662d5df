"""Search spaces: encodings, fingerprints and features; nothing here trains."""

from jnas.spaces._categorical import categorical
from jnas.spaces._nats_size import nats_size

__all__ = ["categorical", "nats_size"]
