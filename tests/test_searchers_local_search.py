"""Local search against a plain walk, on spaces small enough to exhaust, and with isomorphic architectures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas.core._loop import run
from jnas.core._vocabulary import STOPPED_BY, Evaluation, Objective
from jnas.searchers import local_search
from jnas.searchers.black_box._history import seen_before
from jnas.spaces import categorical, nasbench201

VARIANTS = {
    "restart": {"query_full_neighborhood": False, "stop_at_minimum": True},
    "restart_full": {"query_full_neighborhood": True, "stop_at_minimum": True},
    "continue": {"query_full_neighborhood": False, "stop_at_minimum": False},
    "continue_full": {"query_full_neighborhood": True, "stop_at_minimum": False},
}
CHAIN = categorical((30,))._replace(
    sample=lambda key: jnp.full((1,), 15, jnp.int32),
    neighbors=lambda arch: (jnp.stack([arch - 1, arch + 1]), jnp.concatenate([arch > 0, arch < 29])),
)
every_variant = pytest.mark.parametrize("variant", VARIANTS)


@functools.cache
def compiled(space, capacity, options):
    searcher = local_search(space, **dict(options))

    def search(key, scores):
        def evaluate(keys, proposal):
            score = scores[jax.vmap(space.index)(proposal.archs)]
            return Evaluation(score, jnp.ones(score.shape), jnp.ones(score.shape, bool))

        return run(searcher, Objective(evaluate), key, max_evaluations=capacity)

    return jax.jit(jax.vmap(search, (0, None)))


def traces(space, scores, seeds, capacity, **options):
    keys = jax.random.split(jax.random.key(1), seeds)
    return jax.device_get(compiled(space, capacity, tuple(options.items()))(keys, scores))


def one_change(arch, num_choices):
    return {
        (*arch[:i], choice, *arch[i + 1 :])
        for i, count in enumerate(num_choices)
        for choice in range(count)
        if choice != arch[i]
    }


def walk(archs, scores, num_choices, num_init, full, stop):
    """Local search in plain Python over given evaluations; fails at one that it could not have made."""
    seen, begun, done, minima = {}, set(), set(), 0
    center, leader, to_draw = None, None, num_init
    for arch, score in zip(archs, scores, strict=True):
        while True:
            if center is None and to_draw > 0:
                allowed = None  # any that is new
                break
            if center is not None:
                allowed = one_change(center, num_choices) - seen.keys()
                if allowed:
                    break
                done.add(center)
            if leader is not None and (center is None or seen[leader] > seen[center]):
                center = leader
            elif stop or center is None:
                minima, center, to_draw = minima + 1, None, num_init
            else:
                pool = [a for a in seen if a not in begun] or [a for a in seen if a not in done]
                minima, center = minima + 1, max(pool, key=seen.get)
            leader = None
            begun |= {center} - {None}
        assert arch not in seen
        assert allowed is None or arch in allowed
        bar = max(seen[a] for a in (center, leader) if a is not None) if center or leader else -np.inf
        seen[arch] = score
        if center is None:
            to_draw -= 1
        if score > bar and (full or center is None):
            leader = arch
        elif score > bar:
            center, leader = arch, None
            begun.add(arch)
    return minima


@every_variant
@pytest.mark.parametrize("broken", [0.0, 0.2])
def test_every_step_is_one_that_a_plain_walk_could_make(variant, broken):
    space = categorical((4, 3, 5, 2, 6))
    rng = np.random.default_rng(0)
    scores = rng.normal(size=space.size).astype(np.float32)
    scores[rng.random(space.size) < broken] = np.nan
    options = VARIANTS[variant]
    found = traces(space, scores, 16, 150, num_init=5, **options)
    minima = 0
    for lane in range(16):
        archs = [tuple(arch) for arch in found.arch[lane].tolist()]
        told = np.where(np.isnan(found.score[lane]), -np.inf, found.score[lane]).tolist()
        minima += walk(
            archs, told, space.num_choices, 5, options["query_full_neighborhood"], options["stop_at_minimum"]
        )
    assert found.mask.all()
    assert minima > 16  # the walk has been beyond the first minimum


@every_variant
@pytest.mark.parametrize("broken", [0.0, 0.5, 1.0])
def test_a_small_space_is_evaluated_whole_and_ends_the_run(variant, broken):
    space = categorical((2, 3, 2))
    rng = np.random.default_rng(3)
    scores = rng.normal(size=space.size).astype(np.float32)
    scores[rng.permutation(space.size)[: int(broken * space.size)]] = np.nan
    found = traces(space, scores, 32, 20, num_init=3, **VARIANTS[variant])
    assert (found.mask.sum(axis=1) == space.size).all()
    assert all(STOPPED_BY[reason] == "exhausted" for reason in found.stopped_by)
    for archs, mask in zip(found.arch, found.mask, strict=True):
        assert len({arch.tobytes() for arch in archs[mask]}) == space.size


@every_variant
def test_neighbourhoods_left_at_an_improvement_are_come_back_to(variant):
    """On a chain that rises to the right and is entered in the middle, the left half is what the climb left out."""
    found = traces(CHAIN, np.arange(30, dtype=np.float32), 8, 31, num_init=3, **VARIANTS[variant])
    assert (found.mask.sum(axis=1) == 30).all()
    assert all(STOPPED_BY[reason] == "exhausted" for reason in found.stopped_by)


@pytest.mark.statistical
def test_neighbours_are_tried_in_uniform_order():
    space = categorical((3, 4))
    found = traces(space, np.arange(12, 0, -1, dtype=np.float32), 3000, 2, num_init=1)
    change = (found.arch[:, 1] - found.arch[:, 0]) % np.array([3, 4])
    counts = np.unique(change, axis=0, return_counts=True)[1]
    assert len(counts) == 5
    assert stats.chisquare(counts).pvalue > 1e-3


def test_isomorphic_architectures_are_not_evaluated_twice():
    space = nasbench201(isomorphism="skip_and_zero")
    scores = np.random.default_rng(0).normal(size=space.size).astype(np.float32)
    found = traces(space, scores, 4, 300)
    for archs in found.arch:
        prints = np.asarray(jax.vmap(space.fingerprint)(jnp.asarray(archs)))
        assert len({fingerprint.tobytes() for fingerprint in prints}) == 300


def test_seen_before_compares_both_words_and_used_rows_only():
    history = jnp.asarray([[1, 2], [3, 4], [5, 6]], jnp.uint32)
    asked = jnp.asarray([[1, 2], [1, 4], [3, 4], [5, 6], [0, 0]], jnp.uint32)
    assert seen_before(asked, history, jnp.int32(2)).tolist() == [True, False, True, False, False]


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="num_init is 0"):
        local_search(categorical((2, 2)), num_init=0)
    with pytest.raises(TypeError, match=r"num_init is 2\.0"):
        local_search(categorical((2, 2)), num_init=2.0)
