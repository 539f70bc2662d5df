"""Messages of trainings as the files of NAS-Bench-101 hold them, for tests to write."""

import struct


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
