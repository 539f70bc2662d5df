"""Neural architecture search as pure functions in JAX.

A search space, a searcher, a benchmark table: each is a value made of arrays plus pure functions over it, so that
`jit`, `vmap` and sharding apply to all of them, and a study over five hundred seeds is one compiled program.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jnas import nasbench101 as nasbench101
    from jnas import queries as queries
    from jnas import searchers as searchers
    from jnas import spaces as spaces
    from jnas import statistics as statistics
    from jnas import training as training
    from jnas.core._loop import run as run
    from jnas.core._search import Candidate as Candidate
    from jnas.core._search import search as search
    from jnas.core._vocabulary import Evaluation as Evaluation
    from jnas.core._vocabulary import Graph as Graph
    from jnas.core._vocabulary import Objective as Objective
    from jnas.core._vocabulary import Proposal as Proposal
    from jnas.core._vocabulary import Searcher as Searcher
    from jnas.core._vocabulary import Space as Space
    from jnas.core._vocabulary import Trace as Trace
    from jnas.core._vocabulary import function_objective as function_objective
    from jnas.core._vocabulary import propose as propose
    from jnas.studies.predictors._results import PredictorStudy as PredictorStudy
    from jnas.studies.predictors._study import predictor_study as predictor_study
    from jnas.studies.proxies._results import ProxyStudy as ProxyStudy
    from jnas.studies.proxies._study import proxy_study as proxy_study
    from jnas.studies.search._report import write_report as write_report
    from jnas.studies.search._results import SearcherResult as SearcherResult
    from jnas.studies.search._results import StudyResults as StudyResults
    from jnas.studies.search._study import load_study as load_study
    from jnas.studies.search._study import study as study
    from jnas.studies.supernets._plan import SupernetMethod as SupernetMethod
    from jnas.studies.supernets._plan import supernet_methods as supernet_methods
    from jnas.studies.supernets._results import SupernetStudy as SupernetStudy
    from jnas.studies.supernets._study import load_supernet_study as load_supernet_study
    from jnas.studies.supernets._study import supernet_study as supernet_study
    from jnas.studies.trainings._results import TrainingSearch as TrainingSearch
    from jnas.studies.trainings._study import training_search as training_search
    from jnas.tables._in_space import table_in_space as table_in_space
    from jnas.tables._known_part import known_part as known_part
    from jnas.tables._load import load_table as load_table
    from jnas.tables._load import save_table as save_table
    from jnas.tables._load import table_from_arrays as table_from_arrays
    from jnas.tables._make import make_table as make_table
    from jnas.tables._metric import TableMetric as TableMetric
    from jnas.tables._reachable import Reachable as Reachable
    from jnas.tables._reachable import reachable_part as reachable_part
    from jnas.tables._scored_space import scored_space as scored_space
    from jnas.tables._summary import Summary as Summary
    from jnas.tables._summary import summarize as summarize
    from jnas.tables._table import Table as Table
    from jnas.tables._targets import Target as Target
    from jnas.tables._targets import default_targets as default_targets
    from jnas.tables.report._report import write_table_report as write_table_report

from jnas.core._version import __version__ as __version__

_DEFINED = {
    "jnas.core._loop": "run",
    "jnas.core._search": "Candidate search",
    "jnas.core._vocabulary": "Evaluation Graph Objective Proposal Searcher Space Trace function_objective propose",
    "jnas.studies.predictors._results": "PredictorStudy",
    "jnas.studies.predictors._study": "predictor_study",
    "jnas.studies.proxies._results": "ProxyStudy",
    "jnas.studies.proxies._study": "proxy_study",
    "jnas.studies.search._report": "write_report",
    "jnas.studies.search._results": "SearcherResult StudyResults",
    "jnas.studies.search._study": "load_study study",
    "jnas.studies.supernets._plan": "SupernetMethod supernet_methods",
    "jnas.studies.supernets._results": "SupernetStudy",
    "jnas.studies.supernets._study": "load_supernet_study supernet_study",
    "jnas.studies.trainings._results": "TrainingSearch",
    "jnas.studies.trainings._study": "training_search",
    "jnas.tables._in_space": "table_in_space",
    "jnas.tables._known_part": "known_part",
    "jnas.tables._load": "load_table save_table table_from_arrays",
    "jnas.tables._make": "make_table",
    "jnas.tables._metric": "TableMetric",
    "jnas.tables._reachable": "Reachable reachable_part",
    "jnas.tables._scored_space": "scored_space",
    "jnas.tables._summary": "Summary summarize",
    "jnas.tables._table": "Table",
    "jnas.tables._targets": "Target default_targets",
    "jnas.tables.report._report": "write_table_report",
}
_DEFINED_IN = {name: module for module, names in _DEFINED.items() for name in names.split()}
_MODULES = ("nasbench101", "queries", "searchers", "spaces", "statistics", "training")

__all__ = [*_DEFINED_IN, *_MODULES]


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used, so that `import jnas` stays quick."""
    if name in _MODULES:
        return importlib.import_module(f"jnas.{name}")
    if name in _DEFINED_IN:
        value = getattr(importlib.import_module(_DEFINED_IN[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jnas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
