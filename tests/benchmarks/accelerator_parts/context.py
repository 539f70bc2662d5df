"""What all parts of a worker share: the devices, the sizes, the images, and how a program is compiled and timed."""

import contextlib
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from accelerator_parts.plan import Sizes
from jnas import training

NUM_IMAGES = 1_536  # that are made where none are given


class Context(NamedTuple):
    """What tasks are made of."""

    device: jax.Device  # that is checked and measured
    cpu: jax.Device  # that it is compared with
    sizes: Sizes
    images: np.ndarray  # uint8 [N, 32, 32, 3]
    labels: np.ndarray  # int32 [N]
    shared: dict[Any, Any]  # results that several comparisons need, by what they are of
    lock: threading.Lock


def make_context(sizes: Sizes, images: Path | None) -> Context:
    """Returns the context of this process; where there are CPUs alone, forms are compared with one another."""
    device = jax.local_devices()[0]
    arrays = _read_images(images)
    return Context(device, jax.local_devices(backend="cpu")[0], sizes, *arrays, {}, threading.Lock())


def _read_images(path: Path | None) -> tuple[np.ndarray, np.ndarray]:
    if path is not None:
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            dataset = training.load_dataset(path)
        return np.asarray(dataset.images), np.asarray(dataset.labels)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, NUM_IMAGES).astype(np.int32)
    images = rng.integers(0, 200, (NUM_IMAGES, 32, 32, 3)) + 5 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


def make_dataset(context: Context, side: int, **counts: int) -> Any:
    """Returns a data set on the CPU, augmented as CIFAR-10 is, with so many images in each split.

    Args:
      context: Has the images; they are gone through again where they are too few.
      side: Height and width in pixels, 32 over a power of two.
      **counts: Of each split.
    """
    total, factor = sum(counts.values()), 32 // side
    rows = np.arange(total) % len(context.images)
    images = context.images[rows].reshape(total, side, factor, side, factor, 3).mean((2, 4)).astype(np.uint8)
    ends = np.cumsum([0, *counts.values()])
    splits = {name: np.arange(a, b) for name, a, b in zip(counts, ends[:-1], ends[1:], strict=True)}
    with jax.default_device(context.cpu):
        return training.dataset_from_arrays(
            images, context.labels[rows], splits=splits, num_classes=10, **training.CIFAR10._asdict()
        )


@contextlib.contextmanager
def on(device: jax.Device, precision: str | None = None) -> Iterator[None]:
    """Computes on a device, and with products of a precision, in this thread."""
    with jax.default_device(device), jax.default_matmul_precision(precision):
        yield


def once(context: Context, key: Any, make: Callable[[], Any]) -> Any:
    """Returns what is made for a key, by the first who asks; the others wait for it."""
    with context.lock:
        own = context.shared.setdefault(key, {"lock": threading.Lock()})
    with own["lock"]:
        if "value" not in own:
            own["value"] = make()
    return own["value"]


class Compiled(NamedTuple):
    """A program, and what it took to make it."""

    run: Callable[..., Any]
    arguments: tuple[Any, ...]
    figures: dict[str, Any]  # for the results


def compile_for(device: jax.Device, function: Callable[..., Any], *arguments: Any) -> Compiled:
    """Returns a function's program for arguments that are put on a device."""
    arguments = jax.device_put(arguments, device)
    start = time.perf_counter()
    lowered = jax.jit(function).lower(*arguments)
    traced = time.perf_counter()
    program = lowered.compile()
    figures = {"trace_s": traced - start, "compile_s": time.perf_counter() - traced}
    analysis = program.memory_analysis()
    if analysis is not None:
        needed = analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes
        figures["program_gb"] = needed / 1e9
    return Compiled(program, arguments, figures)


def time_calls(compiled: Compiled, left: Callable[[], float], *, most: float = 4.0) -> dict[str, Any]:
    """Returns the median seconds of a call after the first, and the memory at the peak; at least one call is timed."""
    start = time.perf_counter()
    jax.block_until_ready(compiled.run(*compiled.arguments))
    first, taken = time.perf_counter() - start, []
    while not taken or (sum(taken) < most and len(taken) < 20 and left() > 2 * taken[-1]):
        start = time.perf_counter()
        jax.block_until_ready(compiled.run(*compiled.arguments))
        taken.append(time.perf_counter() - start)
    figures = {"call_s": statistics.median(taken), "calls": len(taken), "first_call_s": first}
    return figures | compiled.figures | {"peak_gb": peak_gb(jax.tree.leaves(compiled.arguments)[0].devices().pop())}


def peak_gb(device: jax.Device) -> float:
    """Returns the most memory that this process has had so far: of the device, or of a CPU's host."""
    told = device.memory_stats()
    if told and "peak_bytes_in_use" in told:
        return told["peak_bytes_in_use"] / 1e9
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte / 1e9


def result_on(device: jax.Device, function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what a function comes to on a device, as NumPy arrays."""
    program = compile_for(device, function, *arguments)
    result = program.run(*program.arguments)
    where = {each for leaf in jax.tree.leaves(result) for each in leaf.devices()}
    assert where <= {device}, f"computed on {where}, not on {device}"
    return jax.device_get(result)


def relative_difference(found: Any, expected: Any) -> float:
    """Returns the largest difference of two pytrees, each array's over its own largest number."""
    differences = [0.0]
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        if a.size and not np.array_equal(a, b, equal_nan=True):
            differences.append(float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(b))), 1e-6)))
    return float(np.max(differences))


def same_bits(found: Any, expected: Any) -> bool:
    """Returns whether two pytrees are equal bit for bit, but for which NaN stands where one does."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return all(np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f") for a, b in pairs)
