"""Records of TFRecord files, read in order with both checksums verified, without TensorFlow.

A record is its length (8 bytes, little-endian), the masked CRC32C of those 8 bytes, the data, and the masked CRC32C of
the data. Checksums are computed for thousands of records at once: one step takes four bytes of each.
"""

import functools
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_MASK = 0xA282EAD8
_BEFORE = bytes.fromhex("54641f64")  # four bytes that bring a checksum from all zeros to all ones: its starting value
_HEAD = struct.Struct("<QI")
_FRAME = _HEAD.size + 4  # bytes of a record beside its data
_BLOCK = 1 << 22  # bytes read at once
_BATCH = 8192  # records in a batch
_AGAIN = "get it again from its source"

MOST_BYTES = 1 << 14
"""Most bytes of a record: those of NAS-Bench-101 have 400, those with readings of energy 950."""


class RecordBatch(NamedTuple):
    """Some records that follow one another."""

    first: int  # number of the first of them in the file, from 0
    positions: list[int]  # the byte at which each begins
    records: list[bytes]  # the data of each
    end: int  # the byte after the last


def crc32c(rows: Sequence[bytes]) -> np.ndarray:
    """Returns the CRC32C, uint32 `[B]`, of each of `B` byte strings; memory is `B` times the longest.

    Example:
      >>> [hex(crc) for crc in crc32c([b"123456789", b""])]
      ['0xe3069283', '0x0']
    """
    # Leading zeros leave a checksum of zero as it is, so that rows of any length stand in one rectangle, ends aligned.
    width = -(-max((len(row) for row in rows), default=0) // 4) * 4 + 4
    joined = b"".join([(_BEFORE + row).rjust(width, b"\0") for row in rows])
    words = np.ascontiguousarray(np.frombuffer(joined, "<u4").reshape(len(rows), width // 4).T).astype(np.uint32)
    low, high = _tables()
    state = np.zeros(len(rows), np.uint32)
    for column in words:
        state ^= column
        state = low.take(state & 0xFFFF) ^ high.take(state >> 16)
    return ~state


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """What 32 zero bits make of a checksum's low and of its high half, each uint32 `[65536]`."""
    tables = []
    for shift in (0, 16):
        state: np.ndarray = np.arange(1 << 16, dtype=np.uint32) << np.uint32(shift)
        for _ in range(32):
            state = (state >> 1) ^ np.where(state & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
        tables.append(state)
    return tables[0], tables[1]


def masked_crc32c(rows: Sequence[bytes]) -> np.ndarray:
    """Returns the checksums, uint32 `[B]`, as they stand in a TFRecord file."""
    crc = crc32c(rows)
    return ((crc >> 15) | (crc << 17)) + np.uint32(_MASK)


def frame_record(rows: Sequence[bytes]) -> bytes:
    """Returns records as they stand in a file."""
    lengths = [struct.pack("<Q", len(row)) for row in rows]
    sums = zip(masked_crc32c(lengths).astype("<u4"), masked_crc32c(rows).astype("<u4"), strict=True)
    parts = zip(lengths, rows, sums, strict=True)
    return b"".join([b"".join((length, a.tobytes(), row, b.tobytes())) for length, row, (a, b) in parts])


def read_records(path: str | os.PathLike[str]) -> Iterator[RecordBatch]:
    """Yields the records of a file in order, in batches; both checksums of each have been verified.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is empty, no TFRecord file, damaged or cut off; the message says at which record and byte.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    with open(path, "rb") as file:
        _check_kind(file.read(_HEAD.size), str(path))
        file.seek(0)
        yield from _batches(file, str(path))


def _check_kind(head: bytes, where: str) -> None:
    """Raises ValueError where the first bytes of a file are not those of a TFRecord file."""
    if not head:
        raise ValueError(f"{where} is empty; {_AGAIN}")
    if head[:2] == b"\x1f\x8b":
        raise ValueError(f"{where} is compressed with gzip; unpack it first (gunzip)")
    if head[:2] == b"PK":
        raise ValueError(
            f"{where} is a zip archive or an .npz, not a TFRecord file; unpack it, or import arrays with "
            "`jnas table import arrays`"
        )
    if len(head) == _HEAD.size and _HEAD.unpack(head)[1] != int(masked_crc32c([head[:8]])[0]):
        raise ValueError(
            f"{where} is not a TFRecord file, or its beginning is damaged: record 0 at byte 0 has a wrong checksum of "
            f"its length; {_AGAIN}"
        )


def _batches(file: BinaryIO, where: str) -> Iterator[RecordBatch]:
    lengths: dict[int, int] = {}  # the checksum of every length that has come: there are a few hundred
    first, begin, buffer, position = 0, 0, b"", 0  # `buffer` starts at byte `begin`; `position` is within it
    positions: list[int] = []
    records: list[bytes] = []
    sums: list[int] = []

    def finish() -> RecordBatch:
        wrong = np.flatnonzero(masked_crc32c(records) != np.asarray(sums, np.uint32))
        if len(wrong):
            which = f"record {first + int(wrong[0])} at byte {positions[wrong[0]]:,}"
            raise ValueError(f"{where} is damaged: {which} does not fit its checksum; {_AGAIN}")
        return RecordBatch(first, positions, records, begin + position)

    while True:
        more = file.read(_BLOCK)
        begin, buffer, position = begin + position, buffer[position:] + more, 0
        while len(buffer) - position >= _HEAD.size:
            length, checksum = _HEAD.unpack_from(buffer, position)
            if checksum != lengths.get(length):
                if checksum != int(masked_crc32c([struct.pack("<Q", length)])[0]) or length > MOST_BYTES:
                    which = f"record {first + len(records)} at byte {begin + position:,}"
                    raise _wrong_length(where, which, length, checksum)
                lengths[length] = checksum
            end = position + _FRAME + length
            if end > len(buffer):
                break
            positions.append(begin + position)
            records.append(buffer[position + _HEAD.size : end - 4])
            sums.append(int.from_bytes(buffer[end - 4 : end], "little"))
            position = end
            if len(records) == _BATCH:
                yield finish()
                first, positions, records, sums = first + len(records), [], [], []
        if not more:
            break
    if records:
        yield finish()
    if position < len(buffer):
        which = f"record {first + len(records)}, which begins at byte {begin + position:,}"
        raise ValueError(f"{where} is cut off: it ends within {which}; {_AGAIN}")


def _wrong_length(where: str, which: str, length: int, checksum: int) -> ValueError:
    if checksum != int(masked_crc32c([struct.pack("<Q", length)])[0]):
        return ValueError(f"{where} is damaged: {which} has a wrong checksum of its length; {_AGAIN}")
    return ValueError(
        f"{where}: {which} has {length:,} bytes of data, where those of NAS-Bench-101 have about 400 (at most "
        f"{MOST_BYTES:,} are read); pass a TFRecord file of NAS-Bench-101"
    )
