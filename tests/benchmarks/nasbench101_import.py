"""Times the import of NAS-Bench-101's files, on made-up ones of their size, and opening the table that comes out.

    python tests/benchmarks/nasbench101_import.py only108|full [FOLDER]

`only108` has 423,624 cells x 3 runs = 1,270,872 records (0.5 GB), `full` four times as many (2 GB). The cells are real,
with their published hashes; accuracies and times are random, the checksums right. Files are deleted at the end. Most
of the time goes into making them; what is timed runs in processes of its own, one after another.
"""

import base64
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from jnas.io._tfrecord import frame_record
from jnas.spaces.nasbench101._cells import published_hash, to_matrix
from jnas.spaces.nasbench101._enumeration import nasbench101_cells

EVALUATION = np.dtype([("head", "u1", 2), ("fields", np.dtype([("tag", "u1"), ("value", "<f8")]), 5)])
MESSAGE = np.dtype(
    [
        ("evaluations", EVALUATION, 3),
        ("parameters", "u1", 5),
        ("total_tag", "u1"),
        ("total_seconds", "<f8"),
    ]
)
QUERY = """
import resource, sys, time, jax
jax.block_until_ready(jax.numpy.zeros(3) + 1)
import jnas
begin = time.perf_counter()
table = jnas.load_table(sys.argv[1])
opened = time.perf_counter() - begin
choice = dict(dataset="cifar10", split="validation", epochs=108, seed="mean")
answer = float(table.accuracy(table.text(1234), **choice))
assert 0 < answer < 100
queried = time.perf_counter() - begin
batch = table.accuracy(jax.numpy.asarray(table.archs[:1000], "int32"), **choice).block_until_ready()
print(opened, queried, time.perf_counter() - begin)
"""


def messages(rng, epochs):
    """Returns metrics of trainings `[R]` with so many epochs each."""
    made = np.zeros(len(epochs), MESSAGE)
    inside = made["evaluations"]
    inside["head"] = [1 << 3 | 2, 45]
    inside["fields"]["tag"] = np.arange(1, 6) << 3 | 1
    values = inside["fields"]["value"]
    seconds = rng.uniform(5, 50, len(epochs))
    for point, share in enumerate((0, 0.5, 1)):
        values[:, point, 0] = share * epochs
        values[:, point, 1] = (share * epochs * seconds).astype(np.float32)
        values[:, point, 2:] = (rng.integers(998, 9985, (len(epochs), 3)) / 9984).astype(np.float32)
    made["parameters"] = [2 << 3, 0x8A, 0xAB, 0xCD, 0x01]
    made["total_tag"] = 3 << 3 | 1
    made["total_seconds"] = 1.1 * seconds * epochs
    return [message.tobytes() for message in made]


def describe(arch):
    """Returns the part of a record that all trainings of a cell share."""
    matrix, operations = to_matrix(arch)
    return published_hash(arch), "".join(map(str, matrix.ravel())), ",".join(operations)


def write(path, trainings):
    """Writes a file and returns its number of records."""
    rng = np.random.default_rng(0)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        cells = pool.map(describe, nasbench101_cells(), chunksize=4096)
    print(f"{len(cells):,} cells with their hashes", flush=True)
    order, count = rng.permutation(len(cells)), 0
    with open(path, "wb") as file:
        for start in range(0, len(order), 2000):
            chunk = [cells[i] for i in order[start : start + 2000]]
            rows = [(*cell, epochs) for cell in chunk for epochs in trainings for _ in range(3)]
            metrics = messages(rng, np.array([row[3] for row in rows]))
            texts = [
                f'["{digest}", {epochs}, "{adjacency}", "{operations}", "'
                + base64.encodebytes(message).decode().replace("\n", "\\n")
                + '"]'
                for (digest, adjacency, operations, epochs), message in zip(rows, metrics, strict=True)
            ]
            file.write(frame_record([text.encode() for text in texts]))
            count += len(texts)
    return count


def timed(*command):
    """Returns wall seconds, CPU seconds and output of a command."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, cpu, done.stdout


def main():
    """Prints the figures."""
    trainings = {"only108": (108,), "full": (4, 12, 36, 108)}[sys.argv[1]]
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        source, table = Path(folder) / "made_up.tfrecord", Path(folder) / "table.npz"
        count = write(source, trainings)
        print(f"{count:,} records, {source.stat().st_size / 1e6:,.0f} MB", flush=True)
        # Peaks of memory are of this process's largest child, so the ones that made the cells must be smaller.
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        wall, cpu, _ = timed("-m", "jnas", "table", "import", "nasbench101", str(source), "-o", str(table))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        told = f"{peak / 1e6:.2f} GB" if peak > before else f"less than {before / 1e6:.2f} GB"
        print(f"import: {wall:.1f} s, {cpu:.1f} s of CPU, {told}; {table.stat().st_size / 1e6:,.0f} MB of table")
        for _ in range(3):
            opened, queried, batch = map(float, timed("-c", QUERY, str(table))[2].split())
            print(f"open {opened:.2f} s, and first query {queried:.2f} s, and a batch by fingerprint {batch:.2f} s")


if __name__ == "__main__":
    main()
