"""The command `jnas predictors`."""

import argparse
from collections.abc import Sequence
from typing import Any

from jnas.commands._processes import say, take_share
from jnas.commands._study import check_split, default_dataset, default_epochs
from jnas.commands._study_work import carry_out_and_tell
from jnas.io._compilation_cache import use_compilation_cache
from jnas.io._text import aligned, filled, listed
from jnas.searchers._settings import naming, read_settings, read_spec, settings_text
from jnas.searchers.predictors import _registry as registry
from jnas.spaces._columns import has_features, unknown_features
from jnas.studies._settings import study_arguments
from jnas.studies.predictors._plan import plan_predictor_study, takes_graphs
from jnas.studies.predictors._settings import PREDICTOR_SETTINGS
from jnas.studies.predictors._study import carry_out_predictors
from jnas.studies.predictors._text import predictor_results_text
from jnas.tables._load import load_table
from jnas.tables._scored_space import scored_space

_ALTERNATIVES = ("path", "adjacency")  # what Table 1 of BANANAS compares
_PLAIN = ("adjacency", "one_hot")  # where a space has no adjacency matrix, its decisions as they are


def run_predictors(options: argparse.Namespace) -> None:
    """Runs `jnas predictors`."""
    if options.predictors == ("help",):
        print(_predictors_text())
        return
    use_compilation_cache()
    take_share(options)
    table = load_table(options.table)
    dataset = options.dataset or default_dataset(table)
    epochs = options.epochs or default_epochs(table, dataset, options.split)[-1]
    check_split(table, dataset, options.split, (epochs,))
    made, encodings = _make_predictors(options.predictors, options.encodings, scored_space(table))
    asked = {**study_arguments(PREDICTOR_SETTINGS, options), "dataset": dataset, "epochs": epochs}
    plan = plan_predictor_study(made, table, **asked, encodings=encodings, command=options.command)
    told = [plan.config["table_name"], dataset, epochs, plan.config["num_seeds"]]
    files = ("results.csv", "summary.csv", "times.csv", "report.html")
    carry_out_and_tell(options, "predictors", plan, told, carry_out_predictors, predictor_results_text, files)


def _make_predictors(
    wanted: Sequence[str] | None, encodings: Sequence[str] | None, space: Any
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Returns the predictors by name, and which encodings each is fitted to.

    Raises:
      ValueError: There is no such predictor or encoding, or no predictor reads the encoding.
    """
    # What was not asked for by its name is left out where the space has nothing for it to read, such as graphs.
    fitting = [n for n in registry.names() if set(registry.entry(n).encodings) & set(space.feature_names)]
    asked = [n for n in fitting if registry.entry(n).quick] if wanted is None else wanted
    if "all" in asked and (missing := [n for n in registry.names() if n not in fitting]):
        say(f"note: without {listed(missing)}: the space {space.name} has nothing that they read")
    made, chosen = {}, {}
    for name in dict.fromkeys(n for word in asked for n in (fitting if word == "all" else (word,))):
        kind, level, given = read_spec(name)
        if level is not None:
            raise ValueError(f"{name} has an @, which predictors have no meaning for; leave it out")
        settings = read_settings(f"the predictor {kind}", registry.entry(kind).factory, given)
        with naming(name):
            made[name], own = registry.make(kind, space, **settings)
        graphs = takes_graphs(space, own)
        others = [_resolve(e, space) for e in (_ALTERNATIVES if encodings is None else encodings) if _known(e, space)]
        readable = [e for e in others if takes_graphs(space, e) == graphs]
        first = (own,) if encodings is None or not readable else ()
        chosen[name] = tuple(dict.fromkeys((*first, *readable)))
    for encoding in encodings or ():
        _check(encoding, space, chosen)
    return made, chosen


def _known(encoding: str, space: Any) -> bool:
    return has_features(space, _resolve(encoding, space))


def _resolve(encoding: str, space: Any) -> str:
    """Returns the name by which a space knows an encoding."""
    if encoding == _PLAIN[0]:
        return next((name for name in _PLAIN if name in space.feature_names), encoding)
    return encoding


def _check(encoding: str, space: Any, chosen: dict[str, tuple[str, ...]]) -> None:
    name = _resolve(encoding, space)
    if not has_features(space, name):
        known = ", ".join(space.feature_names)
        offer = unknown_features(space, encoding)
        raise ValueError(f"{space.name} has no encoding {encoding!r}{offer} give --encodings from {known}")
    if not any(name in encodings for encodings in chosen.values()):
        raise ValueError(
            f"none of {', '.join(chosen)} reads the encoding {encoding!r} (graphs are for graph predictors alone); "
            "leave it out of --encodings, or give other --predictors"
        )


def _predictors_text() -> str:
    """Returns the predictors, a line each."""
    entries = [registry.entry(name) for name in registry.names()]
    rows = [(e.name, e.encodings[0], e.description) for e in entries]
    told = [
        f"without --predictors: {', '.join(registry.names(quick=True))}",
        "the second column is the encoding that a predictor reads unless --encodings says otherwise (`one_hot` where "
        "the space lacks it)",
    ]
    return "\n".join(
        [*aligned(rows, "lll"), "", *map(filled, told), "", *settings_text({e.name: e.factory for e in entries})]
    )
