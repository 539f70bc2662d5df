"""Times fits of BANANAS's ensemble of networks against plainer ways to write them.

    python tests/benchmarks/mlp_ensemble_forms.py [--seeds 32] [--features 155] [--rows 32] [--repeats 5]

The forms: the library's (gradients written out, seeds a few at a time), `whole` (all seeds at once under `vmap`) and
`automatic` (the same with JAX's own gradient). Prints for each the CPU seconds to compile, the CPU microseconds of all
threads for a step of one network (least and median of the repeats; forms take turns), and the CPU seconds a seed for
the 14 fits of a 150-query search: 6,000 steps of 5 networks.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from jnas.searchers.predictors import _mlp, _mlp_ensemble

EPOCHS, MEMBERS, BATCH, STEPS_OF_A_SEARCH = 150, 5, 32, 6000


def automatic_gradients(weights, training, inputs, targets, importance, share):
    """What `_mlp.gradients` returns, by automatic differentiation."""

    def total(weights):
        outputs = weights.heads @ _mlp._activations(weights, inputs)[-1]
        return jnp.sum(share * _mlp.losses(outputs, targets, importance, training.loss))

    gradient = jax.grad(total)(weights)
    return gradient._replace(hidden=tuple(layer.at[-1].set(0) for layer in gradient.hidden))


FORMS = {
    "library": {},
    "whole": {(_mlp_ensemble, "_CACHE_BYTES"): 2**60},
    "automatic": {(_mlp_ensemble, "_CACHE_BYTES"): 2**60, (_mlp, "gradients"): automatic_gradients},
}


def compile_form(changes, arguments):
    """Returns the program with these attributes of modules replaced, and the CPU seconds that compiling it took."""
    before = {place: getattr(*place) for place in changes}
    for place, value in changes.items():
        setattr(*place, value)
    begin = time.process_time()
    fit = _mlp_ensemble.mlp_ensemble(num_members=MEMBERS, epochs=EPOCHS, batch_size=BATCH).fit
    program = jax.jit(jax.vmap(fit)).lower(*arguments).compile()
    seconds = time.process_time() - begin
    for place, value in before.items():
        setattr(*place, value)
    return program, seconds


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("seeds", 32), ("features", 155), ("rows", 32), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    size = (options.seeds, options.rows)
    features = rng.integers(0, 2, (*size, options.features)).astype(np.float32)
    scores = (features[..., :10].sum(-1) + rng.normal(size=size)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), options.seeds)
    arguments = keys, jnp.asarray(features), jnp.asarray(scores), jnp.ones(size, bool)
    programs = {name: compile_form(changes, arguments) for name, changes in FORMS.items()}
    steps = options.seeds * MEMBERS * EPOCHS * -(-options.rows // BATCH)
    taken = {name: [] for name in FORMS}
    for _ in range(options.repeats):
        for name, (program, _) in programs.items():
            begin = time.process_time()
            jax.block_until_ready(program(*arguments))
            taken[name].append((time.process_time() - begin) / steps)
    for name, (_, compiling) in programs.items():
        least, middle = min(taken[name]), statistics.median(taken[name])
        search = middle * MEMBERS * STEPS_OF_A_SEARCH
        print(f"{name:10s} compiled in {compiling:.1f} s; {1e6 * least:.1f}, {1e6 * middle:.1f} us; {search:.2f} s")


if __name__ == "__main__":
    main()
