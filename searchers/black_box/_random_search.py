"""Random search."""

from typing import NamedTuple

from jnas.core._draws import split
from jnas.core._vocabulary import Evaluation, Key, Proposal, Searcher, Space, propose


class RandomSearchState(NamedTuple):
    """What random search needs for its next step."""

    key: Key  # []


def random_search(space: Space) -> Searcher:
    """Returns random search: every proposal is a fresh uniform sample, repetitions included.

    References:
      "Random Search for Hyper-Parameter Optimization", Bergstra and Bengio, 2012; in NAS-Bench-201 (2020), Appendix B.

    Example:
      >>> searcher = jnas.searchers.random_search(jnas.spaces.categorical((3, 3)))
      >>> proposal, state = searcher.ask(searcher.init(jax.random.key(0), 10))
      >>> proposal.archs.shape
      (1, 2)
    """

    def init(key: Key, capacity: int) -> RandomSearchState:
        del capacity
        return RandomSearchState(key)

    def ask(state: RandomSearchState) -> tuple[Proposal, RandomSearchState]:
        key, sample_key = split(state.key)
        return propose(space.sample(sample_key)[None]), RandomSearchState(key)

    def tell(state: RandomSearchState, proposal: Proposal, evaluation: Evaluation) -> RandomSearchState:
        del proposal, evaluation
        return state

    return Searcher(init, ask, tell, "random_search", ask_beside=lambda state, pending: ask(state))
