"""What searching by validation finds on test, for each data set of some tables, without drawing anything.

`python tests/benchmarks/what_tables_tell.py TABLE.npz ...`: Kendall's tau of validation and test over all
architectures and over the tenth that is best by validation; the exact expectation of the test metric of the best by
validation of k random architectures (each once, ties shared equally); the best test metric.

`... TABLE.npz --columns SET:SPLIT,SET:SPLIT,...` compares columns with the first of them: Spearman's correlation over
all architectures and over the tenth that the first has best; the rank that the first's best has in the other; and of
the hundred best of the other, how high they stand in the first on average (0 is the top, 1 the bottom).
"""

import argparse

import numpy as np
from scipy import stats

import jnas
from jnas.statistics import best_of_draws, expected_best


def expected_test(valid, test, k):
    """What the best by validation of k random architectures has on test, on average over all draws."""
    return expected_best(best_of_draws(valid, k, judged_by=test, replacement=False))


def across(path, columns):
    """Prints how columns of a table agree with the first of them."""
    table, values = jnas.load_table(path), {}
    for name in columns.split(","):
        dataset, split = name.split(":")
        epochs = max(t.epochs for t in table.header.trainings if t.dataset == table.resolve(dataset, split)[0])
        values[name] = table.runs("accuracy", *table.resolve(dataset, split), epochs, "mean").value[:, 0].astype(float)
    known = np.isfinite(list(values.values())).all(axis=0)
    first, *_ = values = {name: column[known] for name, column in values.items()}
    top = values[first] >= np.quantile(values[first], 0.9)
    place = stats.rankdata(-values[first], method="min")
    print(f"| column | best | Spearman with {first} | top tenth | rank of its best | where its hundred best stand |")
    print("|---" * 6 + "|")
    for name, column in values.items():
        best, hundred = int(values[first].argmax()), np.argsort(-column, kind="stable")[:100]
        taken = [stats.spearmanr(values[first][rows], column[rows])[0] for rows in (place > 0, top)]
        rank, stand = int((column > column[best]).sum()) + 1, (place[hundred] - 1).mean() / len(column)
        print(f"| {name} | {column.max():.2f} | {taken[0]:.3f} | {taken[1]:.3f} | {rank:,} | {stand:.3f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+")
    parser.add_argument("--columns")
    options = parser.parse_args()
    if options.columns is not None:
        across(options.tables[0], options.columns)
        return
    print("| set | architectures | tau all | top tenth | k=1 | k=10 | k=100 | k=1000 | all | best test |")
    print("|---" * 10 + "|")
    for path in options.tables:
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
