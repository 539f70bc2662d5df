"""Drawings of architectures as files."""

import os
from typing import Any

import numpy as np

from jnas.core._vocabulary import Space
from jnas.io._svg_file import write_drawing


def save_drawing(space: Space, arch: Any, path: str | os.PathLike[str]) -> None:
    """Writes a drawing of an architecture as SVG or PDF, whichever the file's name ends with.

    Args:
      space: Of the architecture.
      arch: int `[E]`.
      path: Such as `cell.pdf`; fonts are embedded there.

    Raises:
      ValueError: The space has no drawings, or the name another ending.
      OSError: The file cannot be written.
    """
    if space.draw is None:
        raise ValueError(f"the space {space.name} has no drawings; `space.to_string(arch)` says an architecture")
    write_drawing(space.draw(np.asarray(arch)), path)
