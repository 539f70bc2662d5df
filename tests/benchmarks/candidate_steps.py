"""Times a training step of many candidates at once against other ways to write it.

    python tests/benchmarks/candidate_steps.py                       # 8 channels, 1 cell a stage, images of 8x8
    python tests/benchmarks/candidate_steps.py --torch-python PATH   # PyTorch's too, with a Python that has it
    python tests/benchmarks/candidate_steps.py --channels 16 --cells 5 --size 32 --candidates 5 --steps 1 --repeats 3

Candidates are random cells of NAS-Bench-201 with all five cyclic shifts of each, so that every operation stands on
every edge equally often. Each trains `--steps` steps (forward, backward, SGD with Nesterov's momentum, running
statistics) on batches of its own; no evaluation. The forms:

  naive        `vmap` of the gradient of the one-hot mixture of all operations, native convolutions and
               JAX's own gradients; a Python loop over compiled steps, for a scan would make it slower
  naive-scan   the same, with the steps in a scan
  mixture      the library's loop, every operation done and one kept, under `vmap`
  static       one candidate at a time in a program of its own: native convolutions, a Python loop over compiled steps
  static-scan  one at a time in a program of its own: the library's loop and convolutions, the choice made in Python
  unrolled     `static` for all candidates in one program
  switch       the library's default on CPUs: a branch for each edge, a loop over candidates
  switch-2     the same, the candidates divided among two devices of this host, one thread each
  dispatch     the library's default elsewhere: candidates sorted by operation, under `vmap`
  torch-1, -2  PyTorch, one candidate at a time, on as many threads

Each form runs in a process of its own and takes its turn in every round, so that another load hits all alike. Prints
for each, per candidate and step: wall milliseconds (median and least of the rounds), CPU milliseconds of all threads
(median; the less noisy one on a busy machine), and the median over rounds of the ratio of its wall and CPU time to
those of `switch`; seconds to compile (wall, CPU), peak memory of the process and how much of it was there before the
compilation. Ends with an error if the forms' losses differ.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FORMS = ("naive", "mixture", "static", "static-scan", "switch", "switch-2", "dispatch")
OTHER_FORMS = ("naive-scan", "unrolled")
TOLERANCE = 0.005  # of a mean loss over few steps: float32 sums in another order, amplified by the steps


def make_problem(sizes: dict[str, int]) -> dict[str, Any]:
    """Returns data set, recipe, architectures, states to begin with and each candidate's batches."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jnas.training._recipe import get_recipe
    from jnas.training.data._dataset import dataset_from_arrays
    from jnas.training.networks._families import make_network
    from jnas.training.runs._train import begin_run

    rng = np.random.default_rng(0)
    shape = (sizes["steps"] * sizes["batch"], sizes["size"], sizes["size"])
    labels = rng.integers(0, 10, shape[0])
    images = rng.integers(0, 200, (*shape, 3)) + 5 * labels[:, None, None, None]
    dataset = dataset_from_arrays(
        images.astype(np.uint8), labels, splits={"train": np.arange(shape[0])}, num_classes=10
    )
    recipe = get_recipe("small-12", epochs=1, batch_size=sizes["batch"])
    recipe = recipe._replace(channels=sizes["channels"], cells=sizes["cells"])
    cells = rng.integers(0, 5, (-(-sizes["candidates"] // 5), 6))
    archs = (cells[:, None] + np.arange(5)[None, :, None]).reshape(-1, 6)[: sizes["candidates"]] % 5
    network = make_network(dataset, recipe)
    keys = jax.random.split(jax.random.key(0), len(archs))

    def begin(key, arch):
        state = begin_run(key, arch, dataset, recipe, network)
        order_key, _ = jax.random.split(jax.random.fold_in(state.key, 0))  # as `run_epochs` does it
        return state, jax.random.permutation(order_key, dataset.rows("train"))

    states, orders = jax.jit(jax.vmap(begin))(keys, jnp.asarray(archs, jnp.int32))
    batches = np.asarray(orders).reshape(len(archs), sizes["steps"], sizes["batch"])
    return {"dataset": dataset, "recipe": recipe, "archs": archs, "states": states, "batches": batches}


def library(form, problem):
    """Returns compiled `run()` of a form of the library's loop; its result is each candidate's mean loss."""
    import jax

    from jnas.core._devices import divided, place_shared
    from jnas.training.networks._families import make_network
    from jnas.training.networks.nasbench201._network import nasbench201_network
    from jnas.training.operations._forms import static_form
    from jnas.training.runs._train import run_epochs
    from jnas.training.runs._train_many import over_candidates

    dataset, recipe, archs, states = (problem[n] for n in ("dataset", "recipe", "archs", "states"))

    def trains(network):
        def run(dataset, state):  # the weights are a result too, or XLA leaves out what no loss depends on
            state, curves = run_epochs(state, dataset, recipe, network, 1)
            return curves.loss["train"][0], state.weights

        return run

    if form == "static-scan":
        sizes = {"channels": recipe.channels, "cells": recipe.cells, "num_classes": dataset.num_classes}
        programs = []
        for k, arch in enumerate(archs):
            network = nasbench201_network(image_shape=dataset.image_shape, form=static_form(arch), **sizes)
            state = jax.tree.map(lambda x, k=k: x[k], states)
            programs.append((jax.jit(trains(network)).lower(dataset, state).compile(), state))
        return lambda: [program(dataset, state)[0] for program, state in programs]
    network = make_network(dataset, recipe, form.removesuffix("-2"), archs)

    def every(dataset, states):
        return over_candidates(lambda state: trains(network)(dataset, state), network)(states)

    if form == "switch-2":  # an odd number is filled up with the first, as a build does it
        missing = -len(archs) % jax.local_device_count()
        states = jax.tree.map(lambda x: jax.numpy.concatenate([x, x[:missing]]), states)
        dataset, function = place_shared(dataset), divided(every, 1)
    else:
        function = jax.jit(every)
    program = function.lower(dataset, states).compile()
    return lambda: program(dataset, states)[0][: len(archs)]


def plain(form, problem):
    """Returns compiled `run()` of a form without the library; its result is each candidate's mean loss."""
    import jax
    import jax.numpy as jnp
    from candidate_steps_plain import own_parameters, plain_parameters, plain_step

    from jnas.training.data._augmentation import normalize

    dataset, recipe, archs, batches = (problem[n] for n in ("dataset", "recipe", "archs", "batches"))
    images, labels = normalize(dataset.images, dataset.mean, dataset.std), dataset.labels
    begin, step = plain_step(recipe, batches.shape[1], recipe.cells)
    parameters = jax.tree.map(jnp.asarray, plain_parameters(problem["states"].weights.parameters))

    def on_batch(carry, arch, numbers, images, labels):  # images are no constants, or XLA computes with them
        return step(carry, arch, images[numbers], labels[numbers])

    def looped(program, carry, batches, *shared):
        losses = []
        for numbers in batches:
            carry, loss = program(carry, numbers, *shared)
            losses.append(loss)
        return jnp.mean(jnp.stack(losses), 0)

    if form in ("naive", "naive-scan"):
        shared, by_step = (images, labels, jax.nn.one_hot(archs, 5)), jnp.asarray(batches.swapaxes(0, 1))
        carry = jax.jit(jax.vmap(begin))(parameters)

        def every(carry, numbers, images, labels, weights):
            return jax.vmap(on_batch, (0, 0, 0, None, None))(carry, weights, numbers, images, labels)

        def scanned(carry, batches, *shared):
            return jnp.mean(jax.lax.scan(lambda carry, numbers: every(carry, numbers, *shared), carry, batches)[1], 0)

        if form == "naive-scan":
            program = jax.jit(scanned).lower(carry, by_step, *shared).compile()
            return lambda: program(carry, by_step, *shared)
        program = jax.jit(every).lower(carry, by_step[0], *shared).compile()
        return lambda: looped(program, carry, by_step, *shared)
    cells = [tuple(arch) for arch in archs.tolist()]
    carries = [begin(own_parameters({n: a[k] for n, a in parameters.items()}, arch)) for k, arch in enumerate(cells)]
    shared = (images, labels)
    steps = [lambda carry, *rest, arch=arch: on_batch(carry, arch, *rest) for arch in cells]
    if form == "unrolled":
        by_step = jnp.asarray(batches.swapaxes(0, 1))

        def all_at_once(carries, numbers, *shared):
            results = [
                each(carry, numbers[k], *shared) for k, (each, carry) in enumerate(zip(steps, carries, strict=True))
            ]
            return [carry for carry, _ in results], jnp.stack([loss for _, loss in results])

        program = jax.jit(all_at_once).lower(carries, by_step[0], *shared).compile()
        return lambda: looped(program, carries, by_step, *shared)
    programs = [
        jax.jit(each).lower(carry, batches[0, 0], *shared).compile() for each, carry in zip(steps, carries, strict=True)
    ]
    rows = [list(map(jnp.asarray, mine)) for mine in batches]
    return lambda: [looped(*each, *shared) for each in zip(programs, carries, rows, strict=True)]


def work(form: str, sizes: dict[str, int]) -> None:
    """Compiles a form, runs it once, and then once for each line of the standard input; answers in JSON."""
    import jax
    import numpy as np

    if form == "switch-2":
        jax.config.update("jax_num_cpu_devices", 2)
    problem = make_problem(sizes)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    is_plain = form in ("naive", "naive-scan", "static", "unrolled")
    run = plain(form, problem) if is_plain else library(form, problem)
    figures = {"compile_s": time.perf_counter() - wall, "compile_cpu_s": time.process_time() - cpu}
    print(json.dumps({"losses": np.asarray(run()).tolist(), **figures}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(run())
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": peak, "base_mb": base}), flush=True)


def write_problem(path: str, sizes: dict[str, int]) -> None:
    """Writes what PyTorch needs, as `.npz`: the same images, batches and first parameters."""
    import numpy as np
    from candidate_steps_plain import plain_parameters

    from jnas.training.data._augmentation import normalize

    problem = make_problem(sizes)
    dataset = problem["dataset"]
    np.savez(
        path,
        images=normalize(dataset.images, dataset.mean, dataset.std),
        labels=dataset.labels,
        archs=problem["archs"],
        batches=problem["batches"],
        recipe=json.dumps(problem["recipe"]._asdict()),
        **plain_parameters(problem["states"].weights.parameters),
    )


def start(form: str, sizes: dict[str, int], torch: list[str], xla_flags: str) -> subprocess.Popen[str]:
    """Returns a process that serves one form."""
    flags = xla_flags + (" --xla_cpu_multi_thread_eigen=false" if form == "switch-2" else "")
    environment = os.environ | {"XLA_FLAGS": flags.strip()}
    command = [sys.executable, __file__, "--worker", json.dumps([form, sizes])]
    if form.startswith("torch"):
        command = [*torch, form.removeprefix("torch-")]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def ask(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Lets a form run once and returns its figures."""
    process.stdin.write("\n")
    process.stdin.flush()
    return answer(process)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Returns the next figures of a form."""
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a form's process ended with status {process.wait()}: {' '.join(process.args)}")
    return json.loads(line)


def compare(arguments: argparse.Namespace, sizes: dict[str, int], torch: list[str]) -> None:
    """Runs all forms in turn and prints the table."""
    processes, firsts, rounds = {}, {}, []
    print(f"{sizes}, load {os.getloadavg()[0]:.1f}", flush=True)
    try:
        for form in arguments.forms:
            processes[form] = start(form, sizes, torch, arguments.xla_flags)
            firsts[form] = answer(processes[form])
            seconds, losses = firsts[form]["compile_s"], firsts[form]["losses"]
            apart = max(abs(a / b - 1) for a, b in zip(losses, firsts[arguments.forms[0]]["losses"], strict=True))
            print(f"  {form}: compiled in {seconds:.1f} s, losses within {apart:.1e} of the first form's", flush=True)
            assert apart < TOLERANCE, f"{form} does other work: {losses}"
        for number in range(arguments.repeats):
            turn = arguments.forms[number % len(arguments.forms) :] + arguments.forms[: number % len(arguments.forms)]
            rounds.append({form: ask(processes[form]) for form in turn})
        ends = {form: json.loads(process.communicate()[0]) for form, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
    base = "switch" if "switch" in arguments.forms else arguments.forms[0]
    per = 1e3 / (sizes["candidates"] * sizes["steps"])
    heads = ("wall ms", "least", "CPU ms", f"wall/{base}", f"CPU/{base}", "compile s", "CPU s", "peak MB", "before")
    print(f"{'form':12s}" + "".join(f"{head:>12s}" for head in heads))
    for form in arguments.forms:
        walls, cpus = ([each[form][kind] for each in rounds] for kind in ("wall", "cpu"))
        ratios = [statistics.median(each[form][kind] / each[base][kind] for each in rounds) for kind in ("wall", "cpu")]
        numbers = (statistics.median(walls) * per, min(walls) * per, statistics.median(cpus) * per, *ratios)
        numbers += (firsts[form]["compile_s"], firsts[form]["compile_cpu_s"], *ends[form].values())
        print(f"{form:12s}" + "".join(f"{n:12.{2 if place < 5 else 0}f}" for place, n in enumerate(numbers)))
    print(f"load {os.getloadavg()[0]:.1f}")


def main():
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("channels", 8), ("cells", 1), ("size", 8), ("batch", 64), ("candidates", 25), ("steps", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--forms", nargs="+", default=list(FORMS), help=f"of {', '.join(FORMS + OTHER_FORMS)}, torch-1")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--torch-python", help="runs torch-1 and torch-2; adds both where --forms names neither")
    parser.add_argument("--xla-flags", default="", help="for every form of JAX")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        form, sizes = json.loads(arguments.worker)
        (write_problem if form.endswith(".npz") else work)(form, sizes)
        return
    sizes = {n: getattr(arguments, n) for n in ("channels", "cells", "size", "batch", "candidates", "steps")}
    if arguments.torch_python and not any(form.startswith("torch") for form in arguments.forms):
        arguments.forms += ["torch-1", "torch-2"]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "problem.npz")
        if any(form.startswith("torch") for form in arguments.forms):  # in a process of its own: a child's peak memory
            subprocess.run([sys.executable, __file__, "--worker", json.dumps([path, sizes])], check=True)
        script = Path(__file__).with_name("candidate_steps_torch.py")  # is never below what its parent had at the fork
        compare(arguments, sizes, [str(arguments.torch_python), str(script), path])


if __name__ == "__main__":
    main()
