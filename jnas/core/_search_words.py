"""The words that spaces and searches are written in; `jnas.core._vocabulary` lists them beside the others."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._widths import as_float, is_cost
from jnas.io._fields import describe_fields

Array = jax.Array
"""An array on the device, or a tracer of one."""

Key = jax.Array
"""A typed PRNG key (`jax.random.key`)."""

State = Any
"""What a searcher's next step needs: a pytree of arrays that carries its own PRNG key."""


@describe_fields
class Graph(NamedTuple):
    """A cell as a graph whose vertices carry operations, the input of graph predictors.

    `N` vertices, `F` kinds of vertex.

    Attributes:
      nodes: float32 `[N, F]`, one-hot over the kinds of vertex.
      adjacency: float32 `[N, N]`, 1 where an arc runs from the row's vertex to the column's.
    """

    nodes: Array
    adjacency: Array


@describe_fields
class Space(NamedTuple):
    """A search space: how architectures are encoded, and pure functions over one encoded architecture.

    An architecture `arch` is an int32 array `[E]`, whatever the cell; `jax.vmap` gives batches. All functions work
    inside `jit` except `to_string`, `from_string` and `draw`.

    Attributes:
      name: The space's name, as `jnas.spaces.get` knows it.
      num_choices: For each of the `E` decisions, its number of choices.
      choices: For each decision, the names of its choices.
      size: Number of encodings that `index` counts, or None where the space has no index.
      config: JSON from which `jnas.spaces.from_config` makes the same space again; table files carry it.
      feature_names: The encodings that `features` knows.
      sample: `sample(key) -> arch`, a valid architecture.
      mutate: `mutate(key, arch) -> arch`, a valid architecture nearby.
      neighbors: `neighbors(arch) -> (archs [N, E], valid [N])`, all architectures one change away.
      is_valid: `is_valid(arch) -> bool []`.
      fingerprint: `fingerprint(arch) -> uint32 [2]`, equal for architectures that the space regards as the same.
      index: `index(arch) -> int32 []` in `[0, size)`, the benchmark's own number of the architecture.
      from_index: `from_index(index) -> arch`, its inverse.
      features: `features(arch, name) -> float32 [F]` (or a `Graph` for graph encodings).
      to_string: `to_string(arch) -> str`.
      from_string: `from_string(text) -> arch` as a NumPy array; ValueError says what is wrong with a malformed string.
      draw: `draw(arch) -> str`, an SVG picture, or None where there is nothing to draw.
      mutate_from: `mutate_from(words, arch) -> arch`, what `mutate` does with the uniform words uint32 `[2]` that it
        draws from its key, so that a step can draw once for all its decisions; None where two words do not suffice.
      part_of: The whole space, of one that is restricted to listed architectures (`jnas.spaces.subset`).
      column_names: Numbers from elsewhere that it knows of architectures, such as scores without training
        (`jnas.spaces.with_columns`); they are features too.
      column: `column(arch, name) -> float32 []`, such a number as it is, NaN where there is none.
    """

    name: str
    num_choices: tuple[int, ...]
    choices: tuple[tuple[str, ...], ...]
    size: int | None
    config: str
    feature_names: tuple[str, ...]
    sample: Callable[[Key], Array]
    mutate: Callable[[Key, Array], Array]
    neighbors: Callable[[Array], tuple[Array, Array]]
    is_valid: Callable[[Array], Array]
    fingerprint: Callable[[Array], Array]
    index: Callable[[Array], Array] | None  # type: ignore[assignment]  # of a tuple nobody needs `index`
    from_index: Callable[[Array], Array] | None
    features: Callable[[Array, str], Any]
    to_string: Callable[[Any], str]
    from_string: Callable[[str], np.ndarray]
    draw: Callable[[Any], str] | None
    mutate_from: Callable[[Array, Array], Array] | None = None
    part_of: "Space | None" = None
    column_names: tuple[str, ...] = ()
    column: Callable[[Array, str], Array] | None = None

    @property
    def num_decisions(self) -> int:
        """`E`, the length of an encoded architecture."""
        return len(self.num_choices)


@describe_fields
class Proposal(NamedTuple):
    """What a searcher asks to have evaluated: `B` rows, of which the valid ones count.

    A multi-fidelity searcher may go on with a training that it began earlier. Such a row names the evaluation that
    began the training and the fidelity that the training has reached, so that an objective can charge the difference
    and a real one can load the checkpoint.

    Attributes:
      archs: int32 `[B, E]`.
      fidelity: int32 `[B]`, index into the objective's `fidelities`.
      resumes: int32 `[B]`, row of the trace whose training this one continues (the row that began it), or -1.
      resumed_fidelity: int32 `[B]`, fidelity which that training has reached, or -1.
      valid: bool `[B]`, False for rows that ask for nothing.
    """

    archs: Array
    fidelity: Array
    resumes: Array
    resumed_fidelity: Array
    valid: Array


@describe_fields
class Evaluation(NamedTuple):
    """What an objective answers, a row for each row of the proposal.

    `jnas.run` and `jnas.search` take a row as invalid, in what they tell the searcher as in the trace, whose score or
    seconds are not finite in float32 (NaN, an infinity, 1e300) or whose seconds are negative: such a score becomes NaN,
    such seconds 0.

    Attributes:
      score: float32 `[B]`, maximised; what is not finite never wins.
      seconds: float32 `[B]`, simulated or measured cost, at least 0.
      valid: bool `[B]`, False where the architecture is invalid or missing: it never wins.
      objectives: float32 `[B, O]`, further ones beside the score, minimised (costs); None for none.
    """

    score: Array
    seconds: Array
    valid: Array
    objectives: Array | None = None


@describe_fields
class Objective(NamedTuple):
    """A batched objective and what the loop may know of it before it starts.

    Attributes:
      evaluate: `evaluate(keys [B], proposal) -> Evaluation`, pure. Each row has a key of its own; a row that resumes
        gets the key of the row that it continues, so a random seed stays the same over one training.
      fidelities: The static tuple that `Proposal.fidelity` indexes, for example epochs; ascending.
      min_seconds: Lower bound of the cost of an evaluation that costs something, or None if unknown; bounds the number
        of evaluations that a budget can pay for.
      objective_names: What the columns of `Evaluation.objectives` are, where it gives any.
    """

    evaluate: Callable[[Key, Proposal], Evaluation]
    fidelities: tuple[float, ...] = (0,)
    min_seconds: float | None = None
    objective_names: tuple[str, ...] = ()

    def __call__(self, keys: Key, proposal: Proposal) -> Evaluation:
        """Evaluates a proposal."""
        return self.evaluate(keys, proposal)


def declare_sound(evaluate: Callable[[Key, Proposal], Evaluation]) -> None:
    """Says of an objective's function that scores are finite or NaN, and seconds finite and at least 0.

    The loops then need not look at each answer. It is said of the function, so that an objective with another one, by
    `_replace`, does not inherit it.
    """
    evaluate.is_sound = True  # type: ignore[attr-defined]


def is_sound(objective: Any) -> bool:
    """Returns whether `declare_sound` was said of an objective's function."""
    return getattr(getattr(objective, "evaluate", None), "is_sound", False) is True


class _Init(Protocol):
    def __call__(self, key: Key, capacity: int) -> State: ...


@describe_fields
class Searcher(NamedTuple):
    """A search algorithm as three pure functions over a state that carries its PRNG key.

    Attributes:
      init: `init(key, capacity) -> state`; `capacity`, a Python int, bounds the number of evaluations of the run.
      ask: `ask(state) -> (proposal, state)`. A proposal without a valid row ends the run: nothing is left to try.
        While other workers are still evaluating, it says that the searcher waits for them.
      tell: `tell(state, proposal, evaluation) -> state`; rows whose `proposal.valid` is False have not been evaluated
        (or were discarded by the budget) and must not change what the searcher knows.
      name: For tables and legends.
      num_fidelities: How many fidelities the searcher uses; its proposals index `0 .. num_fidelities - 1`.
      compiled: Whether the functions can be traced by JAX. Those of a searcher that leans on another library cannot:
        `jnas.search` and studies then call them as they are, and its state may hold NumPy arrays.
      made_with: What its factory was given, defaults included, as a JSON object; empty where that is not known.
      num_init: With how many random architectures it begins, from which it learns; 0 where there is no such number.
      ask_beside: `ask_beside(state, pending) -> (proposal, state)`, how it is asked as a worker becomes free while
        others are at work: `pending`, a proposal of `W` rows, says by its valid ones at what (`ask` is the same with
        nothing pending). It proposes one architecture, and is told each as it ends, in whatever order. None of a
        searcher that is told a whole proposal, whose rows the workers share, before it is asked for the next.
      rescore: `rescore(state, scores [T]) -> state`, as if the evaluations that it was told, in that order, had had
        other scores (minus infinity for what must not win): `T` is the run's capacity, and what stands behind the
        number told does not count. None of a searcher that keeps too little of them.
    """

    init: _Init
    ask: Callable[[State], tuple[Proposal, State]]
    tell: Callable[[State, Proposal, Evaluation], State]
    name: str
    num_fidelities: int = 1
    compiled: bool = True
    made_with: str = ""
    num_init: int = 0
    ask_beside: Callable[[State, Proposal], tuple[Proposal, State]] | None = None
    rescore: Callable[[State, Array], State] | None = None


STOPPED_BY = ("capacity", "budget", "exhausted")
"""What `Trace.stopped_by` indexes: no room for another evaluation, budget spent, or nothing left to propose."""


@describe_fields
class Trace(NamedTuple):
    """What a run left: `T` rows (its capacity), one for each evaluation in the order in which they ended.

    Attributes:
      arch: int32 `[T, E]`.
      fidelity: int32 `[T]`, index into the objective's `fidelities`.
      score: float32 `[T]`, NaN where the evaluation gave none.
      seconds: float32 `[T]`, cost of this evaluation alone.
      valid: bool `[T]`, the evaluation is one that may win.
      mask: bool `[T]`, the row was used; used rows come first.
      stopped_by: int32 `[]`, index into `STOPPED_BY`.
      objectives: float32 `[T, O]`, as `Evaluation.objectives`; None where evaluations have none.
      finish: float32 `[T, 2]`, seconds from the run's start to the evaluation's end, as a sum of two numbers of which
        the second is less than a step of the first (`jnas.statistics.elapsed_seconds` adds them in float64); None with
        one worker, whose evaluations follow one another.
      worker: int32 `[T]`, which worker made it, -1 where unused; None with one worker.
    """

    arch: Array
    fidelity: Array
    score: Array
    seconds: Array
    valid: Array
    mask: Array
    stopped_by: Array
    objectives: Array | None = None
    finish: Array | None = None
    worker: Array | None = None


Features = Any
"""What `Space.features` gives for `N` architectures: float32 `[N, F]`, or a `Graph` of arrays `[N, ...]`."""

Model = Any
"""What a predictor has learned: a pytree of arrays (of anything, where the predictor cannot be compiled)."""


@describe_fields
class Prediction(NamedTuple):
    """What a predictor says of `B` architectures, in the units of the scores that it was fitted to.

    Attributes:
      mean: float32 `[B]`.
      std: float32 `[B]`, its uncertainty of the mean; 0 where it knows none.
    """

    mean: Array
    std: Array


@describe_fields
class Predictor(NamedTuple):
    """A model of scores as pure functions of fixed-size, masked data; higher scores are better.

    All functions work under `jit`, and under `vmap` over seeds. Scores may have any scale: a predictor standardises
    them itself, or says in which units it wants them. Only rows whose mask is True count; what the others hold, NaN
    included, does not matter.

    Attributes:
      fit: `fit(key, features, scores [N], mask [N]) -> model`. With no row at all it predicts anything finite.
      predict: `predict(model, features) -> Prediction` for `B` architectures, each independently of the others.
      sample: `sample(key, model, features) -> float32 [B]`, the values at these architectures of one function drawn
        from what the predictor believes: those of one member of an ensemble, or a joint draw from a posterior.
      name: For tables and legends.
      members: `members(model, features) -> float32 [M, B]`, what each member of an ensemble predicts; None where there
        are no members.
      compiled: Whether the functions can be traced by JAX. Those of a predictor that leans on another library take and
        give NumPy arrays, and searchers that use it are driven from Python.
      made_with: What its factory was given, as in `Searcher`.
    """

    fit: Callable[[Key, Features, Array, Array], Model]
    predict: Callable[[Model, Features], Prediction]
    sample: Callable[[Key, Model, Features], Array]
    name: str
    members: Callable[[Model, Features], Array] | None = None
    compiled: bool = True
    made_with: str = ""


def propose(archs: Array, fidelity: Array | int = 0, valid: Array | bool = True) -> Proposal:
    """Returns a proposal of fresh evaluations (nothing resumed) for `archs [B, E]`.

    Example:
      >>> proposal = jnas.propose(jnp.array([[0, 1], [2, 0], [1, 1]]), fidelity=1)
      >>> proposal.fidelity.tolist(), proposal.resumes.tolist(), proposal.valid.tolist()
      ([1, 1, 1], [-1, -1, -1], [True, True, True])
    """
    batch = archs.shape[0]
    fresh = jnp.full((batch,), -1, jnp.int32)
    return Proposal(
        archs=archs.astype(jnp.int32),
        fidelity=jnp.broadcast_to(jnp.asarray(fidelity, jnp.int32), (batch,)),
        resumes=fresh,
        resumed_fidelity=fresh,
        valid=jnp.broadcast_to(jnp.asarray(valid, bool), (batch,)),
    )


def nothing_pending(num_decisions: int) -> Proposal:
    """Returns what `Searcher.ask_beside` is given where no other worker is at work: a proposal without rows."""
    none: Any = np.zeros((0,), np.int32)  # NumPy's, so that a program of one worker has nothing of it
    archs: Any = np.zeros((0, num_decisions), np.int32)
    return Proposal(archs, none, none, none, none.astype(bool))


def num_asked(num_told: Array, pending: Proposal) -> Array:
    """Returns how many evaluations have been asked for, int32 `[]`: those told, and those that others are at.

    Without other workers that is the number told itself, so that the program is the one of a single worker.
    """
    return num_told + jnp.sum(pending.valid, dtype=jnp.int32) if pending.valid.shape[0] else num_told


def usable_score(evaluation: Evaluation) -> Array:
    """Returns scores `[B]` in which whatever must never win (NaN, invalid) is minus infinity."""
    usable = evaluation.valid & ~jnp.isnan(evaluation.score)
    return jnp.where(usable, evaluation.score, -jnp.inf).astype(jnp.float32)


def function_objective(
    function: Callable[[Key, Array], Array], *, seconds: float = 1.0, fidelities: tuple[float, ...] = (0,)
) -> Objective:
    """Returns the objective of a pure JAX function of one architecture.

    Args:
      function: `function(key, arch [E]) -> score []`, maximised; or `function(key, arch, fidelity)` with the value
        from `fidelities` when there are several.
      seconds: What each evaluation costs, at least 0.
      fidelities: The fidelities that the function knows, ascending.

    Returns:
      An objective in which every evaluation is valid whose score is finite in float32.

    Raises:
      ValueError: `seconds` is negative, or not finite in float32.

    Example:
      >>> objective = jnas.function_objective(lambda key, arch: -jnp.sum((arch - 1) ** 2), seconds=60.0)
      >>> answer = objective(jax.random.split(jax.random.key(0), 2), jnas.propose(jnp.array([[1, 1], [0, 3]])))
      >>> answer.score.tolist(), answer.seconds.tolist()
      ([0.0, -5.0], [60.0, 60.0])
    """
    cost = as_float(seconds)
    if not is_cost(cost):
        raise ValueError(f"seconds is {cost}, expected a number that is not negative and finite in float32")
    levels = jnp.asarray(fidelities, jnp.float32) if len(fidelities) > 1 else None

    def evaluate(keys: Key, proposal: Proposal) -> Evaluation:
        if levels is None:
            score = jax.vmap(_scored(function))(keys, proposal.archs)
        else:
            score = jax.vmap(_scored(function))(keys, proposal.archs, levels[proposal.fidelity])
        return Evaluation(
            score=score.astype(jnp.float32),
            seconds=jnp.full(score.shape, cost, jnp.float32),
            valid=jnp.ones(score.shape, bool),
        )

    return Objective(evaluate, tuple(fidelities), cost)


def _scored(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function whose answer, where it is a Python number, is float32: infinite where that cannot hold it."""

    def scored(*arguments: Any) -> Any:
        score = function(*arguments)
        if not isinstance(score, int | float):
            return score
        with np.errstate(over="ignore"):
            return np.float32(as_float(score))

    return scored
