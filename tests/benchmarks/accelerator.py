"""Checks and measures the library on an accelerator, in one command and in so many minutes.

    python tests/benchmarks/accelerator_images.py --data-dir DIR -o images.npz   # once, where CIFAR-10 is
    python tests/benchmarks/accelerator.py --minutes 8 --out DIR --images images.npz

The machine needs jax for its device, numpy, optax, scipy, scikit-learn, tqdm and matplotlib; the library is the one
that stands around this file, installed or not. Without `--images` the images are random, which changes no time.

First everything is compared with the CPU in one process (float32, products of the highest precision): every form of
training, every weight-sharing method, every predictor and searcher that is compiled, and a study; the tolerances
stand in the tables. Then it measures, most important first: candidates an hour of NAS-Bench-201's 12-epoch recipe on
CIFAR-10 in every form, 1 to 128 at once, and the hours of all 6,466 cells; steps a second of the six weight-sharing
methods at the published size, for 1, 4 and 8 seeds, in float32 and bfloat16; the default study with 500 and 10,000
seeds; 500 seeds of BANANAS; with compile times and memory.

Each part has a share of the time, and what one leaves over is for those after it: what does not fit is left out, and
a row says so; so does one that runs out of memory. A part that hangs or dies costs itself alone. After each row
`DIR/results.jsonl` is written, after each part `DIR/results.md`. Run some `--parts` again for what was left out.

Ends with status 1 if something differs from the CPU or fails. Where there are CPUs alone, and with `--small`,
everything runs at a tiny size, with stand-ins for the networks; `--size reduced` has small real ones.
"""

import argparse
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
for path in (HERE, HERE.parents[1]):  # the parts, and the library around them
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))

from accelerator_parts.plan import PARTS, SIZES, Part  # noqa: E402
from accelerator_parts.report import Results, line  # noqa: E402

_GRACE = 3.0  # seconds for which a part that is over its share is waited for
_QUICK_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


class Worker:
    """A process that does parts, and the messages that it has sent."""

    def __init__(self, settings: dict[str, Any], log: Path):
        """Starts it; what it and its libraries print goes to `log`."""
        paths = [str(HERE), str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        asked = environment.get("JAX_PLATFORMS", "")
        if asked and "cpu" not in asked.split(","):
            environment["JAX_PLATFORMS"] = f"{asked},cpu"  # what is compared with
        if settings["size"] == "small":
            environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {_QUICK_FLAGS}".strip()
        command = [sys.executable, "-m", "accelerator_parts.worker", json.dumps(settings)]
        self.messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        with log.open("a") as file:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": file, "text": True}
            self.process = subprocess.Popen(command, env=environment, **pipes)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        for text in self.process.stdout:
            self.messages.put(json.loads(text))
        self.messages.put(None)

    def ask(self, part: Part, seconds: float) -> None:
        """Has it begin a part."""
        self.process.stdin.write(json.dumps({"part": part.name, "seconds": seconds}) + "\n")
        self.process.stdin.flush()

    def receive(self, seconds: float) -> dict[str, Any]:
        """Returns the next message; raises TimeoutError where there is none in time, RuntimeError where it is dead."""
        try:
            message = self.messages.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            raise TimeoutError("the part took more than its share of the time, and was stopped") from None
        if message is None:
            raise RuntimeError(f"the process ended with status {self.process.wait()}; see log.txt")
        return message

    def stop(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        self.listener.join()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


def do_part(worker: Worker, part: Part, seconds: float, results: Results, say: Any) -> bool:
    """Adds the rows of a part to the results; returns whether the worker can go on."""
    until, waiting = time.monotonic() + seconds, []
    try:
        worker.ask(part, 0.9 * seconds)
        while True:
            message = worker.receive(until + _GRACE - time.monotonic())
            if message["kind"] == "end":
                return True
            if message["kind"] == "begin":
                waiting = message["tasks"]
                say(f"{part.title}: {len(waiting)} rows, {seconds:.0f} s at most")
            else:
                waiting.remove(message["name"])
                results.add(message)
                say("  " + line(message))
    except (TimeoutError, RuntimeError, OSError) as error:
        status = "stopped" if isinstance(error, TimeoutError) else "failed"
        results.add_part(part, status, str(error), waiting)
        say(f"  {part.name}: {status}: {error}")
        worker.stop()
        return False


def start(settings: dict[str, Any], end: float, results: Results, say: Any) -> Worker | None:
    """Returns a process that has the device, or None where it does not come up; the results say which device."""
    say("starting")
    worker = Worker(settings, results.folder / "log.txt")
    try:
        told = worker.receive(end - time.monotonic())
    except (TimeoutError, RuntimeError) as error:
        say(f"  {error}")
        worker.stop()
        return None
    results.said |= {name: value for name, value in told.items() if name != "kind"}
    say(f"{told['device']} ({told['platform']}), size {told['size']}")
    return worker


def check(settings: dict[str, Any], parts: list[Part], minutes: float, folder: Path) -> int:
    """Does all parts; returns how many rows differ from the CPU or failed."""
    begin = time.monotonic()
    end = begin + 60 * minutes
    command = f"python tests/benchmarks/accelerator.py --minutes {minutes:g} --parts {','.join(p.name for p in parts)}"
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(folder, {"command": command, "images": settings["images"] or "random"})

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begin:5.0f} s of {60 * minutes:.0f}] {text}", file=sys.stderr, flush=True)

    worker = None
    try:
        for number, part in enumerate(parts):
            share = part.share / sum(each.share for each in parts[number:])
            if time.monotonic() >= end:
                results.add_part(part, "not begun: no time was left")
            elif worker is None and (worker := start(settings, end, results, say)) is None:
                results.add_part(part, "failed", "the process that has the device did not start in time; see log.txt")
            elif not do_part(worker, part, share * (end - time.monotonic()), results, say):
                worker = None
            results.said["seconds"] = round(time.monotonic() - begin, 1)
            results.write_tables()
    finally:
        if worker is not None:
            worker.stop()
    print(results.write_tables())
    say(f"done; {folder}/results.md and results.jsonl")
    return sum(row["status"] in ("differs", "failed") for row in results.rows)


def main(words: list[str] | None = None) -> int:
    """Runs the check; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="of the whole check (default 8)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder for results")
    parser.add_argument(
        "--images", type=Path, metavar="FILE.npz", help="from accelerator_images.py; default random ones"
    )
    parser.add_argument("--parts", default="all", help="some of " + ",".join(part.name for part in PARTS))
    parser.add_argument("--size", choices=SIZES, help="default: published on an accelerator, small on CPUs")
    parser.add_argument("--small", action="store_true", help="the same as --size small")
    parser.add_argument("--workers", type=int, help="programs that are compiled side by side (default: by the CPUs)")
    options = parser.parse_args(words)
    known = {part.name: part for part in PARTS}
    names = list(known) if options.parts == "all" else options.parts.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"--parts has {unknown[0]!r}, expected some of {', '.join(known)}")
    if options.images and not options.images.is_file():
        parser.error(f"--images {options.images} is no file; make it with accelerator_images.py, or leave it out")
    settings = {
        "size": "small" if options.small else options.size,
        "images": str(options.images.resolve()) if options.images else None,
        "workers": options.workers or max(1, min(8, (os.cpu_count() or 2) // 2)),
    }
    return 1 if check(settings, [part for part in PARTS if part.name in names], options.minutes, options.out) else 0


if __name__ == "__main__":
    sys.exit(main())
