"""The process that has the device: does a part at a time, as it is told to, and tells each result at once."""

import contextlib
import gc
import json
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from importlib import import_module
from pathlib import Path
from typing import Any

import jax

from accelerator_parts import toy
from accelerator_parts.context import Context, make_context
from accelerator_parts.plan import PARTS, SIZES, Part, Task

Tell = Callable[[dict[str, Any]], None]
"""Takes a message: under `kind` one of `machine`, `begin`, `row`, `end`."""


def serve(size: str | None, images: str | None, workers: int) -> None:
    """Does the parts that lines of the standard input name, `{"part": NAME, "seconds": S}`, until there are no more.

    Args:
      size: A name in `SIZES`; by default the published one on accelerators and the small one on CPUs.
      images: From `accelerator_images.py`; without them images are random.
      workers: Programs that are compiled side by side.
    """
    out = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no message

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=out, flush=True)

    size = size or ("small" if jax.default_backend() == "cpu" else "published")
    context = make_context(SIZES[size], Path(images) if images else None)
    tell({"kind": "machine", **machine(context)})
    parts = {part.name: part for part in PARTS}
    with toy.registered():
        for line in sys.stdin:
            asked = json.loads(line)
            carry_out(context, parts[asked["part"]], asked["seconds"], workers, tell)


def machine(context: Context) -> dict[str, Any]:
    """Returns what results depend on."""
    versions = {"jax": jax.__version__, "python": sys.version.split()[0]}
    there = {"platform": context.device.platform, "device": context.device.device_kind}
    return {**there, "devices": jax.local_device_count(), **versions, "size": context.sizes.name}


def carry_out(context: Context, part: Part, seconds: float, workers: int, tell: Tell) -> None:
    """Does what fits of a part, most important first.

    So many tasks are prepared side by side; those that are ready are measured one after another, while no other is
    being prepared unless one takes more than half of the time that is left.
    """
    until = time.monotonic() + seconds
    tasks = import_module(f"accelerator_parts.{part.module}").tasks(context, part.name)
    tell({"kind": "begin", "part": part.name, "tasks": [task.name for task in tasks]})
    most = len(tasks) if context.sizes.most is None else context.sizes.most
    for task in tasks[most:]:
        tell({"kind": "row", "part": part.name, "name": task.name, "status": "left out at this size"})
    with contextlib.ExitStack() as stack:
        pool = ThreadPoolExecutor(workers)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for first in range(0, len(tasks[:most]), workers):
            some = tasks[:most][first : first + workers]
            _carry_out_side_by_side(pool, some, part.name, lambda: until - time.monotonic(), tell)
            gc.collect()  # what tasks have left on the device
    tell({"kind": "end", "part": part.name})


def _carry_out_side_by_side(
    pool: ThreadPoolExecutor, tasks: list[Task], part: str, left: Callable[[], float], tell: Tell
) -> None:
    if left() <= 0:
        for task in tasks:
            tell({"kind": "row", "part": part, "name": task.name, "status": "not begun: no time was left"})
        return
    preparing = {pool.submit(task.prepare): task for task in tasks}
    ready, late = wait(preparing, timeout=0.5 * left())
    while ready or late:
        for future in [each for each in preparing if each in ready]:
            name = preparing[future].name
            tell({"kind": "row", "part": part, "name": name, **attempt(preparing.pop(future), future, left)})
        ready, late = wait(late, return_when=FIRST_COMPLETED) if late else (set(), set())


def attempt(task: Task, prepared: "Future[Any]", left: Callable[[], float]) -> dict[str, Any]:
    """Returns what a task measured; an error of its own, or the end of the memory, ends it alone."""
    try:
        return {"status": "ok", **task.measure(prepared.result(), left)}
    except Exception as error:
        told = str(error).lower()
        full = isinstance(error, MemoryError) or "resource_exhausted" in told or "out of memory" in told
        traceback.print_exc()
        first = (str(error).strip().splitlines() or [""])[0]
        return {"status": "out of memory" if full else "failed", "note": f"{type(error).__name__}: {first}"[:300]}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    serve(given["size"], given["images"], given["workers"])
