"""Fits BANANAS's two presets to random genotypes of the DARTS space, and measures how they rank others.

    python tests/benchmarks/bananas_presets.py [--rows 100] [--held-out 200] [--presets tables,darts]

The features are all 11,204 paths. The score is made up: each operation has an effect in each cell, in other strength at
each edge; inputs from later nodes cost a little; accuracies of 95 +- 0.7 %, seen with noise of 0.15. Prints for each
preset the CPU seconds to compile and to fit, and Kendall's tau with the score without noise on held-out genotypes.
"""

import argparse
import time

import jax
import numpy as np
from scipy.stats import kendalltau

from jnas import spaces
from jnas.searchers.black_box._bananas import _PRESETS
from jnas.searchers.predictors._mlp_ensemble import mlp_ensemble
from jnas.spaces.darts._cells import SHAPE


def make_scores(archs, draws):
    """Returns accuracies of genotypes `[N, 32]` in percent: as they are, and as they are seen."""
    cells = archs.reshape(-1, *SHAPE)  # [N, cell, node, which, input or operation]
    effect, strength = draws.normal(size=(2, 7)), 1 + 0.5 * draws.normal(size=SHAPE[:3])
    of_cells = [effect[cell][cells[:, cell, ..., 1]] * strength[cell] for cell in range(2)]
    score = sum(each.sum((1, 2)) for each in of_cells) - 0.3 * cells[..., 0].sum((1, 2, 3))
    clean = 95 + 0.7 * (score - score.mean()) / score.std()
    return clean, clean + 0.15 * draws.normal(size=len(clean))


def measure(preset, features, clean, seen, rows):
    """Prints the figures of a preset, which is fitted to the first rows."""
    predictor = mlp_ensemble(**_PRESETS[preset])
    arguments = jax.random.key(1), features[:rows], seen[:rows].astype(np.float32), np.ones(rows, bool)
    begin = time.process_time()
    program = jax.jit(predictor.fit).lower(*arguments).compile()
    compiled = time.process_time()
    model = jax.block_until_ready(program(*arguments))
    fitted = time.process_time()
    tau = kendalltau(jax.jit(predictor.predict)(model, features[rows:]).mean, clean[rows:])[0]
    print(
        f"{preset}: compile {compiled - begin:.1f}, fit {fitted - compiled:.1f} CPU-s; Kendall's tau {tau:.3f}",
        flush=True,
    )


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--presets", default=",".join(_PRESETS))
    options = parser.parse_args()
    space = spaces.darts()
    keys = jax.random.split(jax.random.key(0), options.rows + options.held_out)
    archs = np.asarray(jax.vmap(space.sample)(keys))
    features = np.asarray(jax.jit(jax.vmap(lambda arch: space.features(arch, "path")))(archs), np.float32)
    clean, seen = make_scores(archs, np.random.default_rng(0))
    for preset in options.presets.split(","):
        measure(preset, features, clean, seen, options.rows)


if __name__ == "__main__":
    main()
