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
    from jnas._known_part import known_part as known_part
    from jnas._load_table import load_table as load_table
    from jnas._load_table import save_table as save_table
    from jnas._load_table import table_from_arrays as table_from_arrays
    from jnas._loop import run as run
    from jnas._make_table import make_table as make_table
    from jnas._predictor_study import PredictorStudy as PredictorStudy
    from jnas._predictor_study import predictor_study as predictor_study
    from jnas._report import write_report as write_report
    from jnas._results import SearcherResult as SearcherResult
    from jnas._results import StudyResults as StudyResults
    from jnas._results import Target as Target
    from jnas._search import Candidate as Candidate
    from jnas._search import search as search
    from jnas._study import study as study
    from jnas._study_folder import load_study as load_study
    from jnas._summary import Summary as Summary
    from jnas._summary import summarize as summarize
    from jnas._supernet_plan import SupernetMethod as SupernetMethod
    from jnas._supernet_plan import supernet_methods as supernet_methods
    from jnas._supernet_results import SupernetStudy as SupernetStudy
    from jnas._supernet_study import load_supernet_study as load_supernet_study
    from jnas._supernet_study import supernet_study as supernet_study
    from jnas._table import Table as Table
    from jnas._table_report import write_table_report as write_table_report
    from jnas._targets import default_targets as default_targets
    from jnas._vocabulary import Evaluation as Evaluation
    from jnas._vocabulary import Graph as Graph
    from jnas._vocabulary import Objective as Objective
    from jnas._vocabulary import Proposal as Proposal
    from jnas._vocabulary import Searcher as Searcher
    from jnas._vocabulary import Space as Space
    from jnas._vocabulary import Trace as Trace
    from jnas._vocabulary import function_objective as function_objective
    from jnas._vocabulary import propose as propose

__version__ = "0.1.0"

_DEFINED_IN = {
    "Candidate": "jnas._search",
    "Evaluation": "jnas._vocabulary",
    "Graph": "jnas._vocabulary",
    "Objective": "jnas._vocabulary",
    "PredictorStudy": "jnas._predictor_study",
    "Proposal": "jnas._vocabulary",
    "Searcher": "jnas._vocabulary",
    "SearcherResult": "jnas._results",
    "Space": "jnas._vocabulary",
    "StudyResults": "jnas._results",
    "Summary": "jnas._summary",
    "SupernetMethod": "jnas._supernet_plan",
    "SupernetStudy": "jnas._supernet_results",
    "Table": "jnas._table",
    "Target": "jnas._results",
    "Trace": "jnas._vocabulary",
    "default_targets": "jnas._targets",
    "function_objective": "jnas._vocabulary",
    "known_part": "jnas._known_part",
    "load_study": "jnas._study_folder",
    "load_supernet_study": "jnas._supernet_study",
    "load_table": "jnas._load_table",
    "make_table": "jnas._make_table",
    "predictor_study": "jnas._predictor_study",
    "propose": "jnas._vocabulary",
    "run": "jnas._loop",
    "save_table": "jnas._load_table",
    "search": "jnas._search",
    "study": "jnas._study",
    "summarize": "jnas._summary",
    "supernet_methods": "jnas._supernet_plan",
    "supernet_study": "jnas._supernet_study",
    "table_from_arrays": "jnas._load_table",
    "write_report": "jnas._report",
    "write_table_report": "jnas._table_report",
}
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
