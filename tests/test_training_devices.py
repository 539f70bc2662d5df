"""Runs do not depend on who makes them: eight devices or one; one process or two that share a folder."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

PROGRAM = """
import os, signal, sys
import jax
folder, devices, stop = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
jax.config.update("jax_num_cpu_devices", devices)
import numpy as np
from jnas.training import Jobs, dataset_from_arrays, describe, get_recipe, make_network, open_folder, run_jobs

rng = np.random.default_rng(0)
labels = np.arange(60) % 3
images = (rng.integers(0, 120, (60, 4, 4, 1)) + 60 * labels[:, None, None, None]).astype(np.uint8)
dataset = dataset_from_arrays(images, labels, name="tiny", splits={"validation": 0.3})
recipe = get_recipe("small-12", epochs=3, batch_size=16, channels=2, cells=1)
network = make_network(dataset, recipe, "switch")
archs = np.concatenate([(np.arange(5)[:, None] + np.array([0, 3, 1, 4, 2, 2])) % 5, np.zeros((1, 6), int)])
archs = np.tile(archs, (2, 1)).astype(np.int32)
jobs = Jobs(archs, np.arange(12))
assert jax.local_device_count() == devices

def progress(at):
    global stop
    stop -= 1
    if stop == 0:
        os.kill(os.getpid(), signal.SIGKILL)

opened = open_folder(folder, describe(jobs, dataset, recipe, network, chunk_size=8))
run_jobs(jobs, dataset, recipe, network, opened, chunk_size=8, epochs_per_checkpoint=1, keep_weights=True,
         progress=progress)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def environment(cache):
    return os.environ | {"PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": str(cache)}


@pytest.mark.slow
def test_numbers_of_devices_change_no_bit(tmp_path, cache):
    """One device; and eight, killed in the second chunk, whose checkpoint one device takes up."""
    for folder, devices, stop in (("one", 1, 0), ("several", 8, 5), ("several", 1, 0)):
        words = [sys.executable, "-c", PROGRAM, tmp_path / folder, str(devices), str(stop)]
        done = subprocess.run(words, env=environment(cache), capture_output=True, text=True)
        assert done.returncode == (-signal.SIGKILL if stop else 0), done.stderr
    names = [f"chunk-0000{number}.npz" for number in (0, 1)]
    for folder in ("one", "several"):
        assert sorted(p.name for p in (tmp_path / folder / "runs").iterdir()) == names
    for name in names:
        one, several = (np.load(tmp_path / folder / "runs" / name) for folder in ("one", "several"))
        assert one.files == several.files
        assert len(one["accuracy/validation"]) == (8 if name == names[0] else 4)
        for array in one.files:
            if array != "header":
                np.testing.assert_array_equal(one[array], several[array], err_msg=array)
        assert len(np.unique(one["loss/train"][:, -1])) == len(one["loss/train"])


@pytest.mark.slow
def test_two_processes_share_a_folder(tmp_path, cache):
    """The command on two hosts, here both this one, against the command by itself."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    pixels = (rng.integers(0, 120, (60, 4, 4, 1)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    np.savez(tmp_path / "tiny.npz", images=pixels, labels=labels)
    command = [sys.executable, "-m", "jnas", "train", "0", "7", "1462", "--seeds", "2", "--dataset", "tiny.npz"]
    command += ["--recipe", "small-12", "--epochs", "4", "--channels", "2", "--stage-cells", "1", "--batch-size", "16"]
    command += ["--chunk", "2", "--out"]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    hosts = ["two", "--coordinator", address, "--num-processes", "2", "--process-id"]
    settings = {"env": environment(cache), "cwd": tmp_path, "text": True}
    settings |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen([*command, *hosts, str(number)], **settings) for number in (0, 1)]
    try:
        told = [process.communicate(timeout=400) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], told
    assert "3 architectures x 2 seeds on tiny" in told[0][0]
    assert told[1][0] == ""  # the first speaks for all
    alone = subprocess.run([*command, "one"], **settings)
    assert alone.returncode == 0, alone.stderr
    for name in ("curves.csv", "runs/chunk-00001.npz"):
        assert (tmp_path / "two" / name).exists()
    assert (tmp_path / "one" / "curves.csv").read_bytes() == (tmp_path / "two" / "curves.csv").read_bytes()
    assert len(list((tmp_path / "two" / "weights").iterdir())) == 6
    one, two = (told.splitlines()[2:6] for told in (alone.stdout, told[0][0]))
    assert one == two
