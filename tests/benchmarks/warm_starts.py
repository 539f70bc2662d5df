"""What a warm start by a score without training is worth: searches with and without one, on a table that has scores.

    jnas proxies --table nb201-table.npz --dataset cifar10-valid --cells 15625 --seeds 1 --proxies synflow \
        --stage-cells 1 --channels 16 --out-table scored.npz
    python tests/benchmarks/warm_starts.py scored.npz --by synflow,params --num-seeds 200

Searches look at the validation accuracy after 200 epochs and are judged by the test accuracy of what they have found
after so many evaluations. An interval is of the difference from the same searcher without a warm start, over seeds.
"""

import argparse
import time

import numpy as np

import jnas
from jnas.searchers._registry import make


def main() -> None:
    """Prints a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--by", default="synflow", help="columns of the table, separated by commas")
    parser.add_argument("--searchers", default="regularized_evolution,bananas")
    parser.add_argument("--datasets", default="cifar10,cifar100,ImageNet16-120")
    parser.add_argument("--drawn", default="1000", help="how many random cells are scored, one or several numbers")
    parser.add_argument("--at", default="30,60,150", help="after how many evaluations searches are judged")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--num-seeds", type=int, default=200)
    options = parser.parse_args()
    table = jnas.load_table(options.table)
    space, places = jnas.scored_space(table), [int(n) for n in options.at.split(",")]
    begin = time.process_time()
    for dataset in options.datasets.split(","):
        searchers = {}
        for name in options.searchers.split(","):
            searchers[name] = make(name, space)
            for by in options.by.split(","):
                for drawn in options.drawn.split(","):
                    made = make(name, space, warm_start=by, warm_drawn=int(drawn))
                    searchers[f"{name}:warm_start={by}:warm_drawn={drawn}"] = made
        targets = [jnas.Target(*table.resolve(dataset, "test"), options.epochs)]
        study = jnas.study(
            searchers,
            table,
            dataset=dataset,
            split="validation",
            epochs=options.epochs,
            max_evaluations=max(places),
            num_seeds=options.num_seeds,
            targets=targets,
        )
        results = {result.name: result for result in study.searchers}
        print(f"{dataset}, test accuracy after {' / '.join(map(str, places))} evaluations")
        for name in searchers:
            found = np.asarray(results[name].values)[0][:, [n - 1 for n in places]]
            plain = np.asarray(results[name.split(":")[0]].values)[0][:, [n - 1 for n in places]]
            told = [
                f"{mean:.2f} ({spread:.2f})" for mean, spread in zip(found.mean(0), found.std(0, ddof=1), strict=True)
            ]
            if found is not plain and ":" in name:
                gain = found.mean(0) - plain.mean(0)
                half = 1.96 * np.sqrt((found.var(0, ddof=1) + plain.var(0, ddof=1)) / len(found))
                told = [f"{t} {g:+.2f} [{g - h:+.2f}, {g + h:+.2f}]" for t, g, h in zip(told, gain, half, strict=True)]
            print(f"  {name:64s} {'  '.join(told)}", flush=True)
    print(f"{time.process_time() - begin:.0f} CPU-s")


if __name__ == "__main__":
    main()
