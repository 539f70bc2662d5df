"""Any optimizer that is asked for a candidate and told what it was worth, as a searcher driven from Python.

Such an optimizer changes as it goes; a searcher's state must not. So the state holds what was asked and told, and the
optimizer, which follows from its seed and from that, is made again where it is not at hand: after a restart, or where
a search goes on from an earlier state.
"""

import operator
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Evaluation, Key, Proposal, Searcher, Space, propose, usable_score
from jnas.io._text import not_one_of, short
from jnas.searchers._recorded import recorded
from jnas.searchers._told_on_host import told_on_host
from jnas.searchers.objectives._ranking import costs_of

_KEPT = 4  # optimizers at hand: the one that goes on, and some of searches beside it


class AskTell(Protocol):
    """What `from_ask_tell` drives."""

    def ask(self) -> Any:
        """Returns a candidate."""
        ...

    def tell(self, candidate: Any, value: float) -> Any:
        """Takes what a candidate was worth."""
        ...


class AskTellState(NamedTuple):
    """What the search needs for its next step: NumPy arrays, but for the key."""

    key: Key  # [], from which the optimizer's seed came
    seed: np.ndarray  # [] uint32, the optimizer's
    archs: np.ndarray  # [T, E] int32, asked
    scores: np.ndarray  # [T] float32, told, of several objectives [T, O]; minus infinity for what must not win
    num_told: np.ndarray  # [] int32, rows in use


class Live(Protocol):
    """An optimizer in the form in which `drive` calls it."""

    def ask(self) -> tuple[Any, np.ndarray] | None:
        """Returns a candidate, and the architecture `[E]` that it stands for; None where nothing is left to try."""
        ...

    def tell(self, candidate: Any, score: Any) -> None:
        """Takes a candidate's score, or one for each objective, higher is better; None where none may count."""
        ...


class _Running:
    """An optimizer with what it was asked and told."""

    def __init__(self, live: Live):
        self.live = live
        self.archs: list[bytes] = []
        self.scores: list[Any] = []
        self.pending: tuple[Any, np.ndarray] | None = None  # asked for, and not told

    def next(self) -> tuple[Any, np.ndarray] | None:
        """Returns what the optimizer asks now, the same until it is told; None where nothing is left to try."""
        if self.pending is None:
            self.pending = self.live.ask()
        return self.pending

    def is_before(self, archs: Sequence[bytes], scores: Sequence[Any]) -> bool:
        """Returns whether all that it was told stands at the beginning of a history."""
        count = len(self.archs)
        return self.archs == list(archs[:count]) and self.scores == list(scores[:count])


@recorded
def from_ask_tell(
    make: Callable[[int], AskTell],
    space: Space,
    *,
    minimize: bool = False,
    to_arch: Callable[[Any], Any] | None = None,
    name: str = "ask_tell",
) -> Searcher:
    """Returns a searcher that proposes what another optimizer asks, and tells it what that was worth.

    It cannot be compiled: `jnas.search` and `jnas.study` drive it, `jnas.run` refuses it. Searches that were stopped go
    on: the optimizer is made anew with its seed, asked and told the same again.

    Args:
      make: From a seed (a Python int below 2**31) to a new optimizer: an object with `ask() -> candidate` and
        `tell(candidate, value)`, in which nothing is random but by the seed.
      space: The search space.
      minimize: Whether the optimizer looks for low values; it is told minus the score then.
      to_arch: `to_arch(candidate) -> arch`, integers `[E]` or an architecture string. By default a candidate is such a
        thing itself: `E` integers, an architecture string, or a mapping whose values, in the order of the decisions,
        are the names of choices or their numbers.
      name: For tables and legends.

    Returns:
      A searcher that proposes one architecture at a time. An optimizer that knows no failures is told, where a score is
      NaN or an architecture invalid, the worst that it was told before (0 where there was nothing).

    Raises:
      TypeError: `make` or `space` is not what it should be.
      ValueError: In `ask`: a candidate is no architecture, or the optimizer made again with its seed asks otherwise.

    Example:
      >>> class Climber:  # keeps the best, and changes one decision of it
      ...     def __init__(self, seed):
      ...         self.random, self.best = np.random.default_rng(seed), (-np.inf, np.zeros(3, int))
      ...     def ask(self):
      ...         arch = self.best[1].copy()
      ...         arch[self.random.integers(3)] = self.random.integers(4)
      ...         return arch
      ...     def tell(self, arch, value):
      ...         self.best = max(self.best, (value, arch), key=lambda pair: pair[0])
      >>> searcher = jnas.searchers.from_ask_tell(Climber, jnas.spaces.categorical((4, 4, 4)))
      >>> trace = jnas.search(searcher, lambda c: (float(c.arch.sum()), 1.0), jax.random.key(0), max_evaluations=60)
      >>> float(trace.score.max())
      9.0
    """
    if not callable(make):
        raise TypeError(f"make is {type(make).__name__}, expected a function from a seed to an optimizer")
    check_space(space)
    read = _reader(space)

    class Told:
        """The optimizer, which is told the worst so far in place of no score."""

        def __init__(self, seed: int):
            self.optimizer, self.worst = make(seed), np.inf
            if not (callable(getattr(self.optimizer, "ask", None)) and callable(getattr(self.optimizer, "tell", None))):
                raise TypeError(
                    f"make returned {type(self.optimizer).__name__}, expected an object with ask() and "
                    "tell(candidate, value)"
                )

        def ask(self) -> tuple[Any, np.ndarray]:
            candidate = self.optimizer.ask()
            return candidate, read(candidate if to_arch is None else to_arch(candidate))

        def tell(self, candidate: Any, score: float | None) -> None:
            self.worst = self.worst if score is None else min(self.worst, score)
            known = 0.0 if self.worst == np.inf else self.worst
            told = known if score is None else score
            self.optimizer.tell(candidate, -told if minimize else told)

    return drive(Told, space, name)


def drive(make: Callable[[int], Live], space: Space, name: str, num_objectives: int = 1) -> Searcher:
    """Returns the searcher of an optimizer that `make(seed)` makes; see `from_ask_tell`.

    Of several objectives it is told a tuple: the score and minus each further cost. What violates constraints has none.
    """
    at_hand: OrderedDict[int, _Running] = OrderedDict()  # by a number of their own, the latest used last

    def running(state: AskTellState) -> _Running:
        """Returns the optimizer that was asked and told what the state says, and no more."""
        told = int(state.num_told)
        archs = [arch.tobytes() for arch in state.archs[:told]]
        scores = [tuple(each) if num_objectives > 1 else each for each in state.scores[:told].tolist()]
        seed = int(state.seed)
        found = [(len(r.archs), n) for n, r in at_hand.items() if n % 2**32 == seed and r.is_before(archs, scores)]
        number = max(found, default=(0, -1))[1]
        if number < 0:
            number = seed + 2**32 * (1 + max((n >> 32 for n in at_hand), default=0))
            at_hand[number] = _Running(make(seed))
        at_hand.move_to_end(number)
        while len(at_hand) > _KEPT:
            at_hand.popitem(last=False)
        one = at_hand[number]
        for arch, score in zip(archs[len(one.archs) :], scores[len(one.archs) :], strict=True):
            candidate, asked = one.next() or (None, np.zeros(0, np.int32))
            if asked.tobytes() != arch:
                del at_hand[number]
                raise ValueError(
                    f"{name} made again with the seed {seed} asked for {asked.tolist()} after {len(one.archs)} "
                    f"evaluations, and before for {np.frombuffer(arch, np.int32).tolist()}: make it so that the seed "
                    "alone settles what it asks"
                )
            one.live.tell(candidate, score if np.min(score) > -np.inf else None)
            one.pending = None
            one.archs.append(arch)
            one.scores.append(score)
        return one

    def init(key: Key, capacity: int) -> AskTellState:
        key, seed_key = jax.random.split(key)
        return AskTellState(
            key=key,
            seed=np.asarray(jax.random.bits(seed_key, (), jnp.uint32) >> 1, np.uint32),
            archs=np.zeros((capacity, space.num_decisions), np.int32),
            scores=np.full((capacity, num_objectives) if num_objectives > 1 else (capacity,), -np.inf, np.float32),
            num_told=np.asarray(0, np.int32),
        )

    def ask(state: AskTellState) -> tuple[Proposal, AskTellState]:
        found = running(state).next()
        arch = np.zeros(space.num_decisions, np.int32) if found is None else found[1]
        return propose(jnp.asarray(arch, jnp.int32)[None], valid=found is not None), state

    def told_of(evaluation: Evaluation) -> np.ndarray:
        if num_objectives == 1:
            score: np.ndarray = np.asarray(usable_score(evaluation))[0]
            return score
        costs = costs_of(jax.tree.map(jnp.asarray, evaluation), num_objectives)
        keeps = jnp.asarray(evaluation.valid)[:, None] & (costs.violation <= 0)[:, None]
        values: np.ndarray = np.asarray(jnp.where(keeps, -costs.values, -jnp.inf), np.float32)[0]
        return values

    return Searcher(init, ask, told_on_host(told_of), name, compiled=False)


def check_space(space: Any) -> None:
    """Raises TypeError for what is no space."""
    if not isinstance(space, Space):
        raise TypeError(f"space is {type(space).__name__}, expected a jnas Space, for example table.space")


def _reader(space: Space) -> Callable[[Any], np.ndarray]:
    """Returns the function from a candidate, or what `to_arch` made of it, to an architecture int32 `[E]`."""
    numbers = [{choice: number for number, choice in enumerate(choices)} for choices in space.choices]

    def decision(e: int, value: Any) -> int:
        if isinstance(value, str):
            if value not in numbers[e]:
                raise ValueError(not_one_of(f"decision {e} of a candidate", value, space.choices[e]))
            return numbers[e][value]
        try:
            number = operator.index(value)
        except TypeError:
            raise ValueError(
                f"decision {e} of a candidate is {short(repr(value))}, expected a choice or its number; give to_arch"
            ) from None
        if not 0 <= number < space.num_choices[e]:
            raise ValueError(
                f"decision {e} of a candidate is {number}, expected 0 to {space.num_choices[e] - 1}; give to_arch"
            )
        return number

    def read(candidate: Any) -> np.ndarray:
        if isinstance(candidate, str):
            return np.asarray(space.from_string(candidate), np.int32)
        values = list(candidate.values()) if isinstance(candidate, Mapping) else candidate
        try:
            values = list(values)
        except TypeError:
            values = []
        if len(values) != space.num_decisions:
            raise ValueError(
                f"a candidate is {short(repr(candidate))}, expected {space.num_decisions} decisions of the space "
                f"{space.name!r}, or an architecture string; give to_arch"
            )
        return np.asarray([decision(e, value) for e, value in enumerate(values)], np.int32)

    return read
