"""A searcher of one fidelity at another than the lowest."""

import jax.numpy as jnp

from jnas.core._vocabulary import Evaluation, Proposal, Searcher, State


def at_fidelity(searcher: Searcher, fidelity: int) -> Searcher:
    """Returns a searcher that evaluates everything at one fidelity of the objective.

    Searchers of one fidelity use an objective's lowest; with this they can be compared with multi-fidelity searchers
    that end at its highest.

    Args:
      searcher: Of one fidelity.
      fidelity: Index into the objective's fidelities.

    Raises:
      ValueError: The searcher uses several fidelities, or the index is negative.

    Example:
      >>> space = jnas.spaces.categorical((3, 3))
      >>> searcher = jnas.searchers.at_fidelity(jnas.searchers.random_search(space), 1)
      >>> proposal, _ = searcher.ask(searcher.init(jax.random.key(0), 10))
      >>> proposal.fidelity.tolist()
      [1]
    """
    if searcher.num_fidelities != 1:
        raise ValueError(
            f"searcher {searcher.name!r} uses {searcher.num_fidelities} fidelities, expected one that uses a single one"
        )
    if isinstance(fidelity, bool) or not isinstance(fidelity, int) or fidelity < 0:
        raise ValueError(f"fidelity is {fidelity!r}, expected an index of at least 0")
    if fidelity == 0:
        return searcher

    def ask(state: State) -> tuple[Proposal, State]:
        proposal, state = searcher.ask(state)
        return proposal._replace(fidelity=jnp.full_like(proposal.fidelity, fidelity)), state

    def ask_beside(state: State, pending: Proposal) -> tuple[Proposal, State]:
        assert searcher.ask_beside is not None
        proposal, state = searcher.ask_beside(state, pending._replace(fidelity=jnp.zeros_like(pending.fidelity)))
        return proposal._replace(fidelity=jnp.full_like(proposal.fidelity, fidelity)), state

    def tell(state: State, proposal: Proposal, evaluation: Evaluation) -> State:
        return searcher.tell(state, proposal._replace(fidelity=jnp.zeros_like(proposal.fidelity)), evaluation)

    beside = None if searcher.ask_beside is None else ask_beside
    return searcher._replace(ask=ask, tell=tell, num_fidelities=fidelity + 1, ask_beside=beside)
