"""Measures the first study on a fresh machine: `jnas study` with nothing compiled before, against another checkout.

    python tests/benchmarks/first_study.py [--against CHECKOUT] [--rounds 3] [--split] [OPTIONS OF jnas study]

Each run is a process of its own with an empty cache of compiled programs. Prints CPU seconds and peak memory, and with
another checkout, which runs in turn, the ratios, and whether both wrote the same summary: figures are medians. With
`--split` one more run tells where the CPU time goes, as far as JAX and the study say; what compiles in a thread of its
own is told by the clock, and the parts add up to less than the whole.
"""

import argparse
import collections
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

TARGET_CPU, TARGET_MB = 0.55, 600.0  # over the CPU time of commit 69c45db, for the study that is the default


class Run(NamedTuple):
    """A first study."""

    cpu: float  # seconds
    peak: float  # MB
    summary: str


def run(checkout: Path, arguments: list[str]) -> Run:
    """Returns what a study takes in a process of its own, which is told to find nothing compiled."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "study"
        environment = {
            **os.environ,
            "PYTHONPATH": str(checkout),
            "PYTHONSAFEPATH": "1",  # not the folder in which this runs
            "JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "programs"),
        }
        command = [sys.executable, "-m", "jnas", "study", "--out", str(out), *arguments]
        with open(os.devnull, "w") as nowhere:
            child = os.posix_spawn(
                sys.executable, command, environment, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1)]
            )
            _, status, used = os.wait4(child, 0)
        if status:
            raise SystemExit(f"jnas study ended with status {os.waitstatus_to_exitcode(status)} in {checkout}")
        return Run(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, (out / "summary.csv").read_text())


def split(arguments: list[str]) -> None:
    """Runs a study in this process and prints where its time goes."""
    import time

    cpu = time.process_time
    parts: dict[str, float] = {"starting Python": cpu()}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(folder) / "programs")
        begin = cpu()
        import jax

        parts["importing JAX"], begin = cpu() - begin, cpu()
        import jnas.commands._study
        import jnas.studies.search._report

        parts["importing jnas, SciPy and matplotlib"] = cpu() - begin
        seconds: dict[str, float] = collections.defaultdict(float)
        programs: list[tuple[float, str]] = []

        def listen(event: str, duration: float, **named: object) -> None:
            name = event.rpartition("/")[-1]
            seconds[name] += duration
            if name == "backend_compile_duration":
                programs.append((duration, str(named.get("fun_name"))))

        jax.monitoring.register_event_duration_secs_listener(listen)

        def timed(module: object, name: str, title: str) -> None:
            function = getattr(module, name)

            def wrapped(*given: object, **named: object) -> object:
                begin = cpu()
                try:
                    return function(*given, **named)
                finally:
                    parts[title] = parts.get(title, 0.0) + cpu() - begin

            setattr(module, name, wrapped)

        from jnas.studies import _engine
        from jnas.studies.search import _run

        timed(jnas.commands._study, "plan_search_study", "planning")
        timed(_run, "_run_chunk", "running and judging, and what compiles meanwhile")
        timed(_run, "save_whole", "writing traces")
        timed(_engine, "write_outputs", "summary and report")
        from jnas.commands._cli import main as command

        command(["study", "--out", str(Path(folder) / "study"), *arguments])
    print(f"\n{cpu():6.1f} CPU-s in all\n")
    for title, spent in parts.items():
        print(f"{spent:6.2f} CPU-s {title}")
    for name, spent in sorted(seconds.items()):
        if name in ("jaxpr_trace_duration", "jaxpr_to_mlir_module_duration", "backend_compile_duration"):
            print(f"{spent:6.2f} s by the clock, {name}")
    print(f"{len(programs)} programs: {', '.join(f'{name} {spent:.2f} s' for spent, name in programs)}")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=3, help="of which medians are taken")
    parser.add_argument("--split", action="store_true", help="tell where the time of this checkout goes")
    options, arguments = parser.parse_known_args()
    if options.split:
        split(arguments)
        return
    here = Path(__file__).resolve().parents[2]
    checkouts = [here] if options.against is None else [here, options.against.resolve()]
    told = [[run(checkout, arguments) for checkout in checkouts] for _ in range(options.rounds)]
    for place, checkout in enumerate(checkouts):
        cpu, peak = (statistics.median(getattr(runs[place], name) for runs in told) for name in ("cpu", "peak"))
        print(f"{cpu:6.1f} CPU-s, peak {peak:5,.0f} MB  {checkout}")
    if options.against is not None:
        ratio = statistics.median(new.cpu / old.cpu for new, old in told)
        same = "the same summary" if told[0][0].summary == told[0][1].summary else "another summary"
        print(f"ratio {ratio:.2f}, target {TARGET_CPU}; target of the peak {TARGET_MB:.0f} MB; {same}")


if __name__ == "__main__":
    main()
