"""All the words that a user of jnas meets, in one place.

Of spaces and searches: an architecture is an element of a `Space`; a `Searcher` makes a `Proposal`, an `Objective`
answers with an `Evaluation`, and a run leaves a `Trace`; a `Predictor` of scores makes a `Prediction`.

Of training: a `Task` says what is learned from `Examples`; a `Network` holds every architecture of a space by itself, a
`Supernet` all of them at once, with `Decisions` left open, of which gradients may learn other `Preferences`. A
`WeightSharingSearcher` trains one, sees a `Batch`, tells a `StepInfo`, holds `Shared` weights, and comes to what it has
`Derived`. Of texts it sees `Windows`, as the supernet's `Reading` says.
"""

from jnas.core._search_words import (
    STOPPED_BY,
    Array,
    Evaluation,
    Features,
    Graph,
    Key,
    Model,
    Objective,
    Prediction,
    Predictor,
    Proposal,
    Searcher,
    Space,
    State,
    Trace,
    function_objective,
    propose,
    usable_score,
)
from jnas.core._task_words import (
    IMAGE_CLASSIFICATION,
    LANGUAGE_MODELLING,
    LANGUAGE_WINDOWS,
    Examples,
    Reading,
    Task,
    WindowLosses,
    Windows,
    carried_into,
)
from jnas.core._training_words import (
    Batch,
    Decisions,
    Derived,
    FormName,
    Network,
    Preferences,
    Sequential,
    Shared,
    StepInfo,
    Supernet,
    Weights,
    WeightSharingSearcher,
    decisions_of,
    likeliest_choices,
    log_probability_of,
)

__all__ = [
    "IMAGE_CLASSIFICATION",
    "LANGUAGE_MODELLING",
    "LANGUAGE_WINDOWS",
    "STOPPED_BY",
    "Array",
    "Batch",
    "Decisions",
    "Derived",
    "Evaluation",
    "Examples",
    "Features",
    "FormName",
    "Graph",
    "Key",
    "Model",
    "Network",
    "Objective",
    "Prediction",
    "Predictor",
    "Preferences",
    "Proposal",
    "Reading",
    "Searcher",
    "Sequential",
    "Shared",
    "Space",
    "State",
    "StepInfo",
    "Supernet",
    "Task",
    "Trace",
    "WeightSharingSearcher",
    "Weights",
    "WindowLosses",
    "Windows",
    "carried_into",
    "decisions_of",
    "function_objective",
    "likeliest_choices",
    "log_probability_of",
    "propose",
    "usable_score",
]
