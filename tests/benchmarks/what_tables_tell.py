"""What searching by validation finds on test, for each data set of some tables, without drawing anything.

`python tests/benchmarks/what_tables_tell.py TABLE.npz ...`: Kendall's tau of validation and test over all
architectures and over the tenth that is best by validation; the exact expectation of the test metric of the best by
validation of k random architectures (each once, ties shared equally); the best test metric.
"""

import argparse

import numpy as np
from scipy import stats

import jnas
from jnas.statistics import best_of_draws, expected_best


def expected_test(valid, test, k):
    """What the best by validation of k random architectures has on test, on average over all draws."""
    return expected_best(best_of_draws(valid, k, judged_by=test, replacement=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+")
    print("| set | architectures | tau all | top tenth | k=1 | k=10 | k=100 | k=1000 | all | best test |")
    print("|---" * 10 + "|")
    for path in parser.parse_args().tables:
        table = jnas.load_table(path)
        sign = 1 if table.metric.higher_is_better else -1
        for dataset in table.header.pairs or {t.dataset for t in table.header.trainings}:
            epochs = max(
                t.epochs for t in table.header.trainings if t.dataset == table.resolve(dataset, "validation")[0]
            )
            columns = [
                table.runs("accuracy", *table.resolve(dataset, s), epochs, "mean") for s in ("validation", "test")
            ]
            valid, test = (sign * runs.value[:, 0].astype(float) for runs in columns)
            known = np.isfinite(valid) & np.isfinite(test)
            valid, test = valid[known], test[known]
            top = valid >= np.quantile(valid, 0.9)
            taus = [stats.kendalltau(valid, test).statistic, stats.kendalltau(valid[top], test[top]).statistic]
            found = [sign * expected_test(valid, test, k) for k in (1, 10, 100, 1000, len(valid)) if k <= len(valid)]
            cells = [*(f"{tau:.3f}" for tau in taus), *(f"{value:.2f}" for value in [*found, sign * test.max()])]
            print(f"| {dataset} | {len(valid):,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
