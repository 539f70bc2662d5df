"""Says what a table that was built can tell apart, and how far its order agrees with a published one.

    python tests/benchmarks/table_agreement.py digits
    python tests/benchmarks/table_agreement.py BUILT.npz --published NB201.npz
    python tests/benchmarks/table_agreement.py BUILT101.npz --published EC-NAS.npz

Of the cells that were trained themselves: the spread of accuracies, the share of cells that have exactly the accuracy
of another, Kendall's tau between two seeds (of accuracy and of loss), between validation and test, and between earlier
epochs and the last. With `--published`, Kendall's tau with the published CIFAR-10 test accuracies after each of its
trainings, such as 12 and 200 epochs, with a 95 % bootstrap interval over cells.
"""

import argparse

import numpy as np
from scipy import stats

import jnas
from jnas.statistics import kendall_tau
from jnas.tables._file import decode_curve, member


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", help="a table from `jnas table build`, or digits")
    parser.add_argument("--published", help="a table with trainings on cifar10")
    options = parser.parse_args()
    table = jnas.load_table(options.table)
    training = table.header.trainings[0]
    place = (training.dataset, training.epochs)
    roles = table.header.pairs[training.dataset]
    validation, test = (roles[role][1] for role in ("validation", "test"))
    curves = {s: decode_curve(table.read(member("accuracy_curve", *place, s))) for s in (validation, test)}
    loss = table.read(member("loss", *place, validation))
    own = table.read(member("trained_as", *place)) == np.arange(table.num_archs)
    trained = own & ~np.isnan(curves[validation][:, 0, -1])
    final = curves[validation][trained, 0, -1]
    points = (0, 5, 25, 50, 75, 95, 100)
    told = ", ".join(f"{point}: {value:.2f}" for point, value in zip(points, np.percentile(final, points), strict=True))
    print(f"{trained.sum():,} cells trained; percentiles of {validation} accuracy, {told}")
    _, counts = np.unique(np.round(final, 3), return_counts=True)
    print(
        f"one seed: {100 * counts[counts > 1].sum() / len(final):.1f} % share their accuracy with another cell; ",
        end="",
    )
    _, counts = np.unique(loss[trained, 0], return_counts=True)
    print(f"{100 * counts[counts > 1].sum() / len(final):.1f} % their loss; of all pairs ", end="")
    _, counts = np.unique(np.round(final, 3), return_counts=True)
    print(f"{100 * (counts * (counts - 1.0)).sum() / (len(final) * (len(final) - 1.0)):.2f} % tie")
    repeated = trained & ~np.isnan(curves[validation]).any((1, 2))
    if len(training.seeds) > 1 and repeated.any():
        means = curves[validation][repeated].mean(1)[:, -1]
        _, counts = np.unique(np.round(means, 3), return_counts=True)
        shared = 100 * counts[counts > 1].sum() / len(means)
        print(f"{repeated.sum():,} cells with {len(training.seeds)} seeds: {shared:.1f} % share their mean")
        for name, values in (("accuracy", curves[validation][:, :, -1]), ("loss", loss)):
            tau = kendall_tau(values[repeated, 0], values[repeated, 1])
            print(f"tau between two seeds, {name}: {tau:.3f}")
        spread = curves[validation][repeated][:, :, -1].std(1, ddof=1)
        print(f"standard deviation over seeds: median {np.median(spread):.2f}, over cells' means {means.std():.2f}")
    print(f"tau between validation and test, one seed: {kendall_tau(final, curves[test][trained, 0, -1]):.3f}")
    by_epoch = [kendall_tau(curves[validation][trained, 0, e], final) for e in range(training.epochs)]
    print("tau between each epoch and the last:", " ".join(f"{tau:.2f}" for tau in by_epoch))
    if options.published:
        published = jnas.load_table(options.published)
        archs = table.archs[trained].astype(np.int32)
        for epochs in sorted(t.epochs for t in published.header.trainings if t.dataset == "cifar10"):
            known = np.asarray(published.accuracy(archs, dataset="cifar10", split="test", epochs=epochs, seed="mean"))
            for split in (validation, test):
                found = curves[split][trained, :, -1]
                pairs = (known, found.mean(1, where=~np.isnan(found)))
                interval = stats.bootstrap(
                    pairs,
                    lambda a, b: stats.kendalltau(a, b).statistic,
                    paired=True,
                    vectorized=False,
                    n_resamples=2000,
                    method="percentile",
                    rng=0,
                ).confidence_interval
                print(
                    f"tau of {split} with the published test accuracy after {epochs} epochs, {trained.sum()} cells: "
                    f"{kendall_tau(*pairs):.3f} [{interval.low:.3f}, {interval.high:.3f}]"
                )


if __name__ == "__main__":
    main()
