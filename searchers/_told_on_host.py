"""What searchers that are driven from Python note of an evaluation."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jnas.core._vocabulary import Evaluation, Proposal


def told_on_host(told_of: Callable[[Evaluation], np.ndarray]) -> Callable[[Any, Proposal, Evaluation], Any]:
    """Returns the `Searcher.tell` that notes one evaluation in a state; a row that is not valid changes nothing.

    Args:
      told_of: From an evaluation of one row to what stands for it in `scores`.

    Returns:
      A function over states with NumPy arrays: `archs [T, E]`, `scores [T, ...]`, and `num_told []`, rows in use.
    """

    def tell(state: Any, proposal: Proposal, evaluation: Evaluation) -> Any:
        if not bool(proposal.valid[0]):
            return state
        told = int(state.num_told)
        archs, scores = state.archs.copy(), state.scores.copy()  # who keeps the old state finds it unchanged
        archs[told], scores[told] = np.asarray(proposal.archs[0]), told_of(evaluation)
        return state._replace(archs=archs, scores=scores, num_told=np.asarray(told + 1, np.int32))

    return tell
