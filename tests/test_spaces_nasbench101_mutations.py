"""NAS-Bench-101: samplers and mutations of the continuous adjacency and of the path encodings."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas.spaces.nasbench101._cells import host_pruned, is_valid_cell, nasbench101_from_string, pruned
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.spaces.nasbench101._features import PATH_LENGTHS, nasbench101_features
from jnas.spaces.nasbench101._mutations import (
    MUTATIONS,
    PATH_ENCODINGS,
    SAMPLERS,
    mutate_continuous_adjacency,
    path_mutation,
    path_sampler,
    path_sets,
)
from tests._compilation import LONG_RUNS
from tests._draw_calls import count_draws

DRAWS = 10_000
BY_LENGTH = np.array([0.2, 0.127, 3.36e-2, 3.92e-3, 1.5e-4, 6.37e-7])
# The rest differ from these in one argument, and each costs a compilation.
SAMPLED = (
    "continuous_adjacency",
    "path",
    "weighted_path",
    "weighted_truncated_path",
    "truncated_continuous_path",
    "weighted_truncated_continuous_path",
)
MUTATED = ("continuous_adjacency", "truncated_path", "weighted_path", "continuous_path", "truncated_continuous_path")
DIAMOND = nasbench101_from_string("|conv3x3~0|maxpool3x3~0~1|output~1~2|")


def agrees(observed, expected) -> bool:
    """Whether counts agree with their expectations, by a chi-square test that a sound sampler fails once in 2,000."""
    return stats.chisquare(observed, expected).pvalue > 5e-4


def drawn(function, *archs, draws=DRAWS, seed=0) -> np.ndarray:
    """Results `[draws, 26]` under as many keys."""
    keys = jax.random.split(jax.random.key(seed), draws)
    return np.asarray(many(function)(keys, *map(jnp.asarray, archs)))


@functools.cache
def many(function):
    """A function of a key and perhaps one architecture, compiled for many keys."""
    batch = lambda keys, *archs: jax.vmap(function, (0, *(None for _ in archs)))(keys, *archs)  # noqa: E731
    return jax.jit(batch, compiler_options=LONG_RUNS)


@functools.cache
def samples(name: str) -> np.ndarray:
    """What a sampler draws `[DRAWS, 26]`; each is compiled once for all tests."""
    return drawn(SAMPLERS[name])


@functools.cache
def mutants(name: str) -> np.ndarray:
    """What a mutation makes of `DIAMOND` `[DRAWS, 26]`."""
    return drawn(MUTATIONS[name], DIAMOND)


def sets_of(archs: np.ndarray) -> list[frozenset[int]]:
    """The sets of the paths of architectures."""
    distinct, inverse = np.unique(archs, axis=0, return_inverse=True)
    padded = np.zeros((max(len(distinct), 8192), 26), np.int32)  # one shape, one compilation
    padded[: len(distinct)] = distinct
    paths = np.asarray(all_paths(padded)) > 0
    sets = [frozenset(np.flatnonzero(row).tolist()) for row in paths[: len(distinct)]]
    return [sets[i] for i in inverse]


all_paths = jax.jit(jax.vmap(lambda arch: nasbench101_features(arch, "path")))
all_valid = jax.jit(jax.vmap(is_valid_cell))


def counted(sets) -> dict[frozenset[int], int]:
    counts: dict[frozenset[int], int] = {}
    for one in sets:
        counts[one] = counts.get(one, 0) + 1
    return counts


@pytest.fixture(scope="module")
def known_sets() -> list[frozenset[int]]:
    """The path sets of all cells of up to 5 vertices, and the rest of `path_sets`."""
    _, rows = path_sets()
    return sets_of(nasbench101_cells()[rows[:8000]])


# The look-up


def test_every_set_of_paths_has_its_first_cell():
    words, rows = path_sets()
    assert len(words) == len(rows) == len(np.unique(words, axis=0)) == 170_820
    cells = nasbench101_cells()
    few = cells[:9000]
    first: dict[frozenset[int], int] = {}
    for row, paths in enumerate(sets_of(few)):
        first.setdefault(paths, row)
    assert sorted(first.values()) == rows[rows < 9000].tolist()
    assert len({tuple(word) for word in words}) == len(words)


# Laws of all of them


def test_names():
    assert set(SAMPLERS) == set(MUTATIONS) == {"continuous_adjacency", *PATH_ENCODINGS}


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_are_valid_and_varied(name):
    archs = samples(name)
    assert archs.dtype == np.int32
    assert archs.shape == (DRAWS, 26)
    assert np.all(all_valid(archs))
    assert len(np.unique(archs[:500], axis=0)) > 60


@pytest.mark.parametrize("name", MUTATED)
def test_mutants_are_valid_and_varied(name):
    archs = mutants(name)
    assert archs.dtype == np.int32
    assert archs.shape == (DRAWS, 26)
    assert np.all(all_valid(archs))
    assert len(np.unique(archs[:500], axis=0)) > 10


@pytest.mark.parametrize("name", ["continuous_adjacency", "truncated_continuous_path"])
def test_one_is_drawn_as_in_a_batch_and_uses_its_key_once(name):
    key = jax.random.split(jax.random.key(0), DRAWS)[7]
    with jax.debug_key_reuse(True):
        sampled = jax.jit(SAMPLERS[name])(jax.random.clone(key))
        mutated = jax.jit(MUTATIONS[name])(jax.random.clone(key), DIAMOND)
    np.testing.assert_array_equal(sampled, samples(name)[7])
    np.testing.assert_array_equal(mutated, mutants(name)[7])


@pytest.mark.parametrize("name", SAMPLERS)
def test_words_are_drawn_once_a_try(name):
    for jaxpr in (
        jax.make_jaxpr(SAMPLERS[name])(jax.random.key(0)),
        jax.make_jaxpr(MUTATIONS[name])(jax.random.key(0), DIAMOND),
    ):
        assert count_draws(jaxpr) == 1


@pytest.mark.parametrize("name", ["continuous_adjacency", "weighted_path", "continuous_path"])
def test_what_cannot_become_valid_stays_as_it_is(name):
    full = np.array([1] * 21 + [0, 1, 2, 1, 0], np.int32)  # 21 edges, and far more paths than a valid cell has
    np.testing.assert_array_equal(jax.jit(MUTATIONS[name])(jax.random.key(0), full), full)


def test_unknown_encodings_are_refused():
    for make in (path_sampler, path_mutation):
        with pytest.raises(ValueError, match="encoding is 'adjacency', expected one of 'path'"):
            make("adjacency")


# Continuous adjacency


@pytest.mark.statistical
def test_continuous_adjacency_samples_as_a_plain_loop_does():
    archs = samples("continuous_adjacency")
    rng = np.random.default_rng(1)
    plain = []
    while len(plain) < DRAWS // 2:
        edges = np.zeros(21, np.int32)
        edges[rng.permutation(21)[: rng.integers(1, 9)]] = 1
        matrix, used = host_pruned(np.concatenate([edges, np.zeros(5, np.int32)]))
        if used[0]:
            plain.append((edges.sum(), matrix.sum(), edges[5]))
    used_edges = np.asarray(jax.jit(lambda archs: pruned(archs)[0].sum(axis=(0, 1)))(archs.T))
    ours = np.column_stack([archs[:, :21].sum(axis=1), used_edges, archs[:, 5]])
    for column in range(3):
        one, other = (np.bincount(values[:, column], minlength=10) for values in (ours, np.array(plain)))
        keep = one + other > 20
        assert stats.chi2_contingency([one[keep], other[keep]]).pvalue > 5e-4
    numbers = archs[:, 21:] @ 3 ** np.arange(5)
    assert agrees(np.bincount(numbers, minlength=243), np.full(243, DRAWS / 243))


@pytest.mark.statistical
@pytest.mark.parametrize("rate", [1.0, 2.5])
def test_continuous_adjacency_mutation_has_the_stated_probabilities(rate):
    parent = nasbench101_from_string("|conv3x3~0|maxpool3x3~0~1|conv1x1~2|conv3x3|conv3x3|output~1~2|")
    there = [i for i in range(21) if parent[i]]
    absent = [i for i in range(21) if not parent[i]]
    expected: dict[tuple[int, ...], float] = {}
    steps = [((i,), 1 / len(there)) for i in there] + [((i,), 1 / len(absent)) for i in absent]
    steps += [((i, j), 1 / len(there) / len(absent)) for i, j in itertools.product(there, absent)]
    for flipped, probability in steps:
        child = parent.copy()
        child[list(flipped)] ^= 1
        matrix, used = host_pruned(child)
        if used[0] and matrix.sum() <= 9:
            expected[tuple(child[:21].tolist())] = probability
    total = sum(expected.values())
    children = drawn(lambda key, arch: mutate_continuous_adjacency(key, arch, rate), parent)
    found = dict.fromkeys(expected, 0)
    for edges in map(tuple, children[:, :21].tolist()):
        found[edges] += 1  # a KeyError is an edge set that cannot be
    assert agrees(list(found.values()), [DRAWS * expected[edges] / total for edges in found])
    turned = (children[:, 21:] - parent[21:]) % 3
    for v in range(5):
        share = rate / 5
        assert agrees(np.bincount(turned[:, v], minlength=3), DRAWS * np.array([1 - share, share / 2, share / 2]))


# Paths


def odds(encoding: str) -> np.ndarray:
    """The odds of each path, of the encodings that draw each by itself."""
    size = 40 if "truncated" in encoding else 364
    weights = BY_LENGTH[list(PATH_LENGTHS[:size])] if "weighted" in encoding else np.full(size, 1 / size)
    return weights / (1 - weights)


@pytest.mark.statistical
@pytest.mark.parametrize("encoding", ["path", "weighted_path", "weighted_truncated_path"])
def test_path_sets_are_drawn_in_proportion_to_their_odds(encoding, known_sets):
    ratio = odds(encoding)
    counts = counted(sets_of(samples(encoding)))
    assert all(max(paths) < len(ratio) for paths in counts)
    # Given that it is one of these, a set comes with its odds: all sets of a cell that are likely enough to count.
    mass = {paths: float(np.prod(ratio[list(paths)])) for paths in known_sets if max(paths) < len(ratio)}
    likely = sorted(mass, key=lambda paths: -mass[paths])[:150]
    observed = np.array([counts.get(paths, 0) for paths in likely])
    expected = np.array([mass[paths] for paths in likely])
    assert observed.sum() > DRAWS / 4
    assert agrees(observed, expected / expected.sum() * observed.sum())


@pytest.mark.statistical
@pytest.mark.parametrize("encoding", ["truncated_continuous_path", "weighted_truncated_continuous_path"])
def test_continuous_path_sets_are_those_of_a_plain_loop(encoding, known_sets):
    counts = counted(sets_of(samples(encoding)))
    rng = np.random.default_rng(2)
    weights = BY_LENGTH[list(PATH_LENGTHS[:40])] if "weighted" in encoding else np.full(40, 1.0)
    tries = 30_000
    ranked = np.argsort(-rng.uniform(size=(tries, 40)) * weights, axis=1)
    known = set(known_sets)
    plain = [frozenset(row[:n].tolist()) for row, n in zip(ranked, rng.integers(1, 7, tries), strict=True)]
    plain_counts = counted(
        paths for paths in plain if paths in known
    )  # sets of up to 40 paths of larger cells are rare
    for size in range(1, 4):
        ours = {paths: n for paths, n in counts.items() if len(paths) == size and paths in known}
        theirs = {paths: n for paths, n in plain_counts.items() if len(paths) == size}
        both = sorted(ours.keys() | theirs.keys(), key=lambda p: -ours.get(p, 0) - theirs.get(p, 0))[:60]
        table = np.array([[side.get(paths, 0) for paths in both] for side in (ours, theirs)])
        table = table[:, table.sum(axis=0) > 20]
        if table.shape[1] > 1:
            assert stats.chi2_contingency(table).pvalue > 5e-4
    sizes = np.array(
        [
            [sum(n for p, n in side.items() if len(p) == s and p in known) for s in (1, 2)]
            for side in (counts, plain_counts)
        ]
    )
    assert stats.chi2_contingency(sizes).pvalue > 5e-4


@pytest.mark.statistical
@pytest.mark.parametrize("encoding", ["truncated_path", "weighted_path"])
def test_path_mutation_toggles_paths_in_proportion_to_their_odds(encoding, known_sets):
    ratio = odds(encoding)
    (parent,) = sets_of(DIAMOND[None])
    counts = counted(sets_of(mutants(encoding)))
    mass = {
        paths: float(np.prod(ratio[list(paths ^ parent)]))
        for paths in known_sets
        if max(paths ^ parent, default=0) < len(ratio)
    }
    likely = sorted(mass, key=lambda paths: -mass[paths])[:60]
    observed = np.array([counts.get(paths, 0) for paths in likely])
    expected = np.array([mass[paths] for paths in likely])
    assert likely[0] == parent  # most often nothing changes
    assert observed.sum() > DRAWS / 2
    assert agrees(observed, expected / expected.sum() * observed.sum())


@pytest.mark.statistical
@pytest.mark.parametrize(("encoding", "size"), [("continuous_path", 364), ("truncated_continuous_path", 40)])
def test_continuous_path_mutation_moves_one_path(encoding, size, known_sets):
    (parent,) = sets_of(DIAMOND[None])
    counts = counted(sets_of(mutants(encoding)))
    known, absent = set(known_sets), [p for p in range(size) if p not in parent]
    expected = {parent - {gone}: 1 / len(parent) for gone in parent}
    expected |= {parent | {new}: 1 / len(absent) for new in absent}
    expected |= {parent - {g} | {n}: 1 / len(parent) / len(absent) for g in parent for n in absent}
    assert set(counts) <= set(expected)
    both = [paths for paths in expected if paths in known]
    observed = np.array([counts.get(paths, 0) for paths in both])
    chances = np.array([expected[paths] for paths in both])
    assert observed.sum() > DRAWS / 2
    assert agrees(observed, chances / chances.sum() * observed.sum())


def test_path_mutations_leave_longer_paths_alone_where_truncated():
    parent = nasbench101_from_string("|conv3x3~0|maxpool3x3~1|conv1x1~2|conv3x3~3|output~4~0|")
    (paths,) = sets_of(parent[None])
    long = {p for p in paths if p >= 40}
    assert long
    for encoding in ("truncated_path", "truncated_continuous_path"):
        assert all(
            long <= mutant for mutant in sets_of(drawn(MUTATIONS[encoding], parent))
        )  # one shape: no compilation
