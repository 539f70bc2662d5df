"""Runs do not depend on who makes them: eight devices or one; one process or two that share a folder."""

import os
import signal
import socket

import jax
import numpy as np
import pytest

from jnas.training import Jobs, dataset_from_arrays, describe, get_recipe, make_network, open_folder, run_jobs
from tests._fewer_stages import jnas_of_one_stage, stages
from tests._processes import start


def pictures():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return (rng.integers(0, 120, (60, 4, 4, 1)) + 60 * labels[:, None, None, None]).astype(np.uint8), labels


def train(folder, devices, stop):
    """Twelve runs in chunks of eight; at so many checkpoints, if not 0, the process kills itself."""
    jax.config.update("jax_num_cpu_devices", devices)
    dataset = dataset_from_arrays(*pictures(), name="tiny", splits={"validation": 0.3})
    recipe = get_recipe("small-12", epochs=3, batch_size=16, channels=2, cells=1)
    with stages(1):
        network = make_network(dataset, recipe, "switch")
    archs = np.concatenate([(np.arange(5)[:, None] + np.array([0, 3, 1, 4, 2, 2])) % 5, np.zeros((1, 6), int)])
    jobs = Jobs(np.tile(archs, (2, 1)).astype(np.int32), np.arange(12))
    assert jax.local_device_count() == devices
    seen = []

    def progress(at):
        seen.append(at)
        if len(seen) == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    opened = open_folder(folder, describe(jobs, dataset, recipe, network, chunk_size=8))
    how = {"chunk_size": 8, "epochs_per_checkpoint": 1, "keep_weights": True, "progress": progress}
    with stages(1):  # a third to compile
        run_jobs(jobs, dataset, recipe, network, opened, **how)


@pytest.mark.slow
def test_numbers_of_devices_change_no_bit(tmp_path):
    """One device; and eight, killed in the second chunk, whose checkpoint one device takes up."""
    for folder, devices, stop in (("one", 1, 0), ("several", 8, 5), ("several", 1, 0)):
        done = start(train, tmp_path / folder, devices, stop, output=tmp_path / "told").wait()
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
def test_two_processes_share_a_folder(tmp_path):
    """The command on two hosts, here both this one, against the command by itself."""
    images, labels = pictures()
    np.savez(tmp_path / "tiny.npz", images=images, labels=labels)
    words = ["train", "0", "7", "1462", "--seeds", "2", "--dataset", "tiny.npz", "--recipe", "small-12"]
    words += ["--epochs", "2", "--channels", "2", "--stage-cells", "1", "--batch-size", "16", "--chunk", "2", "--out"]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    hosts = ["two", "--coordinator", address, "--num-processes", "2", "--process-id"]

    def begin(which, *last):
        return start(jnas_of_one_stage, *words, *last, output=tmp_path / f"told-{which}", folder=tmp_path)

    processes = [begin(number, *hosts, number) for number in (0, 1)]
    try:
        told = [process.wait(400) for process in processes]
    finally:
        for process in processes:
            process.stop()
    assert [each.returncode for each in told] == [0, 0], told
    assert "3 architectures x 2 seeds on tiny" in told[0].stdout
    assert told[1].stdout == ""  # the first speaks for all
    alone = begin("alone", "one").wait()
    assert alone.returncode == 0, alone.stderr
    for name in ("curves.csv", "runs/chunk-00001.npz"):
        assert (tmp_path / "two" / name).exists()
    assert (tmp_path / "one" / "curves.csv").read_bytes() == (tmp_path / "two" / "curves.csv").read_bytes()
    assert len(list((tmp_path / "two" / "weights").iterdir())) == 6
    one, two = (each.stdout.splitlines()[2:6] for each in (alone, told[0]))
    assert one == two
