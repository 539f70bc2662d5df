"""The cells of a NAS-Bench-101 file: gathered record by record, then encoded and checked all at once."""

from typing import Any

import jax
import numpy as np

from jnas.io._text import short
from jnas.spaces.nasbench101._cells import (
    INPUT,
    MAX_VERTICES,
    NUM_EDGES,
    OPERATIONS,
    OUTPUT,
    fingerprint,
    is_valid_cell,
    published_hash,
)

_CHECKED = 4096  # cells whose published hash is computed: in Python, a fifth of a millisecond each

_judge = jax.jit(jax.vmap(lambda arch: (is_valid_cell(arch), fingerprint(arch))))


def bad_record(where: str, number: int, position: int, what: str) -> ValueError:
    """Returns the error of a record whose data have the right checksum but are wrong."""
    return ValueError(
        f"{where}: record {number} at byte {position:,} {what}; pass nasbench_full.tfrecord, nasbench_only108.tfrecord "
        "or another file of their format, as its source has it"
    )


class CellList:
    """The cells of a file, in the order in which they come."""

    def __init__(self, where: str):
        """Starts with no cell.

        Args:
          where: What error messages call the file.
        """
        self.where = where
        self.num_other_parameters = 0
        self._rows: dict[str, int] = {}
        self._graphs: list[tuple[str, str]] = []  # adjacency and operations of each cell, as its first record has them
        self._origins: list[tuple[int, int]] = []  # number and byte of that record
        self._others: dict[tuple[int, str, str], tuple[int, int]] = {}  # other graphs with a cell's hash, and where
        self._operations: dict[str, list[int]] = {}  # of each list that has come: there are a few hundred
        self._parameters = np.zeros(1 << 12, np.int64)  # of each cell, and room for more

    def __len__(self) -> int:
        return len(self._graphs)

    def find(self, digest: Any, adjacency: Any, operations: Any, number: int, position: int) -> int:
        """Returns the number of a record's cell, which may be new.

        Raises:
          TypeError: The hash is not even hashable.
          ValueError: The record does not describe a cell; the message goes on after "record 7 at byte 1,000 ".
        """
        row = self._rows.get(digest, -1)
        if row >= 0 and self._graphs[row] == (adjacency, operations):
            return row
        self._check(digest, adjacency, operations)
        if row < 0:
            row = self._rows[digest] = len(self._graphs)
            self._graphs.append((adjacency, operations))
            self._origins.append((number, position))
        else:  # isomorphic, as `finish` checks
            self._others.setdefault((row, adjacency, operations), (number, position))
        return row

    def _check(self, digest: Any, adjacency: Any, operations: Any) -> None:
        if not isinstance(digest, str) or len(digest) != 32 or set(digest) - set("0123456789abcdef"):
            raise ValueError(f"has the hash {short(repr(digest), 60)}, expected 32 hexadecimal digits")
        if not isinstance(operations, str) or not isinstance(adjacency, str):
            raise ValueError("has an adjacency or operations that are no texts")
        vertices = operations.count(",") + 1
        if not 2 <= vertices <= MAX_VERTICES:
            raise ValueError(f"has a cell of {vertices} vertices, expected 2 to {MAX_VERTICES}")
        if len(adjacency) != vertices**2 or set(adjacency) - set("01"):
            raise ValueError(
                f"has the adjacency {short(repr(adjacency), 60)}, expected {vertices**2} digits 0 and 1 for its "
                f"{vertices} operations"
            )
        if operations not in self._operations:
            first, *inner, last = operations.split(",")
            if first != INPUT or last != OUTPUT or set(inner) - set(OPERATIONS):
                raise ValueError(
                    f"has the operations {short(repr(operations), 160)}, expected {INPUT}, then any of "
                    f"{', '.join(OPERATIONS)}, then {OUTPUT}"
                )
            self._operations[operations] = [OPERATIONS.index(name) for name in inner]

    def hash_of(self, row: int) -> str:
        """Returns the hash of a cell."""
        return list(self._rows)[row]

    def note_parameters(self, rows: np.ndarray, counts: np.ndarray) -> None:
        """Keeps the first number of parameters of each cell, and counts the numbers that differ from it."""
        while len(self) > len(self._parameters):
            self._parameters = np.concatenate([self._parameters, np.zeros_like(self._parameters)])
        new = self._parameters[rows] == 0
        # In reverse, so that of several records of a new cell the first one's number stays.
        self._parameters[rows[new][::-1]] = counts[new][::-1]
        self.num_other_parameters += int((self._parameters[rows] != counts).sum())

    def parameters(self) -> np.ndarray:
        """Returns the numbers of trainable parameters, int64 `[N]`."""
        return self._parameters[: len(self)]

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the cells in the order of their hashes.

        Returns:
          Encoded cells int8 `[N, 26]`, their hashes uint8 `[N, 16]`, and the number of each among those that came,
          int64 `[N]`.

        Raises:
          ValueError: A graph is none of the benchmark's, two hashes stand for one cell, one stands for two, or one of
            those that are checked is not its graph's.
        """
        archs = self._encode(self._graphs, self._origins)
        words = self._valid_fingerprints(archs, self._origins)
        self._check_hashes(archs, words)
        if self._others:
            graphs, origins = [key[1:] for key in self._others], list(self._others.values())
            others = self._encode(graphs, origins)
            wrong = self._valid_fingerprints(others, origins) != words[[key[0] for key in self._others]]
            if wrong.any():
                row = int(wrong.argmax())
                digest = self.hash_of(list(self._others)[row][0])
                raise self._bad(origins[row], f"has the hash {digest}, which an earlier record has for another cell")
        digests = np.array(list(self._rows), "S32")
        order = np.argsort(digests, kind="stable")
        hashes = np.frombuffer(bytes.fromhex(digests[order].tobytes().decode()), np.uint8).reshape(-1, 16)
        return archs[order], hashes, order

    def _encode(self, graphs: list[tuple[str, str]], origins: list[tuple[int, int]]) -> np.ndarray:
        """Returns cells int8 `[N, 26]`."""
        archs = np.zeros((len(graphs), NUM_EDGES + MAX_VERTICES - 2), np.int8)
        sizes = np.array([len(adjacency) for adjacency, _ in graphs])
        upper = np.triu_indices(MAX_VERTICES, 1)
        for vertices in range(2, MAX_VERTICES + 1):
            rows = np.flatnonzero(sizes == vertices**2)
            if not len(rows):
                continue
            digits = np.frombuffer("".join([graphs[row][0] for row in rows]).encode(), np.uint8) - ord("0")
            matrices = digits.reshape(len(rows), vertices, vertices)
            lower = np.tril(matrices).any(axis=(1, 2))
            if lower.any():
                first = int(rows[lower.argmax()])
                raise self._bad(
                    origins[first],
                    f"has the adjacency {graphs[first][0]}, which is not strictly upper triangular: edges go from "
                    "earlier to later vertices",
                )
            whole = np.zeros((len(rows), MAX_VERTICES, MAX_VERTICES), np.int8)
            places = np.array([*range(vertices - 1), MAX_VERTICES - 1])
            whole[:, places[:, None], places] = matrices
            archs[rows, :NUM_EDGES] = whole[:, upper[0], upper[1]]
            inner = np.array([self._operations[graphs[row][1]] for row in rows], np.int8)
            archs[rows, NUM_EDGES : NUM_EDGES + vertices - 2] = inner.reshape(len(rows), vertices - 2)
        return archs

    def _valid_fingerprints(self, archs: np.ndarray, origins: list[tuple[int, int]]) -> np.ndarray:
        """Returns the fingerprints of cells `[N, 26]` as uint64 `[N]`; ValueError where one is not valid."""
        padded = np.zeros((1 << max(len(archs) - 1, 7).bit_length(), archs.shape[1]), np.int32)  # of a few shapes
        padded[: len(archs)] = archs
        valid, words = (np.asarray(found)[: len(archs)] for found in _judge(padded))
        if not valid.all():
            raise self._bad(
                origins[int(valid.argmin())],
                "has a cell that is not in the benchmark: expected a path from the input to the output and at most 9 "
                "edges",
            )
        joined: np.ndarray = words.astype(np.uint64) @ np.array([1 << 32, 1], np.uint64)
        return joined

    def _check_hashes(self, archs: np.ndarray, words: np.ndarray) -> None:
        """Raises where hashes do not fit the cells: all must be as different, and some are computed."""
        digests = list(self._rows)
        order = np.argsort(words, kind="stable")
        same = np.flatnonzero(words[order][1:] == words[order][:-1])
        suspects = {int(row) for i in same[:2] for row in (order[i], order[i + 1])}
        sample = np.linspace(0, len(archs) - 1, min(len(archs), _CHECKED)).astype(np.int64)
        for row in sorted(suspects | set(sample.tolist())):
            expected = published_hash(archs[row])
            if digests[row] != expected:
                raise self._bad(
                    self._origins[row], f"has the hash {digests[row]}, but its graph is the cell {expected}"
                )

    def _bad(self, origin: tuple[int, int], what: str) -> ValueError:
        return bad_record(self.where, *origin, what)
