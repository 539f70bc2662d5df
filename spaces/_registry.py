"""Spaces by name, and from the configuration that table files and study folders carry."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jnas.core._registry import make_registry
from jnas.core._vocabulary import Array, Key, Space
from jnas.io._text import did_you_mean, short
from jnas.spaces._categorical import categorical
from jnas.spaces._nasbench_graph import nasbench_graph
from jnas.spaces._nasbench_macro import nasbench_macro
from jnas.spaces._nats_size import nats_size
from jnas.spaces._transnas import transnas_macro, transnas_micro
from jnas.spaces.darts._cells import check_inputs
from jnas.spaces.darts._edge_choices import edge_space
from jnas.spaces.darts._fingerprint import canonical_arch
from jnas.spaces.darts._genotype import PUBLISHED, format_genotype
from jnas.spaces.darts._space import darts
from jnas.spaces.nasbench101._cells import check_cell
from jnas.spaces.nasbench101._configurations import nasbench101_configuration_space
from jnas.spaces.nasbench101._one_shot import cell_of, nasbench1shot1_1, nasbench1shot1_2, nasbench1shot1_3
from jnas.spaces.nasbench101._released import Released, released_sampler
from jnas.spaces.nasbench101._space import nasbench101
from jnas.spaces.nasbench101._topologies import partition
from jnas.spaces.nasbench201._space import nasbench201
from jnas.spaces.recurrent._genotype import PUBLISHED_RECURRENT, format_recurrent
from jnas.spaces.recurrent._space import canonical_cells, recurrent


class SpaceEntry(NamedTuple):
    """A space that is known by name."""

    name: str
    title: str  # as its paper writes it
    make: Callable[..., Space]  # of the arguments that `Space.config` holds; all have defaults
    named_cells: Mapping[str, str] = {}  # architectures that people know by name, as strings
    check: Callable[[Any], None] | None = None  # raises for an encoding `[E]` that is not valid, where some are not
    to_cell: Callable[[Array], Array] | None = None  # of a space of decisions about the cells of another: that cell
    up_to_vertices: Callable[[int], Space] | None = None  # of a space of cells: those of at most so many vertices
    # Of a space without an index: from an encoding to the one that stands for all alike.
    canonical: Callable[[Space], Callable[[Array], Array]] | None = None
    released: Callable[[Space, str], Released] | None = None  # what a released sampler, by its name, can express of it
    # Of a space of cells: architectures that have each vertex in one of them, `[n, E]`, and which there are `[n]`.
    partition: Callable[[Space, Key], tuple[Array, Array]] | None = None


SPACES = make_registry(
    "space",
    (
        SpaceEntry(
            "nasbench101",
            "NAS-Bench-101",
            nasbench101,
            # Two 3x3 convolutions beside a projection, and the Inception module that the benchmark's README has as its
            # example (a 5x5 convolution is written as two of 3x3).
            named_cells={
                "ResNet": "|conv3x3-bn-relu~0|conv3x3-bn-relu~1|output~0~2|",
                "Inception": "|conv1x1-bn-relu~0|conv3x3-bn-relu~0|conv3x3-bn-relu~0|conv3x3-bn-relu~3|maxpool3x3~0"
                "|output~1~2~4~5|",
            },
            check=check_cell,
            # Each of the unique cells is as likely, as in the published comparisons on sub-spaces.
            up_to_vertices=lambda vertices: nasbench101("uniform", max_vertices=vertices),
            released=released_sampler,
            partition=partition,
        ),
        SpaceEntry(
            "nasbench201",
            "NAS-Bench-201",
            nasbench201,
            # The basic block of a residual network, as in Table 5 of the paper.
            named_cells={"ResNet": "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"},
        ),
        SpaceEntry("nats_size", "NATS-Bench size", nats_size),
        *(
            SpaceEntry(make.__name__, f"NAS-Bench-1Shot1, space {number}", make, to_cell=cell_of(number))
            for number, make in enumerate((nasbench1shot1_1, nasbench1shot1_2, nasbench1shot1_3), start=1)
        ),
        SpaceEntry(
            "darts",
            "DARTS",
            darts,
            named_cells={name: format_genotype(genotype) for name, genotype in PUBLISHED.items()},
            check=check_inputs,
            canonical=lambda space: canonical_arch,
        ),
        SpaceEntry(
            "recurrent",
            "recurrent cells",
            recurrent,
            named_cells={name: format_recurrent(genotype) for name, genotype in PUBLISHED_RECURRENT.items()},
            canonical=canonical_cells,
        ),
        SpaceEntry("nasbench_graph", "NAS-Bench-Graph", nasbench_graph),
        SpaceEntry("nasbench_macro", "NAS-Bench-Macro", nasbench_macro),
        SpaceEntry("transnas_micro", "TransNAS-Bench-101, cells", transnas_micro),
        SpaceEntry("transnas_macro", "TransNAS-Bench-101, backbones", transnas_macro),
    ),
    otherwise="other products of choices are made by jnas.spaces.categorical",
)
"""The spaces that `get` and the commands know; whatever else depends on the space stands in rows of its layer."""

_UNNAMED: dict[str, Callable[..., Space]] = {
    "categorical": categorical,
    "nasbench101_configurations": nasbench101_configuration_space,
    "darts_edges": edge_space,
}
"""Other kinds of space that configurations name."""


def names() -> tuple[str, ...]:
    """Returns the names of the spaces that `get` knows.

    Example:
      >>> print(*jnas.spaces.names()[:8])
      nasbench101 nasbench201 nats_size nasbench1shot1_1 nasbench1shot1_2 nasbench1shot1_3 darts recurrent
      >>> print(*jnas.spaces.names()[8:])
      nasbench_graph nasbench_macro transnas_micro transnas_macro
    """
    return SPACES.names()


def get(name: str) -> Space:
    """Returns the space of that name with its default arguments.

    Raises:
      ValueError: There is no such space.

    Example:
      >>> jnas.spaces.get("nats_size").num_choices
      (8, 8, 8, 8, 8)
    """
    return SPACES.entry(name).make()


def named_cells(space: Space) -> Mapping[str, str]:
    """Returns the architectures of a space that people know by name, as strings; none for a space without a row."""
    return {name: text for name, text in _known_cells(space.name).items() if _has(space, text)}


def from_name(space: Space, word: str) -> str:
    """Returns the string of an architecture that people know by a name, and any other word as it is.

    Raises:
      ValueError: The word is a bare name that the space does not know.

    Example:
      >>> from_name(jnas.spaces.darts(), "DARTS_V2")[:41]
      "Genotype(normal=[('sep_conv_3x3', 0), ('s"
    """
    known, name = _known_cells(space.name), word.strip()
    if name in known:
        return known[name]
    if known and name.isidentifier():
        here = named_cells(space)
        raise ValueError(
            f"{short(repr(name))} is no architecture of {space.name} that has a name{did_you_mean(name, here) or ','} "
            f"expected one of {', '.join(here)}, or an architecture string"
        )
    return word


def _known_cells(space: str) -> Mapping[str, str]:
    return SPACES.rows[space].named_cells if space in SPACES.rows else {}


def _has(space: Space, text: str) -> bool:
    """Returns whether a string of a space is one of a part of it, such as that of small cells."""
    try:
        space.from_string(text)
    except ValueError:
        return False
    return True


def up_to_vertices(name: str, vertices: int) -> Space:
    """Returns the sub-space of the cells of at most so many vertices, each of which `sample` draws as often.

    Args:
      name: Of the whole space.
      vertices: The most vertices, input and output among them.

    Raises:
      ValueError: There is no such space or sub-space, or its architectures have no vertices.

    Example:
      >>> up_to_vertices("nasbench101", 5).size
      2532
    """
    make = SPACES.entry(name).up_to_vertices
    if make is None:
        known = " and ".join(row.name for row in SPACES.rows.values() if row.up_to_vertices)
        raise ValueError(
            f"vertices is {vertices}, which chooses among the cells of {known}, not of {name}; leave it out"
        )
    return make(vertices)


def released(space: Space, sampler: str) -> Released:
    """Returns what a released sampler of weight-sharing searches can express of a space.

    Args:
      space: The space, or a part of it.
      sampler: `'enas'`, `'nao'`, `'darts'` or `'fbnet'`.

    Raises:
      ValueError: The space has no such sampler.

    Example:
      >>> len(released(jnas.spaces.nasbench101(max_vertices=4), "enas").cells())
      15
    """
    make = SPACES.rows[space.name].released if space.name in SPACES.rows else None
    if make is None:
        known = " and ".join(row.name for row in SPACES.rows.values() if row.released)
        raise ValueError(f"the space {space.name!r} has no released sampler, expected {known}, or reachable='whole'")
    return make(space, sampler)


def partition_of(space: Space) -> Callable[[Key], tuple[Array, Array]] | None:
    """Returns the function that draws architectures int32 `[n, E]` which share the vertices of a cell among them.

    It says which there are, bool `[n]`, beside them. None for a space whose architectures are no graphs.

    Example:
      >>> archs, there = partition_of(jnas.spaces.nasbench101(max_vertices=5))(jax.random.key(0))
      >>> archs.shape, bool(there[0])
      ((3, 26), True)
    """
    make = SPACES.rows[space.name].partition if space.name in SPACES.rows else None
    return None if make is None else lambda key: make(space, key)


def absent_choice(space: Space) -> int | None:
    """Returns the choice that says of an edge that it is not there, where others say how it is; None elsewhere.

    Example:
      >>> absent_choice(jnas.spaces.nasbench201()) is None  # where `none` is an operation like the others
      True
    """
    return space.num_choices[0] - 1 if json.loads(space.config).get("kind") == "darts_edges" else None


def to_cell(space: Space) -> Callable[[Array], Array] | None:
    """Returns the function from an architecture `[E]` of a space to that of another, for whose cells it stands.

    A table of that other space then serves for this one: `jnas.tables._in_space.table_in_space`.

    Returns:
      A pure function; None for a space whose architectures stand for themselves.

    Example:
      >>> space = jnas.spaces.nasbench1shot1_1()
      >>> to_cell(space)(space.from_index(0)).shape
      (26,)
    """
    return SPACES.rows[space.name].to_cell if space.name in SPACES.rows else None


def canonical(space: Space) -> Callable[[Array], Array]:
    """Returns the function from an encoding `[E]` to the one that stands for all of the same architecture.

    Of a space without several encodings of one architecture, or that does not know them, each stands for itself.

    Example:
      >>> arch = jnas.spaces.arch_of(jnas.spaces.PUBLISHED_GENOTYPES["DARTS_V2"])
      >>> swapped = arch.reshape(-1, 2, 2)[:, ::-1].reshape(-1)
      >>> of = canonical(jnas.spaces.darts())
      >>> bool((arch == swapped).all()), bool((of(arch) == of(swapped)).all())
      (False, True)
    """
    row = SPACES.rows.get(space.name)
    if row is not None and row.canonical is not None and space.index is None:
        return row.canonical(space)
    if space.index is None or space.from_index is None:
        return lambda arch: arch
    index, from_index = space.index, space.from_index
    return lambda arch: from_index(index(arch))


def check_arch(space: Space, arch: Any) -> None:
    """Raises ValueError for an architecture `[E]` of the right choices that is not valid in its space."""
    check = SPACES.rows[space.name].check if space.name in SPACES.rows else None
    if check is not None:
        check(arch)


def from_config(config: str) -> Space:
    """Returns the space that a `Space.config` describes: the same object, if that one came from this process.

    Args:
      config: JSON, an object with `kind` (a name in `jnas.spaces`) and the arguments of that function.

    Raises:
      TypeError: The configuration is not a string.
      ValueError: It is no such JSON, names an unknown kind, or has arguments that the kind does not take.

    Example:
      >>> space = jnas.spaces.categorical((2, 3), name="mine")
      >>> jnas.spaces.from_config(space.config) is space
      True
    """
    if not isinstance(config, str):
        raise TypeError(f"config is {type(config).__name__}, expected the JSON string in Space.config")
    try:
        arguments = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"config {short(repr(config), 200)} is not JSON ({error}); pass the string in Space.config"
        ) from None
    if not isinstance(arguments, dict) or not isinstance(arguments.get("kind"), str):
        raise ValueError(
            f"config {short(repr(config), 200)} is no JSON object with a 'kind'; pass the string in Space.config"
        )
    kind = arguments.pop("kind")
    kinds = _UNNAMED | {row.name: row.make for row in SPACES.rows.values()}
    if kind not in kinds:
        offer = did_you_mean(kind, kinds) or ";"
        raise ValueError(
            f"config names the space {kind!r}, which jnas does not have{offer} expected one of {', '.join(kinds)}. "
            "For a space of your own, pass the Space itself"
        )
    try:
        return kinds[kind](**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config {short(repr(config), 200)} does not describe a space: {error}") from error
