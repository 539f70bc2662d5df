"""Seals: a digest over all that a file says, kept in the file itself, so that no change of it goes unseen.

Files that were written before there were seals have none, and are read as they are.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

SEAL = "sha256"
"""The entry of a file's description that holds its seal."""


def sealed(said: Mapping[str, Any], arrays: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns what a file says with its seal.

    Args:
      said: A JSON object.
      arrays: What else the file holds.
    """
    return {**said, SEAL: _digest(said, arrays or {})}


def unseal(found: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
    """Returns what a file says without its seal, if it has one.

    Args:
      found: As JSON gives it.
      arrays: What else was found in the file.

    Raises:
      ValueError: The seal does not fit.
    """
    said = {name: value for name, value in found.items() if name != SEAL}
    if SEAL in found and found[SEAL] != _digest(said, arrays or {}):
        raise ValueError(f"what it says does not fit its {SEAL}")
    return said


def _digest(said: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(said))  # tuples are lists then, and all keys are text, which can be sorted
    digest = hashlib.sha256(json.dumps(as_read, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {list(array.shape)}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
