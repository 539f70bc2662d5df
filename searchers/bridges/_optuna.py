"""Optuna's samplers as searchers. Optuna is an extra; nothing here imports it before it is asked for."""

import contextlib
import copy
import importlib
import inspect
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jnas.core._registry import unknown_name
from jnas.core._vocabulary import Searcher, Space
from jnas.searchers._recorded import recorded
from jnas.searchers.bridges._ask_tell import check_space, drive
from jnas.searchers.objectives._ranking import check_num_objectives

_TYPES = {"int": int, "float": float, "bool": bool, "str": str, "None": None}
_NOT_SETTINGS = ("self", "seed", "search_space")


@recorded
def from_optuna(
    sampler: Any,
    space: Space,
    *,
    integers: bool = False,
    name: str | None = None,
    num_objectives: int = 1,
    **settings: Any,
) -> Searcher:
    """Returns a searcher that proposes what a sampler of Optuna samples; it cannot be compiled (`from_ask_tell`).

    Every decision is a categorical parameter whose choices are the names of the space's, all of them known to the
    sampler from the first trial on. Scores are maximised. Trials whose score is NaN, or whose architecture is invalid,
    are told as failed; Optuna's samplers leave such trials out of what they learn from. What else its samplers do in
    categorical spaces stands in `docs/bridges.md`.

    Args:
      sampler: The name of a sampler in `optuna.samplers` (`'TPESampler'`); a class of samplers, or another function
        that takes `seed`; or a sampler, of which each search gets a copy with a seed of its own.
      space: The search space.
      integers: Whether decisions are integers from 0 in place of names: for choices that have an order, and for
        samplers that know numbers alone (CMA-ES).
      name: For tables and legends; by default `optuna:` and the sampler's class.
      num_objectives: `O`: with several it is a study of Optuna with as many directions, which is told the score and
        the first `O - 1` columns of `Evaluation.objectives`; what violates constraints is told as failed.
      **settings: Arguments of the sampler's class, beside the seed.

    Raises:
      TypeError: The sampler is none, or does not take a setting.
      ValueError: Optuna, or a library that the sampler needs, is not installed; there is no sampler of that name; or a
        setting is out of range.

    References:
      "Optuna: A Next-generation Hyperparameter Optimization Framework", Akiba et al., 2019.
    """
    check_space(space)
    check_num_objectives(num_objectives)
    optuna = _optuna()
    make = _sampler_maker(optuna, sampler, space, integers, settings)
    with _quiet(optuna), _needs(sampler):
        first = make(0)  # so that wrong settings are said here
    if not isinstance(first, optuna.samplers.BaseSampler):
        raise TypeError(f"sampler makes {type(first).__name__}, expected a sampler of Optuna")

    class Trials:
        """A study of Optuna."""

        def __init__(self, seed: int):
            with _quiet(optuna):
                self.study = optuna.create_study(directions=["maximize"] * num_objectives, sampler=make(seed))
            self.distributions, self.exhausted = _distributions(optuna, space, integers), False

        def ask(self) -> tuple[Any, np.ndarray] | None:
            if self.exhausted:
                return None
            with _quiet(optuna), _needs(sampler):
                trial = self.study.ask(self.distributions)
            chosen = [trial.params[label] for label in self.distributions]
            pairs = zip(chosen, space.choices, strict=True)
            numbers = chosen if integers else [choices.index(choice) for choice, choices in pairs]
            return trial, np.asarray(numbers, np.int32)

        def tell(self, trial: Any, score: Any) -> None:
            failed = {"state": optuna.trial.TrialState.FAIL}
            try:
                with _quiet(optuna):
                    self.study.tell(trial, **(failed if score is None else {"values": score}))
            except RuntimeError as error:  # samplers of grids end a study, which can only be done within its own loop
                if "Study.stop" not in str(error):
                    raise
                self.exhausted = True

    made = drive(Trials, space, name or f"optuna:{type(first).__name__}", num_objectives)
    several = {} if num_objectives == 1 else {"num_objectives": num_objectives}
    return made._replace(made_with=json.dumps({"optuna": optuna.__version__, **_plain(first), **several}))


def optuna_factory(sampler: str) -> Callable[..., Searcher]:
    """Returns `from_optuna` of a sampler by its name, whose keyword arguments are those a text can give.

    Raises:
      ValueError: Optuna is not installed, or has no such sampler.
    """
    found = _named(_optuna(), sampler)

    def factory(space: Space, **settings: Any) -> Searcher:
        return from_optuna(sampler, space, **settings)

    parameters = [inspect.Parameter("integers", inspect.Parameter.KEYWORD_ONLY, default=False)]
    hints: dict[str, Any] = {"integers": bool}
    for each in inspect.signature(found).parameters.values():
        kinds = [_TYPES[word] for word in str(each.annotation).split(" | ") if word in _TYPES]
        if each.name in _NOT_SETTINGS or each.default is each.empty or set(kinds) <= {None}:
            continue
        union: Any = kinds[0]
        for kind in kinds[1:]:
            union = union | kind
        hints[each.name] = union
        parameters.append(inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default))
    factory.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    factory.__annotations__ = hints
    return factory


def _plain(sampler: Any) -> dict[str, Any]:
    """Returns what tells samplers apart that came as objects: their class, and their settings that are plain values."""
    plain = {n: v for n, v in vars(sampler).items() if isinstance(v, bool | int | float | str) and "seed" not in n}
    return {"class": type(sampler).__qualname__, "attributes": plain}


def _optuna() -> Any:
    try:
        return importlib.import_module("optuna")
    except ImportError:
        raise ValueError("optuna is not installed; it comes with: pip install 'jnas[optuna]'") from None


def _named(optuna: Any, name: str) -> Any:
    """Returns the class of samplers of that name."""
    known = {
        n: getattr(optuna.samplers, n)
        for n in optuna.samplers.__all__
        if not n.startswith("Base") and inspect.isclass(getattr(optuna.samplers, n))
    }
    if name not in known:
        raise unknown_name("sampler of Optuna", name, known)
    return known[name]


def _sampler_maker(
    optuna: Any, sampler: Any, space: Space, integers: bool, settings: dict[str, Any]
) -> Callable[[int], Any]:
    """Returns the function from a seed to a new sampler."""
    if isinstance(sampler, str):
        sampler = _named(optuna, sampler)
        if "search_space" in inspect.signature(sampler).parameters:
            grid = {
                label: list(range(len(choices)) if integers else choices)
                for label, choices in zip(_labels(space), space.choices, strict=True)
            }
            settings = {"search_space": grid, **settings}
    if isinstance(sampler, optuna.samplers.BaseSampler):
        if settings:
            raise TypeError(f"a sampler has its settings already, {', '.join(settings)} came beside it; pass its class")
        return lambda seed: _seeded(sampler, seed)
    if not callable(sampler):
        raise TypeError(
            f"sampler is {type(sampler).__name__}, expected a sampler of Optuna, its class or its name, or a function "
            "that takes a seed"
        )
    return lambda seed: sampler(seed=seed, **settings)


def _seeded(sampler: Any, seed: int) -> Any:
    """Returns a copy of a sampler all of whose generators of random numbers start from a seed."""
    found = copy.deepcopy(sampler)
    generators: list[Any] = []
    seen: set[int] = set()

    def look(value: Any, depth: int) -> None:
        if id(value) in seen or depth > 4:
            return
        seen.add(id(value))
        if isinstance(value, np.random.RandomState):
            generators.append(value)
        elif isinstance(getattr(value, "rng", None), np.random.RandomState):  # Optuna makes its generators when asked
            look(value.rng, depth)
        elif type(value).__module__.partition(".")[0] not in ("builtins", "numpy") and hasattr(value, "__dict__"):
            for each in vars(value).values():
                look(each, depth + 1)

    look(found, 0)
    if not generators:
        raise ValueError(
            f"{type(sampler).__name__} has no generator of random numbers that can be given a seed; pass its class, or "
            "a function that takes a seed"
        )
    for generator, word in zip(generators, np.random.SeedSequence(seed).generate_state(len(generators)), strict=True):
        generator.seed(int(word))
    return found


def _labels(space: Space) -> list[str]:
    """Returns the names of a space's decisions, which sort in their order."""
    width = len(str(space.num_decisions - 1))
    return [f"decision_{e:0{width}d}" for e in range(space.num_decisions)]


def _distributions(optuna: Any, space: Space, integers: bool) -> dict[str, Any]:
    kinds = optuna.distributions
    return {
        label: kinds.IntDistribution(0, len(choices) - 1) if integers else kinds.CategoricalDistribution(choices)
        for label, choices in zip(_labels(space), space.choices, strict=True)
    }


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Keeps Optuna from writing a line for every study and trial: who asks for a sampler by name knows what it is."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


@contextlib.contextmanager
def _needs(sampler: Any) -> Iterator[None]:
    """Says which library is missing that a sampler needs (PyTorch, cmaes)."""
    try:
        yield
    except ImportError as error:
        told = sampler if isinstance(sampler, str) else getattr(sampler, "__name__", type(sampler).__name__)
        missing = getattr(error, "name", None) or str(error).splitlines()[0]
        raise ValueError(f"Optuna's {told} needs {missing}, which is not installed") from error
