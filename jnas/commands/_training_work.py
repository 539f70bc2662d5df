"""How the commands that train divide their work, do it with a bar, and wait for other processes."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jnas.training import Dataset, Jobs, Network, Recipe

_MACS_PER_SECOND = {"cpu": 5e9}  # of a device: a first guess, which the bar soon corrects


def begun_chunk(out: Path) -> int | None:
    """Returns the size of chunks with which a folder was begun: whoever goes on must use the same."""
    try:
        chunk = json.loads((out / "config.json").read_text()).get("chunk_size")
    except (OSError, ValueError, AttributeError):  # `open_folder` will say what is wrong
        return None
    return chunk if isinstance(chunk, int) and chunk > 0 else None


def chunk_size(num_jobs: int, dataset: "Dataset", recipe: "Recipe", *, most: int) -> int:
    """Returns how many candidates to train at once, the same on every process, as evenly as they can be divided.

    Args:
      num_jobs: All candidates.
      dataset: Says the size of the images.
      recipe: Says the size of batches and networks.
      most: Of one CPU device; of others, what their memory holds.
    """
    import jax

    devices = -(-int(jax.device_count()) // int(jax.process_count()))
    if jax.default_backend() != "cpu":
        limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 8 << 30)
        height, width, _ = dataset.image_shape
        kept = 2 * 6 * 1.75 * recipe.cells + 20  # two arrays for each edge, and what a 3x3 convolution unfolds
        one = 4 * recipe.batch_size * height * width * recipe.channels * kept
        most = max(1, min(256, int(0.5 * limit / one)))
    processes = int(jax.process_count())
    rounds = -(-num_jobs // (most * devices * processes))
    return -(-num_jobs // (rounds * processes))


def make_runs(jobs: "Jobs", dataset: "Dataset", recipe: "Recipe", network: "Network", folder: Path, **how: Any) -> None:
    """Makes the runs that a folder lacks, with a bar whose clock goes on, and waits for those of other processes.

    Args:
      jobs: All runs, those of other processes too.
      dataset: What they learn from.
      recipe: How.
      network: What they train.
      folder: From `open_folder`.
      **how: The other arguments of `run_jobs`.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jnas.io._progress import progress_bar
    from jnas.training.runs._jobs import chunks_left, run_jobs

    images = sum(len(rows) * (3 if split == "train" else 1) for split, rows in dataset.splits.items())
    flops = np.asarray(jax.vmap(network.flops)(jnp.asarray(jobs.archs)))
    speed = _MACS_PER_SECOND.get(jax.default_backend(), 2e12) * jax.device_count()
    total = 10 + 1e6 * float(flops.sum()) * images * recipe.epochs / speed  # with some seconds to compile
    pool = ThreadPoolExecutor(1)
    try:
        with progress_bar(total, title="training ") as bar:
            shown = 0.0

            def show(progress: Any) -> None:
                nonlocal shown
                bar.say(f"{progress.chunks_done} of {progress.num_chunks} chunks done")
                bar.advance((progress.share - max(shown, progress.begun_at)) * total / (1 - progress.begun_at))
                shown = progress.share

            bar.say("compiling")
            bar.wait(pool.submit(run_jobs, jobs, dataset, recipe, network, folder, progress=show, **how))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if jax.process_count() > 1:
        size = how["chunk_size"]
        _wait(lambda: chunks_left(folder, len(jobs.archs), size), -(-len(jobs.archs) // size))


def _wait(count_left: Any, total: int) -> None:
    """Waits until all processes have finished; those that left early would break the others' connection."""
    from jnas.io._progress import counting_bar

    with counting_bar("chunks of all processes") as show:
        while left := count_left():
            show(total - left, total)
            time.sleep(0.5)
