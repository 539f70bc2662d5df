"""A tabular benchmark: what every architecture of a space scored, and what that cost, as arrays on the device."""

import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below
from jnas.core._vocabulary import Array, Evaluation, Key, Objective, Space
from jnas.io._text import did_you_mean
from jnas.spaces._rows import many_are_one, row_locator
from jnas.tables._cost_columns import VIOLATION, cost_columns, violations
from jnas.tables._file import Header, Training, check_archs, member
from jnas.tables._look_ups import Metric, RunValues, Seed, mean_over_runs
from jnas.tables._metric import TableMetric
from jnas.tables._objective import check_times, fidelity_levels, runs_objective
from jnas.tables._runs import find_readings, find_runs, read_curve, runs_along, seed_slot


class Simulated(NamedTuple):
    """What a simulated training returns."""

    score: Array  # [...] percent
    latency: Array  # [...] seconds a batch; NaN where the table has none
    seconds: Array  # [...] what it cost
    elapsed: Array  # [...] the clock after it


class Table:
    """A table of `N` architectures; made by `load_table` or `make_table`.

    Look-ups are pure and batched, and work inside `jit`. Arrays are read from the file when a look-up first names them
    and stay on the device. Where a look-up takes `archs`, pass encoded architectures `[..., E]`, one index (an int in
    the table's own order), one architecture string, or a list of strings.

    Every look-up names the data set, the split, the training (its number of epochs: 12 and 200 epochs are different
    trainings) and the seed; nothing falls back to something else. A missing number is NaN.

    Attributes:
      space: The search space of its architectures.
      header: Name, trainings, documented pairs of splits, source and notes.
      num_archs: `N`.
      is_known_part: Whether it is one of `jnas.known_part`, on which searches stay among its architectures.
    """

    def __init__(
        self, header: Header, names: frozenset[str], read: Callable[[str], np.ndarray], space: Space, where: str
    ):
        """Use `load_table` or `make_table`."""
        self.header = header
        self.space = space
        self.where = where
        self.names = names
        self._read = read
        self.archs: np.ndarray = read("archs")
        check_archs(space, self.archs, where)
        self.num_archs = len(self.archs)
        self.is_known_part = False
        self._cache: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<jnas.Table {self.header.name!r}: {self.num_archs:,} architectures of {self.space.name}>"

    def read(self, name: str) -> np.ndarray | None:
        """Returns a member of the file (`jnas.tables._file` lists them), or None where the table has no such member."""
        if name not in self.names:
            return None
        if name not in self._cache:
            self._cache[name] = self._read(name)
        array: np.ndarray = self._cache[name]
        return array

    # Finding architectures.

    def index(self, archs: Any) -> Array:
        """Returns the index of each architecture `[...]` int32, -1 where the table does not hold it.

        Args:
          archs: As for all look-ups: encoded `[..., E]`, an index, a string or a list of strings.

        Raises:
          ValueError: A string is malformed, an index is out of range, or the last axis is not `E` long.
          TypeError: Something that is none of these.
        """
        rows = self._rows(archs)
        return jnp.asarray(rows)

    def _rows(self, archs: Any) -> np.ndarray | Array:
        """As `index`, but strings and a single index are found without the device: the first query starts at once."""
        if isinstance(archs, str):
            return self._find(archs)
        if isinstance(archs, list | tuple) and archs and all(isinstance(a, str) for a in archs):
            return np.stack([self._find(a) for a in archs])
        if isinstance(archs, int | np.integer) and not isinstance(archs, bool):
            if not 0 <= archs < self.num_archs:
                raise ValueError(f"index {archs} is not of this table: it has {self.num_archs} architectures, from 0")
            return np.asarray(archs, np.int32)
        encoded = jnp.asarray(archs)
        shape, num_decisions = encoded.shape, self.space.num_decisions
        if not shape or shape[-1] != num_decisions or encoded.dtype.kind not in "iu":
            raise ValueError(
                f"architectures have shape {shape} and type {encoded.dtype}, expected integers [..., {num_decisions}]; "
                f"a single index is a Python int, several are {self._of_indices()}"
            )
        return self._locate_many(encoded.reshape(-1, num_decisions)).reshape(shape[:-1])

    def _of_indices(self) -> str:
        """Returns what a reader types for the architectures of several indices."""
        whole = self.space.from_index is not None and self.num_archs == self.space.size
        return "jax.vmap(table.space.from_index)(indices)" if whole else "table.archs[indices]"

    def row_of(self, text: str) -> int:
        """Returns the index of an architecture string, -1 where the table does not hold it, without the device."""
        return int(self._find(text))

    def _find(self, text: str) -> np.ndarray:
        """The row `[]` of an architecture string, or -1; where many encodings are one, that of any of them."""
        arch = self.space.from_string(text)
        same = (self.archs == arch).all(axis=1)
        if not same.any() and many_are_one(self.space):
            return np.asarray(self._locate_many(jnp.asarray(arch)[None])).reshape(())
        return np.asarray(same.argmax() if same.any() else -1, np.int32)

    @functools.cached_property
    def _locate(self) -> Callable[[Array], Array]:
        with jax.ensure_compile_time_eval():  # the first look-up may stand inside `jit`
            return row_locator(self.space, self.archs)

    def _located_in_space(self, arch: Array) -> Array:
        """As `_locate`, for what a searcher proposes, which may have been made for another space."""
        if arch.shape != (self.space.num_decisions,):
            raise ValueError(
                f"a searcher proposes architectures of {arch.shape[0]} decisions, and those of the table's space "
                f"{self.space.name!r} have {self.space.num_decisions}; make the searcher for table.space"
            )
        return self._locate(arch)

    @functools.cached_property
    def _locate_many(self) -> Callable[[Array], Array]:
        """The same for `[B, E]`, compiled, so that its tables of indices stay on the device."""
        locate = self._locate
        return jax.jit(lambda archs: jax.vmap(locate)(archs.astype(jnp.int32)))

    def _on_device(self, name: Hashable, array: np.ndarray) -> Array:
        """A copy of an array on the device, made once."""
        place = ("device", name)
        if place not in self._cache:
            with jax.ensure_compile_time_eval():  # a look-up inside `jit` must not leave a tracer here
                self._cache[place] = jnp.asarray(array)
        copy: Array = self._cache[place]
        return copy

    def text(self, index: int) -> str:
        """Returns the architecture string of an index.

        Raises:
          ValueError: The index is out of range; -1 is what `index` gives for an architecture that is not held.
        """
        return self.space.to_string(self.archs[int(self._rows(int(index)))])

    # Numbers of architectures.

    @property
    def metric(self) -> TableMetric:
        """What `accuracy` looks up: accuracy in percent, or the metric that the header names."""
        return self.header.metric

    def sign(self, metric: Metric) -> float:
        """Returns 1, or -1 where a lower value of `'accuracy'` (the table's metric) or `'loss'` is better."""
        return self.metric.sign if metric == "accuracy" else -1.0

    def accuracy(
        self,
        archs: Any,
        *,
        dataset: str,
        split: str,
        epochs: int,
        seed: Seed,
        key: Key | None = None,
        at: int | None = None,
    ) -> Array:
        """Returns accuracies `[...]` in percent (of another `metric`, its values), NaN where missing.

        Args:
          archs: Encoded `[..., E]`, an index, a string or a list of strings.
          dataset: A published key (`cifar10-valid`, `cifar10`, `cifar100`, `ImageNet16-120`) or the table's own.
          split: A published split (`train`, `x-valid`, `x-test`, `ori-test`), or `validation` / `test` for the
            documented pair of the data set (`cifar10`: x-valid of cifar10-valid, ori-test of cifar10).
          epochs: The training: its total number of epochs.
          seed: A seed's name, `'mean'`, or `'random'` (uniform over the runs that exist; needs `key`).
          key: PRNG key `[]` for `seed='random'`.
          at: Number of epochs done, for a point of the training's curve; by default its end.

        Raises:
          ValueError: The table has no such training, split, seed or curve; the message lists what it has.
        """
        return self._look_up("accuracy", archs, dataset, split, epochs, seed, key, at).score

    def loss(
        self,
        archs: Any,
        *,
        dataset: str,
        split: str,
        epochs: int,
        seed: Seed,
        key: Key | None = None,
        at: int | None = None,
    ) -> Array:
        """Returns cross-entropy losses `[...]`; arguments as for `accuracy`."""
        return self._look_up("loss", archs, dataset, split, epochs, seed, key, at).score

    def seconds(
        self,
        archs: Any,
        *,
        dataset: str,
        split: str,
        epochs: int,
        seed: Seed,
        key: Key | None = None,
        at: int | None = None,
    ) -> Array:
        """Returns the cost `[...]` in seconds of training for all (or `at`) epochs and evaluating once on the split.

        This is the published `simulate_train_eval` cost. Where the table has no evaluation times it is the training
        alone; `has_eval_seconds` tells.
        """
        return self._look_up("accuracy", archs, dataset, split, epochs, seed, key, at).seconds

    def has_eval_seconds(self, dataset: str, split: str, epochs: int) -> bool:
        """Returns whether costs on this split include the evaluation."""
        dataset, split = self.resolve(dataset, split)
        return member("eval_seconds", dataset, epochs, split) in self.names

    def curve(
        self, archs: Any, *, dataset: str, split: str, epochs: int, seed: Seed, metric: Metric = "accuracy"
    ) -> Array:
        """Returns the metric after each epoch `[..., epochs]`; `seed` is a seed's name or `'mean'`."""
        if seed == "random":
            raise ValueError("seed is 'random', expected a seed's name or 'mean' for a whole curve")
        dataset, split = self.resolve(dataset, split)
        slot = seed_slot(self.training(dataset, epochs), seed)
        values = read_curve(self, metric, dataset, split, epochs)
        name = ("curve", metric, dataset, split, epochs, seed)
        return self._gather(name, mean_over_runs(values) if slot is None else values[:, slot], archs)

    def reading(
        self,
        archs: Any,
        *,
        dataset: str,
        epochs: int,
        name: str,
        seed: Seed,
        key: Key | None = None,
        at: int | None = None,
    ) -> Array:
        """Returns what was read off while an architecture trained `[...]`, such as its energy; NaN where missing.

        Args:
          archs: As for `accuracy`.
          dataset: As for `accuracy`.
          epochs: As for `accuracy`.
          name: Which reading, in the unit that its name says: `'energy_kwh'`.
          seed: As for `accuracy`.
          key: As for `accuracy`.
          at: Number of epochs done; by default the end of the training.

        Raises:
          ValueError: The table has no such training, seed or reading; the message lists what it has.
        """
        place = ("reading", dataset, name, epochs, seed, at)
        if place not in self._cache:
            self._cache[place] = find_readings(self, dataset, epochs, name, seed, at)
        return self._choose(place, self._cache[place], archs, seed, key).score

    def parameters(self, archs: Any, *, dataset: str) -> Array:
        """Returns numbers of parameters `[...]` in millions."""
        return self._gather(member("parameters", dataset), self._named("parameters", dataset), archs)

    def parameter_count(self, archs: Any, *, dataset: str) -> Array:
        """Returns exact numbers of parameters `[...]` int32, -1 where missing."""
        counts, rows = self._named("parameter_count", dataset), self._rows(archs)
        found = jnp.asarray(self._on_device(member("parameter_count", dataset), counts.astype(np.int32))[rows])
        return jnp.where((rows < 0) | (found == 0), -1, found)

    def flops(self, archs: Any, *, dataset: str) -> Array:
        """Returns numbers of multiply-adds `[...]` in millions."""
        return self._gather(member("flops", dataset), self._named("flops", dataset), archs)

    def latency(self, archs: Any, *, dataset: str) -> Array:
        """Returns latencies `[...]` in seconds a batch, as the benchmark measured them on the data set's network."""
        return self._gather(member("latency", dataset), self._named("latency", dataset), archs)

    def device_latency(self, archs: Any, *, device: str) -> Array:
        """Returns latencies `[...]` in milliseconds on a named device."""
        return self._gather(member("device_latency", device), self._named("device_latency", device), archs)

    def hardware(self, archs: Any, *, name: str) -> Array:
        """Returns a hardware reading `[...]` in the unit that its name says."""
        return self._gather(member("hardware", name), self._named("hardware", name), archs)

    def proxy(self, archs: Any, *, name: str) -> Array:
        """Returns scores without training `[...]`, higher is better, NaN where there is none."""
        return self._gather(member("proxy", name), self._named("proxy", name), archs)

    # Searching on the table.

    def objective(
        self,
        *,
        dataset: str,
        split: str,
        epochs: int | Sequence[int],
        seed: Seed,
        at: int | Sequence[int] | None = None,
        metric: Metric = "accuracy",
        resume_cost: Literal["difference", "full"] | None = None,
        missing_seconds: float | None = None,
        objectives: Sequence[str] = (),
        at_most: Mapping[str, float] | None = None,
    ) -> Objective:
        """Returns the objective that looks evaluations up in this table.

        Args:
          dataset: As for `accuracy`.
          split: As for `accuracy`.
          epochs: One training, or several (ascending) as the fidelities of a multi-fidelity searcher.
          seed: As for `accuracy`; `'random'` draws anew for each evaluation, the same one where a training goes on.
          at: Points of one training's curve as fidelities (ascending), in epochs done; needs a single `epochs`.
          metric: `'accuracy'` in percent, or `'loss'`, whose negative is the score. Where the table's metric is another
            one, `'accuracy'` is that: its negative is the score if lower is better.
          resume_cost: What going on with a training costs: the `'difference'` to what it has cost (the default along
            one curve, `at`), or the `'full'` cost (the default where fidelities are separate trainings; published
            scripts always charge in full).
          missing_seconds: What an evaluation costs whose time, or whose architecture, the table lacks. Where it has
            no times at all, or not the architecture, that is 0 by default: then a run with a budget of seconds alone
            ends after as many evaluations as the budget pays for at the cheapest cost that there is.
          objectives: Further objectives beside the score, for `Evaluation.objectives`, minimised: names of members with
            one number for each architecture, in the units that the file has (`jnas.tables._file` lists them), such as
            `'flops/cifar10'`; short ones as `jnas study --objectives` takes them (`'flops'`, `'latency:pixel3'`); with
            `=max` behind it, the column's negative.
          at_most: Bounds of such columns, in their units. What violates one is invalid, its score stays; by how much it
            does, relative to the bounds and summed over them, is a last further objective, `'violation'`.

        Raises:
          ValueError: As for `accuracy`; the fidelities do not ascend; the table has no such further objective; or some
            architectures have an accuracy but no time, and `missing_seconds` does not say what they cost.
        """
        if resume_cost not in (None, "difference", "full"):
            raise ValueError(f"resume_cost is {resume_cost!r}, expected 'difference' or 'full'")
        levels = fidelity_levels(epochs, at)
        runs = self.searched_runs(metric, dataset, split, epochs, seed, at)
        check_times(runs, missing_seconds)
        datasets = (dataset, self.resolve(dataset, split)[0])
        columns = cost_columns(self, objectives, datasets)
        further = {word: column.costs for word, column in zip(objectives, columns, strict=True)}
        return runs_objective(
            tuple(float(e if a is None else a) for e, a in levels),
            runs,
            self._located_in_space,
            sign=self.sign(metric),
            draws=seed == "random",
            pays_difference=resume_cost == "difference" or (resume_cost is None and at is not None),
            missing_seconds=missing_seconds or 0.0,
            lists_all=self.num_archs == math.prod(self.space.num_choices),
            further=further | ({VIOLATION: violations(self, at_most, datasets)} if at_most else {}),
            bounded=bool(at_most),
        )

    def proxy_objective(self, name: str) -> Objective:
        """Returns the objective of a score without training: a column `proxy/NAME` of this table, of no cost.

        Raises:
          ValueError: The table has no such column; the message lists those that it has.
        """
        values = self._named("proxy", name)[:, None].astype(np.float64)
        nothing = np.zeros_like(values)
        return runs_objective(
            (1.0,),
            [RunValues(values, nothing, nothing, np.isfinite(values).sum(1).astype(np.int32))],
            self._located_in_space,
            sign=1.0,
            draws=False,
            pays_difference=False,
            missing_seconds=0.0,
            lists_all=self.num_archs == math.prod(self.space.num_choices),
            further={},
            bounded=False,
        )

    def simulate_train_eval(
        self,
        archs: Any,
        elapsed: Array | float = 0.0,
        *,
        dataset: str,
        split: str,
        epochs: int,
        seed: Seed,
        key: Key | None = None,
        at: int | None = None,
    ) -> Simulated:
        """Returns a simulated training and evaluation, and the clock after it; the clock is yours to carry."""
        found = self._look_up("accuracy", archs, dataset, split, epochs, seed, key, at)
        name = member("latency", self.resolve(dataset, split)[0])
        latency = self.read(name)
        return Simulated(
            found.score,
            jnp.full(found.score.shape, jnp.nan) if latency is None else self._gather(name, latency, archs),
            found.seconds,
            elapsed + jnp.sum(found.seconds),
        )

    # What look-ups stand on.

    def resolve(self, dataset: str, split: str) -> tuple[str, str]:
        """Returns the published data set and split that `validation` or `test` of a data set stand for."""
        if split in ("validation", "test") and dataset in self.header.pairs:
            return self.header.pairs[dataset][split]
        return dataset, split

    def training(self, dataset: str, epochs: int) -> Training:
        """Returns the training of a published data set, or raises ValueError that lists those of the table."""
        for training in self.header.trainings:
            if (training.dataset, training.epochs) == (dataset, epochs):
                return training
        held = ", ".join(f"{t.dataset} for {t.epochs} epochs" for t in self.header.trainings)
        names = [t.dataset for t in self.header.trainings]
        offer = ("" if dataset in names else did_you_mean(dataset, names)) or ";"
        raise ValueError(
            f"this table has no training on dataset={dataset!r} for epochs={epochs!r}{offer} it has {held}"
        )

    def runs(
        self, metric: Metric, dataset: str, split: str, epochs: int, seed: Seed, at: int | None = None
    ) -> RunValues:
        """Returns the runs that a look-up chooses from, as NumPy arrays; arguments as for `accuracy`."""
        if metric not in ("accuracy", "loss"):
            raise ValueError(f"metric is {metric!r}, expected 'accuracy' or 'loss'")
        dataset, split = self.resolve(dataset, split)
        self.training(dataset, epochs)
        if at is not None and not 1 <= at <= epochs:
            raise ValueError(f"at is {at}, expected a number of epochs done, from 1 to {epochs}")
        name = ("runs", metric, dataset, split, epochs, seed, at)
        if name not in self._cache:
            self._cache[name] = find_runs(self, metric, dataset, split, epochs, seed, at)
        found: RunValues = self._cache[name]
        return found

    def searched_runs(
        self,
        metric: Metric,
        dataset: str,
        split: str,
        epochs: int | Sequence[int],
        seed: Seed,
        at: int | Sequence[int] | None,
    ) -> list[RunValues]:
        """Returns the runs that an objective chooses from, of each fidelity; arguments as for `objective`."""
        levels = fidelity_levels(epochs, at)
        runs = [self.runs(metric, dataset, split, e, seed, a) for e, a in levels]
        if at is not None and seed == "random":
            return runs_along(self, metric, *self.resolve(dataset, split), levels)
        return runs

    def _look_up(
        self,
        metric: Metric,
        archs: Any,
        dataset: str,
        split: str,
        epochs: int,
        seed: Seed,
        key: Key | None,
        at: int | None,
    ) -> Evaluation:
        runs = self.runs(metric, dataset, split, epochs, seed, at)
        return self._choose((metric, *self.resolve(dataset, split), epochs, seed, at), runs, archs, seed, key)

    def _choose(self, place: Hashable, runs: RunValues, archs: Any, seed: Seed, key: Key | None) -> Evaluation:
        """One run of each architecture; `place` tells the runs from others."""
        if seed == "random" and key is None:
            raise ValueError("seed is 'random' but no key was given; pass key=jax.random.key(...)")
        rows = self._rows(archs)
        # Rows that the host knows are gathered there: nothing is compiled for a query by string or by index.
        if isinstance(rows, np.ndarray) and seed != "random":
            return Evaluation(*map(jnp.asarray, _chosen(np, runs, rows, np.zeros(rows.shape, np.int32))[:3]))
        held = [self._on_device((place, i), x) for i, x in enumerate(runs)]
        found: Evaluation = _chosen_on_device(held, jnp.asarray(rows), key if seed == "random" else None)
        return found

    def _named(self, kind: str, name: str) -> np.ndarray:
        found = self.read(member(kind, name))
        if found is None:
            known = sorted(n.removeprefix(f"{kind}/") for n in self.names if n.startswith(f"{kind}/"))
            offer = did_you_mean(name, known) or ";"
            raise ValueError(f"this table has no {kind} of {name!r}{offer} it has {', '.join(known) or 'none'}")
        return found

    def _gather(self, name: Hashable, values: np.ndarray, archs: Any) -> Array:
        """Values `[N, ...]` of architectures, NaN where the table lacks them; `name` tells the values from others."""
        rows = self._rows(archs)
        if isinstance(rows, np.ndarray):
            return jnp.asarray(_held(np, values, rows))
        held: Array = _held_on_device(self._on_device(name, values), rows)
        return held


def _chosen(xp: Any, runs: RunValues, rows: Any, slot: Any) -> Evaluation:
    """The runs `slot [...]` of the architectures at `rows [...]`; `xp` is NumPy or `jax.numpy`."""
    found = (rows >= 0) & (runs.num_runs[rows] > 0)
    score, seconds = runs.value[rows, slot], runs.train_seconds[rows, slot] + runs.eval_seconds[rows, slot]
    score, seconds = (xp.asarray(xp.where(found, x, xp.nan), xp.float32) for x in (score, seconds))
    return Evaluation(score, seconds, found)


def _held(xp: Any, values: Any, rows: Any) -> Any:
    """Values `[N, ...]` at `rows [...]`, float32 `[..., ...]`, NaN where the row is -1."""
    found = values[rows]
    missing = (rows < 0).reshape(rows.shape + (1,) * (found.ndim - rows.ndim))
    return xp.asarray(xp.where(missing, xp.nan, found), xp.float32)


# Outside of `jit` a look-up is one program, not one for each of its operations; inside it stands as if written there.


@functools.partial(jax.jit, inline=True)
def _chosen_on_device(held: Sequence[Array], rows: Array, key: Key | None) -> Evaluation:
    runs: Any = RunValues._make(held)
    slot = jnp.zeros(rows.shape, jnp.int32)
    if key is not None:
        slot = below(jax.random.bits(key, rows.shape, jnp.uint32), jnp.maximum(runs.num_runs[rows], 1))
    return _chosen(jnp, runs, rows, slot)


@functools.partial(jax.jit, inline=True)
def _held_on_device(values: Array, rows: Array) -> Array:
    held: Array = _held(jnp, values, rows)
    return held
