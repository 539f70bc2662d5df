"""TFRecord files: framing and checksums, against published values, a plain implementation, and damage of every kind."""

import gzip
import struct

import numpy as np
import pytest

from jnas.io import _tfrecord
from jnas.io._tfrecord import MOST_BYTES, crc32c, frame_record, masked_crc32c, read_records


def plain_crc32c(data):
    """The checksum bit by bit, as its definition goes."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def test_published_checksums():
    # RFC 3720, B.4
    known = {bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E, b"123456789": 0xE3069283}
    assert crc32c(list(known)).tolist() == list(known.values())


def test_checksums_of_all_lengths_at_once_are_those_of_a_plain_implementation():
    rng = np.random.default_rng(0)
    rows = [rng.bytes(length) for length in (*range(40), 399, 400, 401)]
    assert crc32c(rows).tolist() == [plain_crc32c(row) for row in rows]
    assert crc32c([]).tolist() == []


def test_mask_is_a_rotation_and_an_addition():
    crc = plain_crc32c(b"abc")
    expected = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc32c([b"abc"]).tolist() == [expected]


def test_a_file_as_its_format_says(tmp_path):
    data = b"hello"
    length = struct.pack("<Q", 5)
    sums = [struct.pack("<I", int(masked_crc32c([part])[0])) for part in (length, data)]
    assert frame_record([data]) == length + sums[0] + data + sums[1]
    (tmp_path / "a").write_bytes(frame_record([data]))
    (batch,) = read_records(tmp_path / "a")
    assert batch == (0, [0], [b"hello"], 21)


@pytest.mark.parametrize(("block", "batch"), [(1 << 22, 8192), (7, 3), (100, 1), (1000, 4)])
def test_records_come_back_whatever_the_blocks(tmp_path, monkeypatch, block, batch):
    rng = np.random.default_rng(1)
    rows = [rng.bytes(int(size)) for size in rng.integers(0, 300, 50)]
    (tmp_path / "a").write_bytes(frame_record(rows))
    monkeypatch.setattr(_tfrecord, "_BLOCK", block)
    monkeypatch.setattr(_tfrecord, "_BATCH", batch)
    batches = list(read_records(tmp_path / "a"))
    assert [row for b in batches for row in b.records] == rows
    assert [b.first for b in batches] == list(range(0, 50, batch))
    positions = np.cumsum([0, *(len(row) + 16 for row in rows)]).tolist()
    assert [p for b in batches for p in b.positions] == positions[:-1]
    assert batches[-1].end == positions[-1]


ROWS = [b"a" * 30, b"b" * 40, b"c" * 50]  # at bytes 0, 46 and 102; the file has 168


@pytest.mark.parametrize("block", [1 << 22, 10])
@pytest.mark.parametrize(
    ("place", "says"),
    [
        (0, "record 0 at byte 0"),
        (46, "record 1 at byte 46 has a wrong checksum of its length"),
        (55, "record 1 at byte 46 has a wrong checksum of its length"),
        (58, "record 1 at byte 46 does not fit its checksum"),
        (97, "record 1 at byte 46 does not fit its checksum"),
        (101, "record 1 at byte 46 does not fit its checksum"),
        (130, "record 2 at byte 102 does not fit its checksum"),
    ],
)
def test_any_changed_byte_is_found(tmp_path, monkeypatch, block, place, says):
    monkeypatch.setattr(_tfrecord, "_BLOCK", block)
    data = bytearray(frame_record(ROWS))
    data[place] ^= 1
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ValueError, match=says):
        list(read_records(tmp_path / "a"))


@pytest.mark.parametrize("length", range(1, 168))
def test_a_file_that_is_cut_off_anywhere_is_refused_or_ends_between_records(tmp_path, length):
    (tmp_path / "a").write_bytes(frame_record(ROWS)[:length])
    if length in (46, 102):
        assert sum(len(b.records) for b in read_records(tmp_path / "a")) == (1 if length == 46 else 2)
        return
    which = 0 if length < 46 else 1 if length < 102 else 2
    with pytest.raises(ValueError, match=f"is cut off: it ends within record {which}, which begins at byte"):
        list(read_records(tmp_path / "a"))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (gzip.compress(frame_record(ROWS)), "compressed with gzip; unpack it first"),
        (b"PK\x03\x04" + bytes(30), "zip archive or an .npz"),
        (b'["abc", 4, "01", "input,output", ""]\n', "is not a TFRecord file"),
        (bytes(100), "is not a TFRecord file"),
    ],
    ids=["empty", "gzip", "zip", "json", "zeros"],
)
def test_foreign_files_are_refused(tmp_path, data, says):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ValueError, match=says):
        list(read_records(tmp_path / "a"))


def test_records_of_another_size_are_refused_before_they_are_read(tmp_path):
    (tmp_path / "a").write_bytes(frame_record([b"a", b"b" * (MOST_BYTES + 1)]))
    with pytest.raises(ValueError, match=r"record 1 at byte 17 has 16,385 bytes of data"):
        list(read_records(tmp_path / "a"))
    with pytest.raises(FileNotFoundError, match="no file"):
        list(read_records(tmp_path / "b"))
