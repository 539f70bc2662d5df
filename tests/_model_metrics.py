"""Records of trainings and their messages as the files of NAS-Bench-101 hold them, for tests to write."""

import base64
import json
import struct

import numpy as np

from jnas.io._tfrecord import frame_record
from jnas.spaces.nasbench101._cells import from_matrix, published_hash


def encode_metrics(evaluations, parameters, total_seconds):
    """A message, with evaluations by number of the field: what `parse_metrics` reads."""
    message = b""
    for fields in evaluations:
        inner = b""
        for field, value in fields.items():
            if isinstance(value, str):
                inner += number(field << 3 | 2) + number(len(value.encode())) + value.encode()
            else:
                inner += number(field << 3 | 1) + struct.pack("<d", value)
        message += number(1 << 3 | 2) + number(len(inner)) + inner
    return message + number(2 << 3) + number(parameters) + number(3 << 3 | 1) + struct.pack("<d", total_seconds)


def number(value):
    """An integer as seven bits a byte."""
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def encoded(adjacency, operations):
    size = operations.count(",") + 1
    return from_matrix(np.array(list(map(int, adjacency))).reshape(size, size), operations.split(","))


def evaluations(epochs, base=0.5, seconds=100.0, half=None):
    """The fields of three evaluations; accuracies are told apart by their last digits."""
    points = zip((0, epochs / 2 if half is None else half, epochs), (0, 0.1, 0.2), strict=True)
    return [
        {1: done, 2: seconds * done / epochs, 3: base + more, 4: base + more + 0.01, 5: base + more + 0.02}
        for done, more in points
    ]


def row(cell, epochs=108, digest=None, parameters=1_000_000, fields=None, **options):
    adjacency, operations = cell
    message = encode_metrics(evaluations(epochs, **options) if fields is None else fields, parameters, 123.0)
    digest = published_hash(encoded(*cell)) if digest is None else digest
    return [digest, epochs, adjacency, operations, base64.encodebytes(message).decode()]


def write(path, rows):
    path.write_bytes(frame_record([json.dumps(r).encode() if isinstance(r, list) else r for r in rows]))
    return path
