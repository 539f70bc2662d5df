"""Times search steps on the supernet of NAS-Bench-201, in the library and in PyTorch.

    python tests/benchmarks/supernet_steps.py --torch-python PATH                # 4 channels, 1 cell a stage
    python tests/benchmarks/supernet_steps.py --torch-python PATH --channels 16 --cells 5 --repeats 1

PATH is a Python that has PyTorch; without it, the library alone. The steps, each on batches of its own for the weights
and for the architecture:

  darts-v1  the weights learn by the mixture of all operations, then the architecture parameters do
  gdas      one operation on each edge; weights and architecture parameters learn, the latter straight through
  rsps      one operation on each edge; the weights learn

Weights learn by SGD with Nesterov's momentum, weight decay and clipped gradients, architecture parameters by Adam.
A run is five steps (of the library, one program); the architectures of gdas and rsps are the five cyclic shifts of one
cell, so that every operation stands on every edge once. Both sides start from the same numbers, and the benchmark ends
with an error if their losses of the first two steps differ. Each method of each side runs in a process of its own and
takes its turn in every round, so that another load hits all alike. Prints for each, per step: wall and CPU
milliseconds (medians of the rounds; CPU of all threads), the median over rounds of the ratio of the CPU times,
seconds to compile (wall, CPU) and peak memory of the process.
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

METHODS = ("darts-v1", "gdas", "rsps")
SGD = {"learning_rate": 0.025, "momentum": 0.9, "weight_decay": 5e-4, "clip": 5.0}
ADAM = {"learning_rate": 3e-4, "b1": 0.5, "b2": 0.999, "weight_decay": 1e-3}
TOLERANCE = 0.001  # of the first two losses: float32 sums in another order, which each step amplifies


def make_problem(sizes):
    """Returns the supernet, its first parameters, alpha, five batches of each kind, and five architectures."""
    import jax
    import numpy as np

    from jnas.training.networks.nasbench201._supernet import nasbench201_supernet
    from jnas.training.operations._forms import switch_form

    rng = np.random.default_rng(0)
    size, batch = sizes["size"], sizes["batch"]
    labels = rng.integers(0, 10, (5, 2, batch))  # of the weights and of the architecture
    images = rng.normal(size=(5, 2, batch, size, size, 3)) + 0.3 * (labels[..., None, None, None] - 4.5)
    supernet = nasbench201_supernet(
        image_shape=(size, size, 3),
        num_classes=10,
        channels=sizes["channels"],
        cells=sizes["cells"],
        form=switch_form(),
    )
    return {
        "supernet": supernet,
        "parameters": jax.jit(supernet.init)(jax.random.key(0))[0],
        "alpha": np.float32(1e-3 * rng.normal(size=(6, 5))),
        "images": np.float32(images),
        "labels": np.int32(labels),
        "archs": np.int32((np.array([0, 3, 1, 4, 2, 2]) + np.arange(5)[:, None]) % 5),
    }


def search_step(method, supernet):
    """Returns `(begin, step)` of a method: `step(state, images, labels, arch) -> (state, loss)`."""
    import jax
    import jax.numpy as jnp
    import optax

    from jnas.core._vocabulary import IMAGE_CLASSIFICATION

    learn = optax.chain(
        optax.clip_by_global_norm(SGD["clip"]),
        optax.add_decayed_weights(SGD["weight_decay"]),
        optax.sgd(SGD["learning_rate"], SGD["momentum"], nesterov=True),
    )
    prefer = optax.chain(
        optax.add_decayed_weights(ADAM["weight_decay"]), optax.adam(ADAM["learning_rate"], ADAM["b1"], ADAM["b2"])
    )

    def loss(parameters, alpha, images, labels, arch):
        weights = jax.nn.softmax(alpha)
        if method == "darts-v1":
            logits, _ = supernet.mixture(parameters, None, weights, images)
        elif method == "gdas":
            hard = jax.lax.stop_gradient(jax.nn.one_hot(arch, 5) - weights) + weights
            logits, _ = supernet.straight_through(parameters, None, hard, arch, images)
        else:
            logits, _ = supernet.sampled(parameters, None, arch, images)
        return jnp.mean(IMAGE_CLASSIFICATION.loss(logits, labels))

    def begin(parameters, alpha):
        return parameters, alpha, learn.init(parameters), prefer.init(alpha)

    def step(state, images, labels, arch):
        parameters, alpha, learned, preferred = state
        value, gradient = jax.value_and_grad(loss)(parameters, alpha, images[0], labels[0], arch)
        updates, learned = learn.update(gradient, learned, parameters)
        parameters = optax.apply_updates(parameters, updates)
        if method != "rsps":
            gradient = jax.grad(loss, 1)(parameters, alpha, images[1], labels[1], arch)
            updates, preferred = prefer.update(gradient, preferred, alpha)
            alpha = optax.apply_updates(alpha, updates)
        return (parameters, alpha, learned, preferred), value

    return begin, step


def work(method, sizes):
    """Compiles a step, runs it, and then once for each line of the standard input; answers in JSON."""
    import jax
    import jax.numpy as jnp

    problem = make_problem(sizes)
    begin, step = search_step(method, problem["supernet"])
    batches = tuple(jnp.asarray(problem[name]) for name in ("images", "labels", "archs"))
    first = jax.jit(begin)(problem["parameters"], problem["alpha"])

    def steps(state, batches):  # one program, as the library's loop is: its memory is asked for once
        return jax.lax.scan(lambda state, batch: step(state, *batch), state, batches)

    wall, cpu = time.perf_counter(), time.process_time()
    program = jax.jit(steps).lower(first, batches).compile()
    figures = {"compile_s": time.perf_counter() - wall, "compile_cpu_s": time.process_time() - cpu}

    def run():
        return jax.block_until_ready(program(first, batches))[1].tolist()

    print(json.dumps({"losses": run(), **figures}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


def write_problem(path, sizes):
    """Writes what PyTorch needs, as `.npz`: the same images, labels, architectures and first parameters."""
    import jax
    import numpy as np

    problem = make_problem(sizes)
    leaves = jax.tree_util.tree_leaves_with_path(problem["parameters"])
    named = {"parameters" + jax.tree_util.keystr(place): leaf for place, leaf in leaves}
    rest = {name: problem[name] for name in ("alpha", "images", "labels", "archs")}
    np.savez(path, sgd=json.dumps(SGD), adam=json.dumps(ADAM), cells=sizes["cells"], **rest, **named)


def compare_sides(own, methods, sizes, torch, threads, repeats):
    """Runs all in turn and prints the table; `own` and `torch` are the commands of the two sides."""
    from candidate_steps import answer, ask

    sides = ["jnas"] + (["torch"] if torch else [])
    names = [(method, side) for method in methods for side in sides]
    processes, firsts, rounds = {}, {}, []
    print(f"{sizes}, load {os.getloadavg()[0]:.1f}", flush=True)
    try:
        for method, side in names:
            work = json.dumps([method, sizes])
            command = [*own, "--worker", work] if side == "jnas" else [*torch, method, str(threads)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            processes[method, side] = subprocess.Popen(command, **pipes)
            firsts[method, side] = answer(processes[method, side])
            losses, expected = firsts[method, side]["losses"], firsts[method, "jnas"]["losses"]
            apart = max(abs(a / b - 1) for a, b in zip(losses[:2], expected[:2], strict=True))
            seconds = firsts[method, side]["compile_s"]
            print(f"  {method} {side}: compiled in {seconds:.1f} s, losses within {apart:.1e}", flush=True)
            assert apart < TOLERANCE, f"{method} differs: {losses} and {expected}"
        for number in range(repeats):
            turn = names[number % len(names) :] + names[: number % len(names)]
            rounds.append({name: ask(processes[name]) for name in turn})
        ends = {name: json.loads(process.communicate()[0]) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
    heads = ("wall ms", "CPU ms", "CPU/jnas", "compile s", "CPU s", "peak MB")
    print(f"{'':16s}" + "".join(f"{head:>12s}" for head in heads))
    for name in names:
        walls, cpus = ([200 * each[name][kind] for each in rounds] for kind in ("wall", "cpu"))
        ratio = statistics.median(each[name]["cpu"] / each[name[0], "jnas"]["cpu"] for each in rounds)
        numbers = (statistics.median(walls), statistics.median(cpus), ratio)
        numbers += (firsts[name]["compile_s"], firsts[name]["compile_cpu_s"], ends[name]["peak_mb"])
        print(f"{' '.join(name):16s}" + "".join(f"{number:12.2f}" for number in numbers))
    print(f"load {os.getloadavg()[0]:.1f}")


def main():
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("channels", 4), ("cells", 1), ("size", 32), ("batch", 64), ("repeats", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--torch-python", help="a Python that has PyTorch, which runs --threads threads")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        method, sizes = json.loads(arguments.worker)
        (write_problem if method.endswith(".npz") else work)(method, sizes)
        return
    sizes = {name: getattr(arguments, name) for name in ("channels", "cells", "size", "batch")}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "problem.npz")
        torch = None
        if arguments.torch_python:
            subprocess.run([sys.executable, __file__, "--worker", json.dumps([path, sizes])], check=True)
            torch = [arguments.torch_python, str(Path(__file__).with_name("supernet_steps_torch.py")), path]
        own = [sys.executable, __file__]
        compare_sides(own, arguments.methods, sizes, torch, arguments.threads, arguments.repeats)


if __name__ == "__main__":
    main()
