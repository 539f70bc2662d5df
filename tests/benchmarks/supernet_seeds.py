"""Times an epoch of several weight-sharing searches in one program against the same searches in turn.

    python tests/benchmarks/supernet_seeds.py [--methods rsps,gdas,darts-v1] [--seeds 4] [--repeats 3]

The searches are those of `jnas supernet --dataset digits`, on one device. The forms: `in turn` (one search a program,
called for each), `one program` (the library's: on CPUs a loop over the searches) and `vmap` (which has to compute all
branches of all searches). Prints for each the CPU seconds to compile and, for an epoch and search, the CPU seconds of
all threads and the wall time (medians of the repeats; forms take turns), and how far the losses are apart.
"""

import argparse
import statistics
import time

import jax
import numpy as np

from jnas import training
from jnas.searchers.weight_sharing._loop import begin_search, train_epoch
from jnas.studies.supernets._plan import supernet_methods
from jnas.training.operations._forms import over_seeds


def forms(epoch, supernet, runs):
    """Returns the compiled forms: functions of the runs that return their losses, and what compiling each took."""
    one = jax.tree.map(lambda leaf: leaf[0], runs)
    leaves, structure = jax.tree.flatten(runs)
    count = len(leaves[0])

    def flat(*leaves):
        return epoch(jax.tree.unflatten(structure, leaves))

    programs, compiled = {"in turn": (epoch, (one,))}, {}
    programs["one program"] = over_seeds(flat, supernet), tuple(leaves)
    programs["vmap"] = jax.vmap(epoch), (runs,)
    for name, (function, arguments) in programs.items():
        begin = time.process_time()
        program = jax.jit(function).lower(*arguments).compile()
        seconds = time.process_time() - begin
        if name == "in turn":
            singles = [jax.tree.map(lambda leaf, i=i: leaf[i], runs) for i in range(count)]
            compiled[name] = (lambda program=program, singles=singles: [program(each) for each in singles]), seconds
        else:
            compiled[name] = (lambda program=program, arguments=arguments: program(*arguments)), seconds
    return compiled


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="rsps,gdas,darts-v1")
    for name, default in (("seeds", 4), ("repeats", 3), ("channels", 4), ("cells", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    dataset = training.load_dataset("digits")
    supernet = training.nasbench201_supernet(
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        channels=options.channels,
        cells=options.cells,
    )
    names = options.methods.split(",")
    for name, method in supernet_methods(names, supernet, dataset, epochs=50).items():
        keys = jax.random.split(jax.random.key(0), options.seeds)
        runs = jax.jit(jax.vmap(lambda key, method=method: begin_search(key, method.searcher)))(keys)

        def epoch(run, method=method):
            return train_epoch(run, method.searcher, dataset, batch_size=method.batch_size, split="validation")[
                1
            ].train_loss

        compiled = forms(epoch, supernet, runs)
        taken = {form: [] for form in compiled}
        losses = {}
        for _ in range(options.repeats):
            for form, (call, _) in compiled.items():
                wall, cpu = time.perf_counter(), time.process_time()
                losses[form] = np.asarray(jax.block_until_ready(call()))
                taken[form].append((time.process_time() - cpu, time.perf_counter() - wall))
        for form, (_, compiling) in compiled.items():
            cpu, wall = (statistics.median(column) / options.seeds for column in zip(*taken[form], strict=True))
            apart = np.abs(losses[form] / losses["in turn"] - 1).max()
            print(
                f"{name:9s} {form:12s} compiled in {compiling:.1f} s; an epoch of a search {cpu:.2f} s (CPU), "
                f"{wall:.2f} s; losses within {apart:.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
