"""Says how the order of the 32 recurrent cells in a table agrees with the published one, and with itself.

    jnas table build -o cells.npz --space recurrent --nodes 2 --dataset ptb:1000 --data-dir DIR --num-seeds 10 ...
    python tests/benchmarks/recurrent_table.py cells.npz [--split validation] [--beside OTHER.npz]

The published order is that of eval-nas (`jnas/spaces/recurrent/_published.py`), a list without perplexities. Prints

  every cell, by its mean perplexity over the seeds that there are, with the deviation and its published place;
  Kendall's tau of the mean order with the published one, with its 95 % interval over cells, of all 32 and of the 26
    that differ as functions (of equal ones the one that was published first), and the mean of that of single seeds;
  the ceiling: tau between the means of two halves of the seeds, over many halvings, and between two seeds;
  the ends: the same among the best and the worst halves of the published order, and among cells without and with an
    identity; and how many of the published best and worst eight are among eight that are found there.
"""

import argparse

import jax
import numpy as np

import jnas
from jnas.spaces.recurrent._published import ORDER_OF_32
from jnas.statistics import kendall_tau
from jnas.statistics._rank_correlation import kendall_interval
from jnas.tables._file import member

HALVINGS, IDENTITY, END = 200, 3, 8


def halves(values: np.ndarray, rng: np.random.Generator) -> float:
    """Returns the mean of tau between the means of two halves of the seeds of values `[N, S]`; NaN for one seed."""
    count = values.shape[1] // 2
    if not count:
        return float("nan")
    orders = [rng.permutation(values.shape[1]) for _ in range(HALVINGS)]
    return float(
        np.mean([kendall_tau(values[:, o[:count]].mean(1), values[:, o[count : 2 * count]].mean(1)) for o in orders])
    )


def told(name: str, places: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> None:
    """Prints the line of a part of the cells: their published places `[N]` and perplexities `[N, S]`."""
    mean = values.mean(1)
    low, high = kendall_interval(places, mean)
    singles = [kendall_tau(places, values[:, seed]) for seed in range(values.shape[1])]
    print(
        f"{name:34} {len(places):2} cells: tau {kendall_tau(places, mean):6.3f} [{low:.2f}, {high:.2f}], of one seed "
        f"{np.mean(singles):6.3f}; between halves of the seeds {halves(values, rng):6.3f}"
    )


def read(path: str, split: str) -> tuple[jnas.Table, np.ndarray, str]:
    """Returns a table, its perplexities `[32, S]` of the seeds that all cells have, and what they are of."""
    table = jnas.load_table(path)
    if table.space.config != jnas.spaces.recurrent(2).config or table.num_archs != len(ORDER_OF_32):
        raise SystemExit(f"{path} is of {table.space.name}, expected a table of all recurrent cells of two nodes")
    training = table.header.trainings[0]
    column = table.header.pairs[training.dataset][split][1]
    values = table.read(member("accuracy", training.dataset, training.epochs, column)).astype(float)
    values = values[:, np.isfinite(values).all(0)]
    if not values.size:
        raise SystemExit(f"{path}: there is no seed with which every cell has a perplexity")
    return table, values, f"{values.shape[1]} seeds, {training.epochs} epochs, {column} of {training.dataset}"


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", help="of all cells of two nodes")
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    parser.add_argument("--beside", metavar="TABLE", help="another such table, whose order is compared too")
    options = parser.parse_args()
    table, values, told_of = read(options.table, options.split)
    space = jnas.spaces.recurrent(2)
    print(f"{options.table}: {told_of}")
    places = np.argsort(ORDER_OF_32)
    mean = values.mean(1)
    deviations = values.std(1, ddof=1) if values.shape[1] > 1 else np.full(len(mean), np.nan)
    for cell in np.argsort(mean):
        text = space.to_string(table.archs[cell].astype(np.int32)).split("=")[1].removesuffix(", concat")
        print(f"{cell:3} {text:42} {mean[cell]:8.2f} ± {deviations[cell]:5.2f}   published place {places[cell] + 1:2}")
    within = f"deviation over cells {mean.std(ddof=1):.2f}, over seeds (median) {np.median(deviations):.2f}"
    agreed = [kendall_tau(values[:, a], values[:, b]) for a in range(values.shape[1]) for b in range(a)]
    print(f"{within}; tau between two seeds {np.mean(agreed) if agreed else np.nan:.3f}")
    prints = np.asarray(jax.vmap(space.fingerprint)(table.archs.astype(np.int32)))
    order = np.asarray(ORDER_OF_32)
    different = order[np.sort(np.unique(prints[order], axis=0, return_index=True)[1])]
    identity = (table.archs[:, 1::2] == IDENTITY).any(1)
    rng = np.random.default_rng(0)
    parts = {
        "all": np.arange(len(order)),
        "those that differ": different,
        "the published best half": order[:16],
        "the published worst half": order[16:],
        "without an identity": np.flatnonzero(~identity),
        "with an identity": np.flatnonzero(identity),
    }
    for name, rows in parts.items():
        told(name, places[rows], values[rows], rng)
    found = np.argsort(mean)
    ends = [len({*order[end]} & {*found[end]}) for end in (slice(END), slice(-END, None))]
    chance = END * END / len(order)
    print(
        f"of the published best {END}, {ends[0]} are among the best {END} here; of the worst {END}, {ends[1]} (by "
        f"chance {chance:.1f})"
    )
    if options.beside is not None:
        _, others, what = read(options.beside, options.split)
        low, high = kendall_interval(others.mean(1), mean)
        print(f"with {options.beside} ({what}): tau {kendall_tau(others.mean(1), mean):.3f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
