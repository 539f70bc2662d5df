"""The hash of a table, by which a study knows it again."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from jnas.tables._file import header_words
from jnas.tables._table import Table


def table_digest(table: Table, curves: Sequence[str] = ()) -> str:
    """Returns the SHA-256 of a table's header and arrays, however they came to be.

    Args:
      table: The table.
      curves: Names of the curves that count. Others are left out: they are large, and nothing depends on them.
    """
    digest = hashlib.sha256(json.dumps(header_words(table.header), sort_keys=True).encode())
    for name in sorted(n for n in table.names if "_curve/" not in n or n in curves):
        array = np.ascontiguousarray(table.read(name))
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
