"""Local search."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import bits, split
from jnas.core._reductions import first_highest
from jnas.core._vocabulary import Array, Evaluation, Key, Proposal, Searcher, Space, propose, usable_score
from jnas.searchers._checks import check_positive_int
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box._history import seen_before

_DRAWS = 8  # random architectures looked at for each initial one; the first that is new is taken
_WAITING, _BEGUN, _DONE = 0, 1, 2  # what has become of an architecture's neighbourhood


class LocalSearchState(NamedTuple):
    """What local search needs for its next step. Rows are evaluations in the order in which they were made."""

    key: Key  # []
    archs: Array  # [T, E] int32
    scores: Array  # [T] float32, minus infinity for what must not win
    fingerprints: Array  # [T, 2] uint32
    progress: Array  # [T] int32, of a row's neighbourhood: waiting, begun or done
    num_told: Array  # [] int32, rows in use
    center: Array  # [] int32, row whose neighbours are being tried, or -1 while initial architectures are drawn
    leader: Array  # [] int32, best row of this neighbourhood or of these initial draws, or -1 if none is usable
    to_draw: Array  # [] int32, initial architectures still to draw


class _Position(NamedTuple):
    """Where the search stands, as long as it looks for something to propose."""

    progress: Array  # [T] int32
    center: Array  # [] int32
    leader: Array  # [] int32
    to_draw: Array  # [] int32
    neighbors: Array  # [N, E] int32, of the center
    open: Array  # [N] bool, neighbours not evaluated yet
    exhausted: Array  # [] bool
    looked: Array  # [] bool, `neighbors` and `open` are those of the center


@recorded
def local_search(
    space: Space, *, num_init: int = 10, query_full_neighborhood: bool = False, stop_at_minimum: bool = True
) -> Searcher:
    """Returns local search: start from the best of a few random architectures and move to better neighbours.

    A neighbourhood is tried in random order without what was evaluated before (by `space.fingerprint`), and so are
    initial architectures. A neighbour whose score is NaN or invalid is never moved to.

    Args:
      space: The search space.
      num_init: Number of random architectures from whose best the search starts, and starts again.
      query_full_neighborhood: Whether all neighbours are evaluated before the search moves to the best of them.
        Otherwise it moves to the first that is better.
      stop_at_minimum: What happens where no neighbour is better. True starts again from `num_init` new random
        architectures; False goes on with the neighbourhood of the best architecture whose own was never begun.

    Returns:
      A searcher that proposes one architecture at a time and none twice. When there is nothing to restart or to go on
      with, it does the other of the two, then comes back to neighbourhoods that it left at an improvement; so it
      evaluates every architecture of a space whose neighbourhoods connect it, and then ends the run. Those with the
      same fingerprint count as one: in `nasbench201` one cell of each published class is evaluated, unless the space
      is made with `isomorphism="none"`.

    Raises:
      TypeError: `num_init` is not a Python int.
      ValueError: `num_init` is less than 1.

    References:
      "Local Search is State of the Art for Neural Architecture Search Benchmarks", White, Nolen and Savani, 2020,
        Algorithm 1; the variants are those of its Section 3 and of the naszilla library.

    Example:
      >>> searcher = jnas.searchers.local_search(jnas.spaces.categorical((3, 4)), num_init=2)
      >>> objective = jnas.function_objective(lambda key, arch: arch.sum())
      >>> trace = jax.jit(lambda key: jnas.run(searcher, objective, key, max_evaluations=20))(jax.random.key(0))
      >>> int(jnas.statistics.num_evaluations(trace)), str(jnas.statistics.stopped_by(trace))  # no architecture twice
      (12, 'exhausted')
    """
    check_positive_int("num_init", num_init)

    def init(key: Key, capacity: int) -> LocalSearchState:
        return LocalSearchState(
            key=key,
            archs=jnp.zeros((capacity, space.num_decisions), jnp.int32),
            scores=jnp.full((capacity,), -jnp.inf, jnp.float32),
            fingerprints=jnp.zeros((capacity, 2), jnp.uint32),
            progress=jnp.zeros((capacity,), jnp.int32),
            num_told=jnp.int32(0),
            center=jnp.int32(-1),
            leader=jnp.int32(-1),
            to_draw=jnp.int32(num_init),
        )

    def unseen(state: LocalSearchState, archs: Array) -> Array:
        return ~seen_before(jax.vmap(space.fingerprint)(archs), state.fingerprints, state.num_told)

    def look_around(state: LocalSearchState, position: _Position) -> _Position:
        neighbors, valid = space.neighbors(state.archs[jnp.maximum(position.center, 0)])
        open_ = valid & unseen(state, neighbors) & (position.center >= 0)
        return position._replace(neighbors=neighbors, open=open_, looked=jnp.bool_(True))

    def ask(state: LocalSearchState) -> tuple[Proposal, LocalSearchState]:
        key, sample_key, order_key = split(state.key, 3)
        draws = jax.vmap(space.sample)(split(sample_key, _DRAWS))
        new = unseen(state, draws)
        can_draw = jnp.any(new)

        def looks_on(position: _Position) -> Array:
            found = jnp.where(position.center >= 0, jnp.any(position.open), can_draw & (position.to_draw > 0))
            return ~position.looked | (~found & ~position.exhausted)

        shape = jax.eval_shape(space.neighbors, draws[0])
        position = _Position(
            progress=state.progress,
            center=state.center,
            leader=state.leader,
            to_draw=state.to_draw,
            neighbors=jnp.zeros(shape[0].shape, jnp.int32),
            open=jnp.zeros(shape[1].shape, bool),
            exhausted=jnp.bool_(False),
            looked=jnp.bool_(False),
        )
        position = jax.lax.while_loop(
            looks_on,
            lambda position: look_around(state, _move_on(state, can_draw, position, num_init, stop_at_minimum)),
            position,
        )
        # A uniform choice among what is left of a neighbourhood at each step is a walk through it in random order.
        order = bits(order_key, position.open.shape) | np.uint32(1)
        neighbor = position.neighbors[jnp.argmax(jnp.where(position.open, order, np.uint32(0)))]
        arch = jnp.where(position.center >= 0, neighbor, draws[jnp.argmax(new)])
        state = state._replace(
            key=key,
            progress=position.progress,
            center=position.center,
            leader=position.leader,
            to_draw=position.to_draw,
        )
        return propose(arch[None], valid=~position.exhausted), state

    def tell(state: LocalSearchState, proposal: Proposal, evaluation: Evaluation) -> LocalSearchState:
        accepted, arch, score = proposal.valid[0], proposal.archs[0], usable_score(evaluation)[0]
        row = jnp.where(accepted, state.num_told, state.archs.shape[0])
        drawing = state.center < 0
        bar = jnp.where(state.leader >= 0, state.scores[state.leader], -jnp.inf)
        bar = jnp.where(drawing, bar, jnp.maximum(bar, state.scores[state.center]))
        better = accepted & (score > bar)
        moves = better & ~drawing & (not query_full_neighborhood)
        return LocalSearchState(
            key=state.key,
            archs=state.archs.at[row].set(arch, mode="drop"),
            scores=state.scores.at[row].set(score, mode="drop"),
            fingerprints=state.fingerprints.at[row].set(space.fingerprint(arch), mode="drop"),
            progress=state.progress.at[row].set(jnp.where(moves, _BEGUN, _WAITING), mode="drop"),
            num_told=state.num_told + accepted,
            center=jnp.where(moves, row, state.center),
            leader=jnp.where(better & ~moves, row, jnp.where(moves, -1, state.leader)),
            to_draw=state.to_draw - (accepted & drawing),
        )

    def rescore(state: LocalSearchState, scores: Array) -> LocalSearchState:
        used = jnp.arange(state.archs.shape[0]) < state.num_told
        return state._replace(scores=jnp.where(used, scores, -jnp.inf))

    return Searcher(init, ask, tell, "local_search", num_init=num_init, rescore=rescore)


def _move_on(
    state: LocalSearchState, can_draw: Array, position: _Position, num_init: int, stop_at_minimum: bool
) -> _Position:
    """Leaves a finished neighbourhood, or the initial draws, for the place where the search goes on.

    At the first call of a step nothing has been looked at yet, and the search stays where it is.
    """
    center, leader = position.center, position.leader
    # The row behind the last one is dropped, where -1 would be the last.
    progress = position.progress.at[jnp.where(center >= 0, center, state.archs.shape[0])].set(_DONE, mode="drop")
    improved = (leader >= 0) & ((center < 0) | (state.scores[leader] > state.scores[center]))

    used = jnp.arange(state.archs.shape[0]) < state.num_told
    waiting, begun = used & (progress == _WAITING), used & (progress == _BEGUN)
    # Only where no neighbourhood is unopened does it come back to those left at an improvement: in the end all is
    # seen.
    lowest = float(np.finfo(np.float32).min)  # above the minus infinity of what does not wait
    ranked = jnp.maximum(state.scores, lowest)
    first, again = first_highest(jnp.where(waiting, ranked, -jnp.inf), jnp.where(begun, ranked, -jnp.inf))
    best = jnp.where(waiting[first], first, again)
    can_return = waiting[first] | begun[again]

    draws = ~improved & can_draw & (stop_at_minimum | ~can_return)
    center = jnp.where(improved, leader, jnp.where(draws, -1, best))
    moved = position._replace(
        # max: where nothing is left `best` is row 0, and what is done stays done.
        progress=progress.at[jnp.where(draws, state.archs.shape[0], center)].max(_BEGUN, mode="drop"),
        center=center,
        leader=jnp.int32(-1),
        to_draw=jnp.where(draws, jnp.int32(num_init), 0),
        exhausted=~improved & ~draws & ~can_return,
    )
    # Computed in any case and then chosen: `look_around` stands once in the loop, for the start as for each move,
    # and under `vmap` a branch would compute both sides as well.
    looked = position.looked
    chosen: _Position = jax.tree.map(lambda new, old: jnp.where(looked, new, old), moved, position)
    return chosen
