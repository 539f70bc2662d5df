"""Prints how shared weights agree with the table with and without the cells that fail altogether.

    python tests/benchmarks/supernet_agreement.py DIR [--above 50]

DIR is the folder of `jnas supernet` with a one-shot analysis. A cell that connects its input to its output by no
operation is at chance by the table and under any weights, and a few of those make a high linear correlation. Prints
for each method and search the coefficients of the accuracy under the shared weights, with each policy of batch-norm,
over all evaluated cells and over those whose accuracy by the table is above so many percent.
"""

import argparse

import numpy as np

import jnas
from jnas.searchers.weight_sharing._analysis import shared_weight_correlations


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--above", type=float, default=50.0, metavar="PERCENT")
    options = parser.parse_args()
    study = jnas.load_supernet_study(options.folder)
    for result in study.methods:
        if result.one_shot is None:
            parser.error(f"{options.folder} has no one-shot analysis; run `jnas supernet` with --one-shot and --table")
        truth = result.one_shot.truth
        parts = {"all": np.ones(len(truth), bool), f"> {options.above:g} %": truth > options.above}
        for policy, accuracies in zip(study.config["batch_norms"], result.one_shot.accuracies, strict=True):
            for part, there in parts.items():
                found = [shared_weight_correlations(truth[there], each[there]) for each in accuracies]
                told = [" ".join(f"{each[name]:6.2f}" for each in found) for name in ("pearson", "kendall")]
                counted = f"{there.sum():,} cells"
                print(f"{result.name:9s} {policy:12s} {part:7s} {counted:12s} Pearson {told[0]}  Kendall {told[1]}")


if __name__ == "__main__":
    main()
