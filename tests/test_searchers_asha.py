"""ASHA, PASHA and median stopping against their rules in plain Python."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import Evaluation, Proposal
from jnas.searchers import asha, median_stopping, pasha
from jnas.searchers.asynchronous._median_stopping import is_below_median
from jnas.searchers.asynchronous._pasha import is_ranking_stable, noise_of_ranking
from jnas.spaces import categorical

SPACE = categorical((6,) * 4)
BUDGETS = (1, 3, 9, 27)
F, T, W = 4, 90, 4
SEARCHERS = {
    "asha": asha(SPACE, budgets=BUDGETS, eta=3),
    "asha_stopping": asha(SPACE, budgets=BUDGETS, eta=3, form="stopping"),
    "median_stopping": median_stopping(SPACE, budgets=BUDGETS),
    "pasha": pasha(SPACE, budgets=BUDGETS, eta=3),
}


@functools.cache
def steps(name):
    searcher = SEARCHERS[name]
    return searcher.init(jax.random.key(4), T), jax.jit(searcher.ask_beside), jax.jit(searcher.tell)


class Told:
    """What a search has been told: by training its scores from fidelity 0 on; and what is at work."""

    def __init__(self):
        self.scores, self.at_work = {}, set()

    def rung(self, k):
        """Trainings that have come to a fidelity, the best first, of equal ones the one begun first; failures last."""
        there = [n for n, scores in self.scores.items() if len(scores) > k]
        return sorted(there, key=lambda n: (-np.nan_to_num(self.scores[n][k], nan=-np.inf), n))

    def promotable(self, highest=F - 1):
        """Algorithm 2 of the paper."""
        for k in reversed(range(highest)):
            best = self.rung(k)[: len(self.rung(k)) // 3]
            for n in best:
                if len(self.scores[n]) == k + 1 and n not in self.at_work and not np.isnan(self.scores[n][k]):
                    return n
        return None

    def stays(self, name, n):
        """Whether a training goes on, as it has just come to its last fidelity."""
        own = self.scores[n]
        k = len(own) - 1
        if k == F - 1 or np.isnan(own[k]):
            return False
        if name == "asha_stopping":
            return len(self.rung(k)) < 3 or n in self.rung(k)[: len(self.rung(k)) // 3]
        going = {m for m in self.scores if m in self.goes_on}
        ended = [s[: k + 1] for m, s in self.scores.items() if m != n and m not in going and len(s) > k]
        means = [np.mean(s) for s in ended if not np.isnan(s).any()]
        return not means or np.nanmax(own) >= np.median(means)


@pytest.mark.parametrize("name", SEARCHERS)
def test_who_goes_on_is_who_the_rule_says(name):
    """Four workers, whose evaluations end in random order; scores tie and fail."""
    state, ask, tell = steps(name)
    rng, told, highest = np.random.default_rng(7), Told(), 1
    told.goes_on, out = [], []
    blank = Proposal(np.zeros((W, 4), np.int32), *np.zeros((3, W), np.int32), np.zeros(W, bool))
    resumed = 0
    for row in range(T):
        while len(out) < W:
            pending = jax.tree.map(np.copy, blank)
            for i, proposal in enumerate(out):
                for column, value in zip(pending, proposal, strict=True):
                    column[i] = value[0]
            proposal, state = jax.device_get(ask(state, pending)[0]), ask(state, pending)[1]
            number = int(proposal.resumes[0])
            if name in ("asha", "pasha"):
                expected = told.promotable(highest if name == "pasha" else F - 1)
            else:
                waits = [n for n in sorted(told.goes_on) if n not in told.at_work]
                expected = waits[0] if waits else None
            assert number == (-1 if expected is None else expected)
            if expected is not None:
                resumed += 1
                assert proposal.fidelity[0] == len(told.scores[number]) == proposal.resumed_fidelity[0] + 1
                told.at_work.add(number)
            out.append(proposal)
        proposal = out.pop(rng.integers(len(out)))
        score = np.nan if rng.random() < 0.1 else float(rng.integers(12))
        answer = Evaluation(*map(jnp.asarray, ([np.float32(score)], [np.float32(1)], [not np.isnan(score)])))
        state = tell(state, jax.tree.map(jnp.asarray, proposal), answer)
        number = int(proposal.resumes[0])
        if number < 0:
            number = row
            told.scores[number] = []
        told.scores[number].append(score)
        told.at_work.discard(number)
        told.goes_on = [n for n in told.goes_on if n != number]
        if name in ("asha_stopping", "median_stopping") and told.stays(name, number):
            told.goes_on.append(number)
        if name == "pasha":
            highest = int(state.highest)
    assert resumed > 10
    assert name != "pasha" or highest == F - 1  # random scores rank anew at each fidelity


def test_a_value_is_below_a_median_as_numpy_has_it():
    rng = np.random.default_rng(0)
    for _ in range(200):
        numbers, among = rng.integers(0, 6, 9).astype(np.float32), rng.random(9) < 0.5
        value = np.float32(rng.integers(0, 13) / 2)
        expected = among.any() and value < np.median(numbers[among])
        assert bool(is_below_median(*map(jnp.asarray, (value, numbers, among)))) == expected


def test_rankings_and_their_noise_by_hand():
    """Three curves: the first two cross twice, and end 0.25 apart; the third is behind both."""
    curves = jnp.asarray([[5.0, 4.0, 1.0], [3.0, 4.5, 1.5], [5.0, 4.75, 2.0]])  # [fidelity, training]
    there, top = jnp.ones(3, bool), jnp.int32(2)
    epsilon = noise_of_ranking(curves, there, top, 90, jnp.float32(0))
    assert float(epsilon) == 0.25
    assert not is_ranking_stable(curves, there, top, jnp.float32(0))
    assert is_ranking_stable(curves, there, top, epsilon)
    swapped = curves.at[1].set(jnp.asarray([1.0, 4.5, 3.0]))  # the second and third change places with the first
    assert not is_ranking_stable(swapped, there, top, epsilon)
    assert float(noise_of_ranking(curves, there, jnp.int32(1), 90, jnp.float32(7))) == 7  # two fidelities cross once
    crossing = jnp.asarray([[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 3.0, 7.0]])
    gaps = [1, 3, 7, 2, 6, 4]
    expected = np.percentile(gaps, 90)
    assert float(noise_of_ranking(crossing, jnp.ones(4, bool), top, 90, jnp.float32(0))) == pytest.approx(expected)
