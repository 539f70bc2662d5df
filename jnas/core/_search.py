"""The search loop driven from Python, for evaluations that are real work, with checkpoints."""

import functools
import hashlib
import itertools
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._checkpoint import (
    Pending,
    alone_on_checkpoint,
    identify,
    load_checkpoint,
    program_digest,
    save_checkpoint,
)
from jnas.core._checks import (
    Overshoot,
    check_capacity,
    check_fidelities,
    check_proposal,
    check_state,
    check_step,
    resolve_capacity,
)
from jnas.core._vocabulary import Evaluation, Key, Objective, Proposal, Searcher, State, Trace
from jnas.core._widths import as_float, in_32_bits, is_cost
from jnas.core.stepping._admission import (
    RunProgress,
    admit,
    answered,
    columns,
    empty_trace,
    row_keys,
    start_progress,
)
from jnas.core.stepping._steps import ApartSteps, num_further, worker_steps
from jnas.io._fields import describe_fields
from jnas.io._text import short


@describe_fields
class Candidate(NamedTuple):
    """One architecture to evaluate, as `search` hands it to a Python function.

    Attributes:
      arch: int32 `[E]`.
      fidelity: Index into `fidelities`.
      key: `[]`, its own; a candidate that goes on with a training has the key with which that one began.
      row: The row of the trace that it will have if it is accepted; a name for its files. With several workers, how
        many evaluations were begun before it.
      resumes: The `row` of the candidate that began the training with which it goes on, or -1.
      resumed_fidelity: Index of the fidelity which that training has reached, or -1.
    """

    arch: np.ndarray
    fidelity: int
    key: Key
    row: int
    resumes: int
    resumed_fidelity: int


Evaluate = Callable[[Candidate], Any]
"""`evaluate(candidate) -> score`, or `(score, seconds)`, or `(score, seconds, objectives)`."""

EvaluateMany = Callable[[list[Candidate]], Sequence[Any]]
"""`evaluate_many(candidates) -> answers`, one for each, as `Evaluate` gives them; in the order of the candidates."""

OnEvaluation = Callable[[Candidate, float, float], None]
"""`on_evaluation(candidate, score, seconds)`, called after each evaluation."""


class _Steps(NamedTuple):
    """The parts of a step, compiled but for what a searcher does that cannot be."""

    ask: Any  # (state, progress, objective_key) -> (proposal, state, keys [B])
    settle: Any  # (progress, proposal, evaluation) -> (progress, rows)
    tell: Any  # (state, progress, proposal, evaluation) -> (state, progress, rows)
    init: Any = None  # with several workers: (state, num_decisions, num_objectives) -> state of the steps
    numbers: Any = None  # with several workers: (state, progress, proposal) -> (begun before [B], begun by [B])
    apart: Any = None  # with several workers who are told one by one: `ApartSteps`


@alone_on_checkpoint
def search(
    searcher: Searcher,
    evaluate: Evaluate | Objective | None = None,
    key: Key | None = None,
    *,
    max_evaluations: int | None = None,
    budget_seconds: float | None = None,
    overshoot: Overshoot = "discard",
    fidelities: Sequence[float] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    on_evaluation: OnEvaluation | None = None,
    num_objectives: int | None = None,
    workers: int = 1,
    evaluate_many: EvaluateMany | None = None,
    at_once: int | None = None,
) -> Trace:
    """Returns the trace of one search whose evaluations are made from Python, one by one or several at once.

    The searchers are those of `jnas.run`, unchanged, and so are the rules of budget and capacity: with an `Objective`
    the trace equals that of `jnas.run` with the same key.

    Args:
      searcher: From `jnas.searchers`, or your own.
      evaluate: `evaluate(candidate) -> score`, maximised; a failure, which never wins, is NaN, an infinity, or any
        number that is not finite in float32. Or `(score, seconds)`. Without seconds the wall time of the call counts.
        With `num_objectives` it returns `(score, seconds, objectives)`, where seconds may be None. Or an `Objective`.
      key: A typed PRNG key `[]`.
      max_evaluations: Most evaluations, a Python int; needed unless the objective tells its cheapest cost.
      budget_seconds: Seconds after which the search ends. The evaluation that exceeds them has been made by then.
      overshoot: Whether that one is dropped (`'discard'`) or taken as the last (`'keep'`).
      fidelities: What `Candidate.fidelity` indexes, ascending, for a searcher that uses several; an `Objective` has
        its own.
      checkpoint: A file in which the search is saved after every evaluation, and from which it goes on if the file is
        there, to the trace that an unbroken search would have left. The file of a finished search gives its trace.
        One process at a time works on it.
      on_evaluation: Called as `on_evaluation(candidate, score, seconds)` after each evaluation made in this process.
      num_objectives: How many numbers a Python function returns as further objectives, minimised, for
        `Trace.objectives`; an `Objective` shows it.
      workers: How many evaluations are simulated side by side, as in `jnas.run`: this process makes one after another,
        and each counts as taking its seconds from when its worker was free.
      evaluate_many: In place of `evaluate`: `evaluate_many(candidates)` gives an answer for each of some candidates, as
        `evaluate` does for one; how they are made at once, by processes, devices or a cluster, is its own. Without
        seconds each takes its share of the call's wall time. The checkpoint is saved after each call. A call's
        evaluations are all made before the budget is looked at, and those that exceed it follow `overshoot`.
      at_once: Most candidates in one call, as many as a proposal has by default. A searcher that proposes one at a time
        has no more for a call, and says so: give it a batch size, or `jnas.searchers.constant_liar` where that fits.

    Returns:
      A trace with `T = max_evaluations` rows.

    Raises:
      ValueError: An argument is out of range, the checkpoint is damaged or belongs to another search, or `evaluate`
        returned seconds that are negative or not finite in float32.
      TypeError: `evaluate` returned something that is neither a number nor a pair of numbers, or a step of the searcher
        changes the form of its state; said before the first evaluation, where the searcher is compiled.
      OSError: The checkpoint cannot be written, or another process is at work on it.
      Whatever `evaluate` raises: a checkpoint then holds all evaluations before that one, or before that call.

    Warns:
      UserWarning: `evaluate_many` gets one candidate a call, since the searcher proposes one at a time.

    Example:
      >>> searcher = jnas.searchers.random_search(jnas.spaces.categorical((4, 4, 4)))
      >>> def evaluate(candidate):
      ...     return float(candidate.arch.sum()), 60.0  # the score, and the seconds that it took
      >>> trace = jnas.search(searcher, evaluate, jax.random.key(0), max_evaluations=5)
      >>> trace.arch.shape, jnas.statistics.elapsed_seconds(trace).tolist()
      ((5, 3), [60.0, 120.0, 180.0, 240.0, 300.0])
    """
    by: Any
    by, key = _check_evaluate(evaluate, evaluate_many, at_once, key)
    known = by if isinstance(by, Objective) else Objective(_no_objective, _fidelities(fidelities))
    capacity = check_capacity(resolve_capacity(known, budget_seconds, max_evaluations, overshoot, workers))
    started = capacity + (workers if max_evaluations is None else 0)
    if isinstance(by, Objective):
        check_fidelities(searcher, known)
    else:
        check_fidelities(searcher, known, "them as fidelities, for example fidelities=(12, 200)")
    search_key, objective_key = jax.random.split(key)
    init = jax.jit(searcher.init, static_argnums=1) if searcher.compiled else searcher.init
    state = init(search_key, capacity)
    steps = compile_steps(searcher, capacity, budget_seconds, overshoot, workers, started)
    progress, pending = start_progress(), Pending([], [], [])
    inner, state = state, with_workers(searcher, steps, state, num_objectives)
    proposal = _first_proposal(searcher, steps, state, progress, objective_key)
    if isinstance(by, Objective):
        num_objectives = _num_objectives(by, objective_key, progress, proposal)
        state = with_workers(searcher, steps, inner, num_objectives)
    if searcher.compiled:
        _rehearse(searcher, steps, state, progress, objective_key, num_objectives)
    trace = jax.tree.map(np.array, empty_trace(capacity, proposal.archs.shape[1], num_objectives, workers > 1))
    if evaluate_many is not None and at_once != 1 and proposal.archs.shape[0] == 1:
        warnings.warn(
            f"{searcher.name} proposes one architecture at a time, so that evaluate_many gets one a call; give it a "
            "batch size where it has one, or wrap it: jnas.searchers.constant_liar(searcher, batch_size=4)",
            UserWarning,
            stacklevel=3,
        )

    def save(pending: Pending) -> None:
        if checkpoint is not None:
            save_checkpoint(checkpoint, identity, (state, progress, trace), pending)

    if checkpoint is not None:
        settings = {"searcher": searcher.name, "max_evaluations": capacity, "budget_seconds": budget_seconds}
        settings |= {"overshoot": overshoot, "fidelities": [float(f) for f in known.fidelities]}
        settings |= {"workers": workers} if workers > 1 else {}  # files of before do not say it
        settings |= _told_apart(searcher, by, objective_key, progress, proposal)
        programs = _programs(searcher, steps, state, progress, objective_key, num_objectives)
        identity = identify(key, programs, **settings)
        saved = load_checkpoint(checkpoint, identity, (state, progress, trace))
        if saved is not None:
            (state, progress, trace), pending = saved
        save(pending)  # so that a folder that cannot be written is known before any work
    while not bool(progress.stopped):
        proposal, asked, keys = steps.ask(state, progress, objective_key)
        names = _names(steps, asked, progress, proposal)
        if isinstance(by, Objective):
            evaluation = _evaluate_at_once(searcher, by, keys, proposal, names, on_evaluation)
        else:
            most = 1 if evaluate_many is None else at_once or proposal.archs.shape[0]
            room = capacity - int(progress.num_done)
            by_python = _ByPython(by, most, room, num_objectives, steps, on_evaluation, save)
            evaluation = _evaluate_by_python(by_python, keys, proposal, progress, pending, names)
        before = state
        state, progress, rows = steps.tell(asked, progress, proposal, evaluation)
        if not searcher.compiled:  # Python's steps cannot be rehearsed; a checkpoint keeps exact types
            check_state(searcher, before, state, lambda leaf: getattr(leaf, "dtype", None) or np.asarray(leaf).dtype)
        write_rows(trace, rows, progress)
        pending = Pending([], [], [])
        # The file of a Python function's evaluations has this step already, as pending.
        if isinstance(by, Objective) or bool(progress.stopped):
            save(pending)
    found: Trace = jax.tree.map(jnp.asarray, trace)
    return found


@functools.lru_cache(maxsize=16)  # so that a second search with another key compiles nothing
def compile_steps(
    searcher: Searcher,
    capacity: int,
    budget_seconds: float | None,
    overshoot: Overshoot,
    workers: int = 1,
    started: int | None = None,
) -> _Steps:
    """Returns the parts of a search's steps, for whoever answers proposals in another way than `search`.

    With several workers, of whom at most `started` evaluations are begun, the state is what `init` makes of a
    searcher's.
    """
    budget = np.float32(np.inf if budget_seconds is None else budget_seconds)
    if workers > 1:
        several = worker_steps(searcher, jnp.asarray(budget), capacity, overshoot, workers, started or capacity)
        ask, tell = (jax.jit(several.ask), jax.jit(several.tell)) if searcher.compiled else several[1:3]
        apart = several.apart
        if apart is not None and searcher.compiled:
            apart = ApartSteps(jax.jit(apart.begin), jax.jit(apart.answer), jax.jit(apart.end))
        return _Steps(ask, None, tell, several.init, jax.jit(several.numbers), apart)

    def ask_one(state: State, progress: RunProgress, objective_key: Key) -> tuple[Proposal, State, Key]:
        proposal, state = searcher.ask(state)
        check_proposal(searcher, proposal)
        return proposal, state, keys(objective_key, progress, proposal)

    def settle(progress: RunProgress, proposal: Proposal, evaluation: Evaluation) -> tuple[RunProgress, Any]:
        return admit(progress, proposal, evaluation, jnp.asarray(budget), capacity, overshoot)

    def tell_all(state: State, progress: RunProgress, proposal: Proposal, evaluation: Evaluation) -> Any:
        progress, rows = settled(progress, proposal, evaluation)
        return searcher.tell(state, proposal._replace(valid=rows.accepted), evaluation), progress, rows

    keys, settled = jax.jit(row_keys), jax.jit(settle)
    return (
        _Steps(jax.jit(ask_one), settled, jax.jit(tell_all))
        if searcher.compiled
        else _Steps(ask_one, settled, tell_all)
    )


def with_workers(searcher: Searcher, steps: _Steps, state: State, num_objectives: int | None) -> State:
    """Returns the state of a search's steps, from that of its searcher: the same where there is one worker."""
    if steps.init is None:
        return state
    proposal, _ = jax.eval_shape(searcher.ask, state) if searcher.compiled else searcher.ask(state)
    check_proposal(searcher, proposal)
    return steps.init(state, proposal.archs.shape[1], num_objectives)


def _names(steps: _Steps, state: State, progress: RunProgress, proposal: Proposal) -> "_Names":
    """Returns what the rows of a proposal are called, and what those are called with which they go on."""
    resumes = np.asarray(proposal.resumes)
    if steps.numbers is None:
        return _Names(int(progress.num_done) + np.cumsum(np.asarray(proposal.valid)) - 1, resumes)
    own, begun = map(np.asarray, steps.numbers(state, progress, proposal))
    return _Names(own, np.where(resumes >= 0, begun, -1))


class _Names(NamedTuple):
    """What the rows of a proposal are called in `Candidate`."""

    row: np.ndarray  # [B]
    resumes: np.ndarray  # [B]


def _first_proposal(searcher: Searcher, steps: _Steps, state: State, progress: RunProgress, key: Key) -> Proposal:
    """Returns what a search begins with, or only its shapes."""
    proposal, _, _ = (
        jax.eval_shape(steps.ask, state, progress, key) if searcher.compiled else steps.ask(state, progress, key)
    )
    first: Proposal = proposal
    return first


def _num_objectives(objective: Objective, key: Key, progress: RunProgress, proposal: Proposal) -> int | None:
    """Returns how many further objectives an objective gives, or None for none."""
    return num_further(jax.eval_shape(lambda key, p, q: objective(row_keys(key, p, q), q), key, progress, proposal))


def _rehearse(
    searcher: Searcher, steps: _Steps, state: State, progress: RunProgress, key: Key, num_objectives: int | None
) -> None:
    """Raises TypeError where a step would change the form of the state, before any evaluation is made for it."""
    proposal, asked, _ = jax.eval_shape(steps.ask, state, progress, key)
    after, _, _ = jax.eval_shape(steps.tell, asked, progress, proposal, _answer_to(proposal, num_objectives))
    check_state(searcher, state, after)


def _answer_to(proposal: Proposal, num_objectives: int | None) -> Evaluation:
    """Returns an answer to a proposal, of which the shapes matter."""
    answer = jnp.zeros(proposal.valid.shape, jnp.float32)
    further = None if num_objectives is None else jnp.zeros((*answer.shape, num_objectives), jnp.float32)
    return Evaluation(answer, answer, proposal.valid, further)


@in_32_bits  # the same text, and so the same checkpoint, whatever `jax_enable_x64` says
def _programs(
    searcher: Searcher, steps: _Steps, state: State, progress: RunProgress, key: Key, num_objectives: int | None
) -> list[Any]:
    """Returns the lowered programs of a search."""
    proposal = _first_proposal(searcher, steps, state, progress, key)
    evaluation = _answer_to(proposal, num_objectives)
    if not searcher.compiled and steps.settle is None:
        return [steps.numbers.lower(state, progress, proposal)]
    if not searcher.compiled:
        return [steps.settle.lower(progress, proposal, evaluation)]
    _, asked, _ = jax.eval_shape(steps.ask, state, progress, key)
    return [steps.ask.lower(state, progress, key), steps.tell.lower(asked, progress, proposal, evaluation)]


def _told_apart(
    searcher: Searcher, evaluate: Any, key: Key, progress: RunProgress, proposal: Proposal
) -> dict[str, str]:
    """Returns what tells searches apart beside their programs: the objective's, if it is one, and how Python begins."""
    found = {}
    if isinstance(evaluate, Objective):
        program = jax.jit(lambda key, progress, proposal: evaluate(row_keys(key, progress, proposal), proposal))
        found["objective"] = program_digest(program.lower(key, progress, proposal))
    if not searcher.compiled:  # the space and many settings of such a searcher are in no program
        found["begins"] = hashlib.sha256(np.asarray(proposal.archs).tobytes()).hexdigest()
    return found


def _no_objective(keys: Key, proposal: Proposal) -> Evaluation:
    raise AssertionError("a Python function stands in the place of an objective")


def _fidelities(fidelities: Sequence[float] | None) -> tuple[float, ...]:
    found = (0,) if fidelities is None else tuple(fidelities)
    if not found or any(a >= b for a, b in itertools.pairwise(found)):
        raise ValueError(f"fidelities is {fidelities!r}, expected numbers that ascend, for example (12, 200)")
    return found


def _evaluate_at_once(
    searcher: Searcher,
    objective: Objective,
    keys: Key,
    proposal: Proposal,
    names: _Names,
    on_evaluation: OnEvaluation | None,
) -> Evaluation:
    """Evaluates a proposal on a batched objective."""
    evaluation: Evaluation = jax.jit(objective.evaluate)(keys, proposal)
    check_step(searcher, proposal, evaluation)
    if on_evaluation is not None:
        scores, seconds = np.asarray(evaluation.score), np.asarray(evaluation.seconds)
        for row in np.flatnonzero(np.asarray(proposal.valid)):
            candidate = _candidate(keys, proposal, row, names)
            on_evaluation(candidate, float(scores[row]), float(seconds[row]))
    return answered(objective, evaluation)


def _check_evaluate(evaluate: Any, evaluate_many: Any, at_once: Any, key: Any) -> tuple[Any, Key]:
    """Returns the objective or the function of several candidates, and the key, after checking what was given."""
    if key is None:
        raise TypeError("key is missing, expected a typed PRNG key, for example jax.random.key(0)")
    if evaluate_many is None:
        if at_once is not None:
            raise ValueError(f"at_once is {at_once!r} without evaluate_many, whose calls it is about")
        if not callable(evaluate):
            raise TypeError(
                f"evaluate is {type(evaluate).__name__}, expected a function of a Candidate, or an Objective"
            )
        return evaluate if isinstance(evaluate, Objective) else lambda candidates: [evaluate(candidates[0])], key
    if evaluate is not None:
        raise TypeError("evaluate and evaluate_many were both given, expected one of them")
    if not callable(evaluate_many):
        raise TypeError(f"evaluate_many is {type(evaluate_many).__name__}, expected a function of a list of Candidates")
    if at_once is not None and (isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1):
        raise ValueError(f"at_once is {at_once!r}, expected a whole number of candidates, at least 1")
    return evaluate_many, key


class _ByPython(NamedTuple):
    """How a Python function evaluates proposals."""

    evaluate: EvaluateMany
    most: int  # candidates in one call
    room: int  # evaluations that the trace has place for
    num_objectives: int | None
    steps: _Steps
    on_evaluation: OnEvaluation | None
    save: Callable[[Pending], None]


def _evaluate_by_python(
    how: _ByPython, keys: Key, proposal: Proposal, progress: RunProgress, made: Pending, names: _Names
) -> Evaluation:
    """Evaluates a proposal's valid rows in order, from the first that is not yet in `made`, until the search ends."""
    rows = np.flatnonzero(np.asarray(proposal.valid))
    # With several workers a proposal has no more rows than are begun, and which end in time is not known before.
    end = len(rows) if how.steps.settle is None else min(len(rows), how.room)
    for number in range(len(made.scores), end, how.most):
        if number and _has_ended(how, progress, proposal, rows[:number], made):
            break
        places = range(number, min(number + how.most, end))
        candidates = [_candidate(keys, proposal, rows[place], names) for place in places]
        begin = time.perf_counter()
        # What JAX is still computing is waited for, so that the time is the work's.
        answers = _ready(_answers(how.evaluate(list(candidates)), len(candidates)))
        share = (time.perf_counter() - begin) / len(candidates)
        for answer in answers:
            score, seconds, objectives = _read_answer(answer, share, how.num_objectives)
            made.scores.append(score)
            made.seconds.append(seconds)
            made.objectives.extend([] if objectives is None else [objectives])
        how.save(made)
        if how.on_evaluation is not None:
            for place, one in zip(places, candidates, strict=True):
                how.on_evaluation(one, made.scores[place], made.seconds[place])
    return _as_evaluation(proposal, rows[: len(made.scores)], made, how.num_objectives)


def _ready(answers: list[Any]) -> list[Any]:
    found: list[Any] = jax.block_until_ready(answers)  # type: ignore[no-untyped-call]
    return found


def _answers(answers: Any, count: int) -> list[Any]:
    """Returns what a function gave for several candidates, one for each."""
    try:
        found = list(answers)
    except TypeError:
        raise TypeError(f"evaluate_many returned {type(answers).__name__}, expected {count} answers") from None
    if len(found) != count:
        raise ValueError(f"evaluate_many returned {len(found)} answers, expected {count}, one for each candidate")
    return found


def _has_ended(how: _ByPython, progress: RunProgress, proposal: Proposal, rows: np.ndarray, made: Pending) -> bool:
    """Returns whether the rows evaluated so far end the search, so that the others need not be evaluated.

    With several workers they do not: another row may end before these.
    """
    if how.steps.settle is None:
        return False
    so_far = np.zeros(proposal.valid.shape, bool)
    so_far[rows] = True
    partial = proposal._replace(valid=jnp.asarray(so_far))
    evaluation = _as_evaluation(proposal, rows, made, how.num_objectives)
    return bool(how.steps.settle(progress, partial, evaluation)[0].stopped)


def _as_evaluation(proposal: Proposal, rows: np.ndarray, made: Pending, num_objectives: int | None) -> Evaluation:
    """Returns the answers as a batch; rows that were not evaluated are invalid."""
    score = np.full(proposal.valid.shape, np.nan, np.float32)
    seconds = np.zeros(proposal.valid.shape, np.float32)
    valid = np.zeros(proposal.valid.shape, bool)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite in it, and so invalid
        score[rows], seconds[rows] = made.scores, made.seconds
    valid[rows] = np.isfinite(score[rows])
    score[~valid] = np.nan
    objectives = None
    if num_objectives is not None:
        objectives = np.full((*score.shape, num_objectives), np.nan, np.float32)
        objectives[rows] = np.reshape(made.objectives, (len(rows), num_objectives))
    return jax.tree.map(jnp.asarray, Evaluation(score, seconds, valid, objectives))  # type: ignore[arg-type, no-any-return]


def _candidate(keys: Key, proposal: Proposal, row: Any, names: _Names) -> Candidate:
    return Candidate(
        arch=np.asarray(proposal.archs[row]),
        fidelity=int(proposal.fidelity[row]),
        key=keys[row],
        row=int(names.row[row]),
        resumes=int(names.resumes[row]),
        resumed_fidelity=int(proposal.resumed_fidelity[row]),
    )


def _read_answer(answer: Any, share: float, num_objectives: int | None) -> tuple[float, float, list[float] | None]:
    """Returns `(score, seconds, objectives)` from what a user's function returned, `share` where it told no seconds."""
    objectives, scored = None, answer
    if num_objectives is not None:
        if not isinstance(answer, tuple) or len(answer) != 3 or not _is_row_of(answer[2], num_objectives):
            raise TypeError(
                f"evaluate returned {_told(answer)}, expected (score, seconds, objectives) with {num_objectives} "
                "objectives, as num_objectives says; seconds may be None"
            )
        scored = answer[0] if answer[1] is None else answer[:2]
    timed = isinstance(scored, tuple)
    if timed and len(scored) != 2:
        raise TypeError(f"evaluate returned a tuple of {len(scored)}, expected a score or a pair (score, seconds)")
    try:
        score = as_float(scored[0] if timed else scored)
        seconds = as_float(scored[1]) if timed else share
        objectives = None if num_objectives is None else [as_float(value) for value in answer[2]]
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"evaluate returned {type(answer).__name__} {_told(answer)}, expected a score or a pair (score, seconds): "
            f"{error}"
        ) from error
    if not is_cost(seconds):
        raise ValueError(
            f"evaluate returned seconds={seconds}, expected a number that is not negative and finite in float32"
        )
    return score, seconds, objectives


def _is_row_of(numbers: Any, count: int) -> bool:
    if isinstance(numbers, np.ndarray | jax.Array):
        return numbers.shape == (count,)
    return isinstance(numbers, Sequence) and len(numbers) == count


def _told(answer: Any) -> str:
    """Returns what a function gave, for a message; Python does not write integers of thousands of digits."""
    try:
        return short(repr(answer))
    except ValueError:
        return f"a {type(answer).__name__} too long to be written"


def write_rows(trace: Trace, rows: Any, progress: RunProgress) -> None:
    """Writes a step's accepted rows behind those that the trace has, in place."""
    accepted = np.asarray(rows.accepted)
    first = int(trace.mask.sum())
    place = slice(first, first + int(accepted.sum()))
    for column, new in zip(columns(trace), rows, strict=True):
        if column is not None:
            column[place] = np.asarray(new)[accepted]  # what is accepted is what `mask` says
    trace.stopped_by[...] = np.asarray(progress.stopped_by)
