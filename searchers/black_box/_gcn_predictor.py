"""The search by one graph convolutional predictor."""

import functools

from jnas.core._vocabulary import Evaluation, Key, Predictor, Proposal, Searcher, Space, State
from jnas.searchers._checks import check_positive_int
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._bananas import _first_of
from jnas.searchers.black_box._predictor_search import Encoding, predictor_search
from jnas.searchers.predictors._gcn import gcn
from jnas.searchers.predictors._registry import GRAPH


@recorded
def gcn_predictor(
    space: Space,
    *,
    predictor: Predictor | None = None,
    num_queries: int | None = None,
    encoding: Encoding | None = None,
    name: str = "gcn_predictor",
) -> Searcher:
    """Returns the neural predictor: evaluate most of the budget at random, then what a graph network thinks best.

    Of `Q` queries the last `k = 20 Q / 172`, rounded down, are those with the highest predictions among `50 Q` random
    architectures. (The released code evaluates `k` of these at random.)

    Args:
      space: A space with the features `'graph'`, unless `encoding` names others.
      predictor: By default the published graph network.
      num_queries: `Q`; by default the capacity of the run (`max_evaluations`). With a budget of seconds give the number
        that it pays for. A run that goes on after `Q` queries fits again and evaluates `k` more.
      encoding: Features that the predictor reads.
      name: For tables and legends.

    Returns:
      A searcher that proposes `k` architectures at a time.

    Raises:
      TypeError: `num_queries` is not a Python int.
      ValueError: It is less than 2, or the space has no graphs.

    References:
      "Neural Predictor for Neural Architecture Search", Wen et al., 2020, Section 3; the numbers are those of the
        naszilla library.
    """
    if num_queries is not None:
        check_positive_int("num_queries", num_queries, 2)
    predictor = gcn() if predictor is None else predictor
    encoding = _first_of(space, GRAPH) if encoding is None else encoding

    @functools.cache
    def of(queries: int) -> Searcher:
        num_best = max(1, 20 * queries // 172)
        return predictor_search(
            space,
            predictor,
            encoding=encoding,
            acquisition="mean",
            candidates="random",
            num_init=max(1, queries - num_best),
            batch_size=num_best,
            num_candidates=50 * queries,
            training_sizes=(),
            name=name,
        )

    def of_state(state: State) -> Searcher:
        return of(state.history.archs.shape[0] if num_queries is None else num_queries)

    def init(key: Key, capacity: int) -> State:
        return of(capacity if num_queries is None else num_queries).init(key, capacity)

    def ask(state: State) -> tuple[Proposal, State]:
        return of_state(state).ask(state)

    def tell(state: State, proposal: Proposal, evaluation: Evaluation) -> State:
        return of_state(state).tell(state, proposal, evaluation)

    num_init = 0 if num_queries is None else max(1, num_queries - max(1, 20 * num_queries // 172))
    return Searcher(init, ask, tell, name, compiled=predictor.compiled, num_init=num_init)
