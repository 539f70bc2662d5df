"""The options of `jnas study`, `predictors`, `proxies`, `supernet` and `report`."""

from typing import Any

from jnas.commands._training_options import IMAGE_SETTINGS, SIZE_SETTINGS
from jnas.commands._words import add_command, add_figures
from jnas.studies._settings import DATASET, NAMES, PROCESSES, Setting, add_settings
from jnas.studies.predictors._settings import PREDICTOR_SETTINGS
from jnas.studies.proxies._settings import PROXY_SETTINGS
from jnas.studies.search._settings import SEARCH_SETTINGS
from jnas.studies.supernets._settings import LOOK_SETTINGS, NET_SETTINGS, SCRATCH_SETTINGS, SUPERNET_SETTINGS

_STUDY = """\
Runs searchers on a table over many seeds, and writes a report. The study stands in a folder: stopped at any moment,
the same command goes on where it was. searchers: random_search, regularized_evolution, reinforce, local_search, tpe,
bohb, successive_halving, hyperband, smac, naszilla_evolution, enas_controller, nao; by predictors: bananas,
bananas_adjacency, bananas_random_ranking, gp_bayesopt, nasbot, dngo, bohamiann, bonas, gcn_predictor; that need not
wait for each other's evaluations: asha, asha_stopping, asynchronous_hyperband, asynchronous_bohb, pasha, dehb,
median_stopping; for several objectives: nsga2, multi_objective_evolution, pareto_local_search.
"""

_PREDICTORS = """\
Fits predictors to a few cells of a table, over many draws of cells, and measures how well they predict others: errors,
rank correlations, calibration, times. The study stands in a folder: stopped at any moment, the same command goes on
where it was. predictors: mlp_ensemble, mlp_ensemble_diverse, random_forest, gradient_boosting, gaussian_process,
gaussian_process_fitted, bayesian_linear_regression, dngo, bohamiann, gcn, gcn_ensemble.
"""

_PROXIES = """\
Scores cells of a table without training them, over several draws of weights and batches, and writes a report: how the
scores order the cells, over all and over the best, with signs and intervals, beside the size of the networks and
another training. The study stands in a folder: stopped at any moment, the same command goes on. proxies: grad_norm,
l2_norm, plain, snip, grasp, synflow, synflow_bn, fisher, jacov, epe_nas, nwot, zen, zico, meco, AZ-NAS's four parts.
"""

_SUPERNET = """\
Trains supernets of NAS-Bench-201, NAS-Bench-101, NAS-Bench-1Shot1, DARTS or of recurrent cells on texts (--space),
networks that hold the weights of all cells, by weight-sharing searches, over several seeds in one program, and writes a
report: what the derived cells are worth by a table or trained from scratch, whether they collapse to skip connections,
what the shared weights know. Stopped at any moment, the same command goes on, to the same results. methods: darts-v1,
darts-v2, pc-darts, gdas, setn, enas, rsps, spos, fairnas, topo_fairnas, fbnet, nao, drnas, sdarts-rs, sdarts-adv,
darts-minus, darts-es, darts-ada, fair-darts, p-darts, darts-pt.
"""


def add_study(commands: Any) -> None:
    """Adds `jnas study`."""
    words = "compare searchers on a table over many seeds"
    lighter = "--num-seeds or --max-evaluations"
    parser = add_command(commands, "study", words, "_study:run_study", _STUDY, goes_on=True, lighter=lighter)
    add_settings(parser, SEARCH_SETTINGS)
    _add_processes(parser)


def add_predictors(commands: Any) -> None:
    """Adds `jnas predictors`."""
    words = "compare predictors of accuracies on a table"
    work, lighter = "_predictors:run_predictors", "--train-sizes or --test-cells"
    parser = add_command(commands, "predictors", words, work, _PREDICTORS, goes_on=True, lighter=lighter)
    add_settings(parser, PREDICTOR_SETTINGS)
    _add_processes(parser)


def add_proxies(commands: Any) -> None:
    """Adds `jnas proxies`."""
    words = "score the cells of a table without training, and compare with it"
    work, lighter = "_proxies:run_proxies", "--batch-size or --channels"
    parser = add_command(commands, "proxies", words, work, _PROXIES, goes_on=True, lighter=lighter)
    add_settings(parser, PROXY_SETTINGS)
    add_settings(parser.add_argument_group("images"), IMAGE_SETTINGS)
    add_settings(parser.add_argument_group("networks"), SIZE_SETTINGS)
    _add_processes(parser)


def add_supernet(commands: Any) -> None:
    """Adds `jnas supernet`."""
    words = "search with shared weights on a data set, over several seeds"
    work, lighter = "_supernet:run_supernet", "--num-seeds, --batch-size or --channels, or give --rematerialize"
    parser = add_command(commands, "supernet", words, work, _SUPERNET, goes_on=True, lighter=lighter)
    parser.add_argument(
        "methods",
        metavar="METHOD,METHOD",
        type=Setting("methods", NAMES).read,
        help="which searches, or `all` that a space's papers compare; `help` says what they are. "
        "`METHOD:SETTING=VALUE` changes a setting of one",
    )
    add_settings(parser, SUPERNET_SETTINGS)
    data = (
        DATASET.of("as for `jnas train` (default digits, for recurrent python-docs, which need no files)"),
        *IMAGE_SETTINGS,
    )
    add_settings(parser.add_argument_group("data"), data)
    add_settings(parser.add_argument_group("supernet and searches"), NET_SETTINGS)
    add_settings(parser.add_argument_group("what is looked at"), LOOK_SETTINGS)
    add_settings(parser.add_argument_group("training what was found"), SCRATCH_SETTINGS)
    _add_processes(parser)


def _add_processes(parser: Any) -> None:
    add_settings(parser.add_argument_group("several processes, on one host or many"), PROCESSES)


def add_report(commands: Any) -> None:
    """Adds `jnas report`."""
    parser = add_command(
        commands, "report", "make the report of a study again, or compare studies", "_report:report_folders"
    )
    parser.add_argument("folders", metavar="DIR", nargs="+", help="folders of studies")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the page (default: DIR/report.html, or jnas-report.html for several)"
    )
    add_figures(parser, "; of one study its table as LaTeX and Markdown, its runs and curves, and a sentence on it too")
