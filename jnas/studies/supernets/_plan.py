"""What a study of weight-sharing searches is to do, settled before it starts."""

import inspect
import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np
from numpy.typing import NDArray

from jnas.core._vocabulary import Supernet, WeightSharingSearcher
from jnas.io._fields import describe_fields
from jnas.io._text import did_you_mean
from jnas.searchers._settings import naming, read_settings, read_spec
from jnas.searchers.weight_sharing._analysis import expected_random_search
from jnas.searchers.weight_sharing._candidates import Selection
from jnas.searchers.weight_sharing._loop import has_alpha
from jnas.searchers.weight_sharing._registry import make_weight_sharing, weight_sharing_entry
from jnas.searchers.weight_sharing._shared_weights import Sgd
from jnas.searchers.weight_sharing._texts import SearchData, SearchText, check_streams, search_data, search_steps
from jnas.spaces._registry import to_cell
from jnas.studies._compared import made_with, table_words
from jnas.studies._memory import check_memory
from jnas.studies._settings import check_settings
from jnas.studies.supernets._settings import LOOK_SETTINGS, SUPERNET_SETTINGS
from jnas.studies.supernets._yardsticks import Yardstick, table_yardsticks
from jnas.tables._in_space import table_in_space
from jnas.tables._known_part import whole_size
from jnas.tables._metric import metric_of_task, metric_words
from jnas.tables._table import Table
from jnas.tables._targets import Reference, Target, find_references, judging_column, judging_targets, target_columns
from jnas.training._recipe import BatchNormPolicy
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.networks._families import nodes_of_space
from jnas.training.runs._jobs import dataset_digest

DRAWS = (1, 10, 100)
"""Numbers of random cells that a study is compared with."""

Cells = int | Literal["all"]
"""How many architectures to evaluate under the shared weights."""


@describe_fields
class SupernetMethod(NamedTuple):
    """A weight-sharing searcher, and how long it trains on which batches.

    Attributes:
      searcher: Its step functions.
      epochs: Of training.
      batch_size: Of training and validation batches alike.
      settings: That were changed, as JSON: for the report, and to tell studies apart.
      reachable: Which cells it can express, of methods that can be told.
    """

    searcher: WeightSharingSearcher
    epochs: int
    batch_size: int
    settings: Mapping[str, Any] = {}
    reachable: str | None = None


class SupernetPlan(NamedTuple):
    """A study before it starts."""

    methods: Mapping[str, SupernetMethod]
    supernet: Supernet
    dataset: SearchData  # a text with how searches go through it
    table: Table | None
    targets: tuple[Target, ...]
    columns: NDArray[np.float32]  # [C, rows of the table], percent
    references: tuple[Reference, ...]
    cells: NDArray[np.int64]  # [N] rows of the table, for the one-shot analysis
    config: Mapping[str, Any]
    log: str | None = None  # the tool in whose format searches are logged too, in the folder

    @property
    def split(self) -> str:
        """Returns the images that the architecture is learned from."""
        return str(self.config["split"])

    @property
    def source(self) -> Dataset | TextDataset:
        """Returns the data set as trainings of single networks take it."""
        return self.dataset.text if isinstance(self.dataset, SearchText) else self.dataset

    @property
    def num_seeds(self) -> int:
        """Returns how many searches there are of each method."""
        return int(self.config["num_seeds"])

    @property
    def pool(self) -> NDArray[np.int64]:
        """Returns the rows of the table that are ranked at each look, `[P]`."""
        main = judging_column(self.targets, self.dataset.name)
        return _cells(self.table, self.columns, self.config.get("pool", 0), self.config.get("root_seed", 0), main)

    @property
    def yardsticks(self) -> list[Yardstick]:
        """Returns how well other things than shared weights rank the cells of the one-shot analysis, or of the pool."""
        if self.table is None or not self.targets:
            return []
        main = judging_column(self.targets, self.dataset.name)
        rows = self.cells if len(self.cells) else self.pool
        return table_yardsticks(self.table, self.targets[main], rows)

    @property
    def result_bytes(self) -> float:
        """Returns how much memory the supernets of all seeds take."""
        return _result_bytes(self.config["parameters"], self.num_seeds)

    def trained_by(self, name: str) -> Supernet:
        """Returns the supernet that a method's searches train: the study's, or one that the method makes of it."""
        return self.methods[name].searcher.supernet or self.supernet

    def looks(self, name: str) -> list[int]:
        """Returns after how many epochs a method's searches are looked at; the last epoch is always among them."""
        epochs, every = self.methods[name].epochs, self.config["look_every"]
        return [*range(every, epochs, every), epochs]


def supernet_methods(
    names: Sequence[str],
    supernet: Supernet,
    dataset: Dataset | TextDataset,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    selection: Mapping[str, Any] | None = None,
    controller_steps: int | None = None,
) -> dict[str, SupernetMethod]:
    """Returns weight-sharing searchers by name, with their published settings but for what is given.

    Args:
      names: Of `jnas.searchers.weight_sharing_names()`; `NAME:SETTING=VALUE` changes an argument of the searcher's
        factory, `NAME:ARGUMENT.FIELD=VALUE` a field of one.
      supernet: What they train.
      dataset: On what.
      epochs: Of all of them; by default as many as each was published with.
      batch_size: Of all of them; by default what each was published with.
      selection: Fields of `jnas.searchers.Selection` to change, of those that compare candidates.
      controller_steps: Steps of ENAS's controller in an epoch.

    Raises:
      ValueError: There is no searcher of a name, a setting is out of range, or no searcher takes it.

    Example:
      >>> dataset = jnas.training.load_dataset("digits")
      >>> supernet = jnas.training.make_supernet(dataset, channels=4, cells=1)
      >>> methods = jnas.supernet_methods(["darts-v1", "enas"], supernet, dataset, epochs=10)
      >>> {name: (method.epochs, method.batch_size) for name, method in methods.items()}
      {'darts-v1': (10, 64), 'enas': (10, 128)}
    """
    made, taken, data = {}, set[str](), search_data(dataset, supernet)
    for name in names:
        spec = read_spec(name)
        entry = weight_sharing_entry(spec.name, supernet.space.name)
        size = entry.batch_size if batch_size is None else batch_size
        takes = inspect.signature(entry.factory).parameters
        taken |= takes.keys()
        settings = dict(entry.settings)
        told: dict[str, Any] = {}
        if selection and "selection" in takes:
            usual: Selection = settings.get("selection", takes["selection"].default)
            settings["selection"] = usual._replace(**selection)
            told |= dict(selection)
        if controller_steps is not None and "controller_steps" in takes:
            settings["controller_steps"] = told["controller_steps"] = controller_steps
        usual_rate = settings.get("sgd", takes["sgd"].default) if "sgd" in takes else None
        settings = read_settings(f"the searcher {spec.name}", entry.factory, spec.settings, settings)
        settings |= _constant_rate(usual_rate, settings, spec.settings)
        told |= {key.removeprefix("selection."): _field(settings, key) for key in spec.settings}
        length = settings.pop("epochs", entry.epochs if epochs is None else epochs)
        usual_reach = takes["reachable"].default if "reachable" in takes else None
        steps = search_steps(data, size)
        with naming(name):
            searcher = make_weight_sharing(spec.name, supernet, steps_per_epoch=steps, epochs=length, **settings)
        made[name] = SupernetMethod(searcher, length, size, told, settings.get("reachable", usual_reach))
    for setting, given in (("selection", selection), ("controller_steps", controller_steps)):
        if given and setting not in taken:
            named = ", ".join(given) if isinstance(given, Mapping) else setting
            raise ValueError(f"{named} is given, and none of {', '.join(made)} takes it")
    return made


def _constant_rate(usual: Sgd | None, settings: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Returns `sgd` with the final learning rate that follows the first, where both are one and the first is changed.

    Texts are published with a constant rate: a smaller one must not rise to it over the search.
    """
    if usual is None or usual.final_learning_rate != usual.learning_rate or "sgd.final_learning_rate" in given:
        return {}
    return (
        {"sgd": settings["sgd"]._replace(final_learning_rate=settings["sgd"].learning_rate)}
        if "sgd.learning_rate" in given
        else {}
    )


def _field(settings: Mapping[str, Any], key: str) -> Any:
    argument, _, field = key.partition(".")
    return getattr(settings[argument], field) if field else settings[argument]


def plan_supernet_study(
    methods: Mapping[str, SupernetMethod], supernet: Supernet, dataset: Dataset | TextDataset, **asked: Any
) -> SupernetPlan:
    """Returns the plan of a study; arguments and errors are those of `supernet_study`, all of which are given."""
    check_settings((*SUPERNET_SETTINGS, *LOOK_SETTINGS), asked)
    data = search_data(dataset, supernet)
    given = SimpleNamespace(**asked)
    table, split = given.table, data.validation_split if given.split is None else given.split
    _check(methods, given.batch_norms)
    with_alpha = (has_alpha(jax.eval_shape(m.searcher.init, jax.random.key(0))) for m in methods.values())
    if given.hessian and not any(with_alpha):
        raise ValueError(f"hessian is asked for, and none of {', '.join(methods)} has architecture parameters")
    if split is None:
        raise ValueError(f"the data set {data.name!r} has no validation split, and the architecture is learned there")
    check_memory(_result_bytes(_num_parameters(supernet), int(given.num_seeds)), int(given.num_seeds))
    data.rows(split)  # an unknown split, and a text that is too short, are said here
    for name, method in methods.items():
        with naming(name):
            check_streams(data, method.batch_size, split)
    if given.test_selection and data.test_split is None:
        raise ValueError(f"test_selection is asked for, and the data set {data.name!r} has no test split")
    table = None if table is None else _fitting(table, supernet)
    targets, columns, references, known = _judges(table, supernet)
    main = judging_column(targets, data.name)
    _check_pool(given.pool, table, columns, main)
    cells = _cells(table, columns, given.one_shot, given.root_seed, main)
    config: dict[str, Any] = {
        "methods": list(methods),
        "dataset": data.name,
        **_data_words(data, split),
        "space": supernet.space.name,
        "form": supernet.form,
        "parameters": _num_parameters(supernet),
        **(given.sizes or {}),
        "epochs": {name: method.epochs for name, method in methods.items()},
        "batch_size": {name: method.batch_size for name, method in methods.items()},
        "settings": {name: dict(method.settings) for name, method in methods.items() if method.settings},
        "num_seeds": int(given.num_seeds),
        "root_seed": int(given.root_seed),
        "look_every": int(given.look_every),
        "hessian": bool(given.hessian),
        "one_shot": len(cells),
        "batch_norms": list(given.batch_norms) if len(cells) else [],
        **table_words(table),
        **metric_words(metric_of_task(supernet.task)),
        "judged_by": [t.label for t in targets],
        "random_std": known,
        "notes": [] if table is None else [*table.header.notes, *_gaps(table, targets, columns)],
        "command": given.command,
        "clock": "measured",
        # What folders of before do not know.
        **made_with({name: method.searcher for name, method in methods.items()}),
        **({"rematerialize": True} if supernet.rematerialize else {}),
        **({"parameters_of": own} if (own := _own_parameters(methods)) else {}),
        **({"pool": int(given.pool)} if given.pool else {}),
        **({"test_selection": True} if given.test_selection else {}),
    }
    return SupernetPlan(dict(methods), supernet, data, table, targets, columns, references, cells, config)


def _data_words(dataset: SearchData, split: str) -> dict[str, Any]:
    """Returns what a configuration says of a data set; a text has tokens where others have images."""
    if not isinstance(dataset, SearchText):
        sizes = [len(dataset.rows(name)) for name in ("train", split)]
        digest = dataset_digest(dataset)
        shape: dict[str, Any] = {"image_shape": list(dataset.image_shape)}
    else:
        text = dataset.text
        sizes = [len(text.tokens(name)) for name in ("train", split)]
        words = {"unit": text.vocabulary.unit, "tokens": text.num_tokens, **dataset.reading.settings._asdict()}
        digest, shape = dataset_digest(text), {"text": words}
    return {
        "dataset_sha256": digest,
        **shape,
        "train_images": sizes[0],
        "split": split,
        "split_images": sizes[1],
    }


def _check(methods: Any, batch_norms: Sequence[Any]) -> None:
    if not isinstance(methods, Mapping) or not all(isinstance(m, SupernetMethod) for m in methods.values()):
        raise TypeError("methods is no mapping of names to SupernetMethod; supernet_methods makes one")
    if not methods:
        raise ValueError("methods is empty, expected at least one")
    if not batch_norms:
        raise ValueError("batch_norms is empty, expected at least one; one_shot=0 leaves the analysis out")
    unknown = [policy for policy in batch_norms if policy not in get_args(BatchNormPolicy)]
    if unknown:
        offer = did_you_mean(unknown[0], get_args(BatchNormPolicy)) or ","
        raise ValueError(
            f"batch_norms has {unknown[0]!r}{offer} expected some of {', '.join(get_args(BatchNormPolicy))}"
        )


def _check_pool(pool: int, table: Table | None, columns: NDArray[np.float32], main: int) -> None:
    """Raises ValueError where a table does not have so many cells to rank at each look."""
    if pool and table is None:
        raise ValueError(f"pool is {pool}, and needs a table to compare with; pass table, or pool=0")
    if table is not None and pool > (known := int(np.isfinite(columns[main]).sum())):
        raise ValueError(f"pool is {pool}, and the table knows {known} cells; expected no more than these")


def _result_bytes(parameters: int, num_seeds: int) -> float:
    """Returns how many bytes the supernets of all seeds take, with their gradients and the optimizer's momentum."""
    return 4.0 * 3 * parameters * num_seeds


def _num_parameters(supernet: Supernet) -> int:
    shapes = jax.eval_shape(supernet.init, jax.random.key(0))[0]
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


def _own_parameters(methods: Mapping[str, SupernetMethod]) -> dict[str, int]:
    """Returns how many parameters the supernets have that methods make for themselves."""
    made = {name: method.searcher.supernet for name, method in methods.items()}
    return {name: _num_parameters(supernet) for name, supernet in made.items() if supernet is not None}


def _fitting(table: Table, supernet: Supernet) -> Table:
    """Returns a table of the supernet's space: the one that there is, or its part."""
    # Which mutation or isomorphism a table carries does not matter here.
    own, wanted, learned = table.space, supernet.space, metric_of_task(supernet.task)
    if table.metric != learned:
        raise ValueError(
            f"the table holds {table.metric.words}, and the supernet is judged by {learned.words}; pass a table of that"
        )
    if own.name != wanted.name or own.num_decisions != wanted.num_decisions:
        if to_cell(wanted) is not None:  # of decisions about the table's cells
            return table_in_space(table, wanted, partly=True)
        if own.name == wanted.name:
            raise ValueError(
                f"the table's cells of {own.name} have {own.num_decisions} decisions, the supernet's "
                f"{wanted.num_decisions}; pass a table of such cells, or make a supernet of cells as the table's"
            )
        raise ValueError(
            f"the table is of the space {own.name!r}, the supernet of {wanted.name!r}; pass a table of the latter, or "
            "make a supernet of the former"
        )
    if nodes_of_space(wanted) is not None:
        outputs = [json.loads((space.part_of or space).config)["output"] for space in (own, wanted)]
        if outputs[0] != outputs[1]:
            raise ValueError(
                f"the table's cells of {own.name} put out the mean of {outputs[0]!r}, the supernet's of {outputs[1]!r} "
                "nodes; pass a table of such cells"
            )
    if own.choices == wanted.choices:
        return table
    if any(len(few) > len(all_) for few, all_ in zip(wanted.choices, own.choices, strict=True)):
        raise ValueError(
            f"the table has a part of the space {own.name!r} alone, and the supernet more; pass a table of more cells, "
            "or make a supernet of cells with as many vertices as those of the table"
        )
    return table_in_space(table, wanted, partly=True)


def _judges(
    table: Table | None, supernet: Supernet
) -> tuple[tuple[Target, ...], NDArray[np.float32], tuple[Reference, ...], list[float | None]]:
    """Returns the columns of a table, its references with random search among them, and deviations over all cells."""
    if table is None:
        return (), np.zeros((0, 0), np.float32), (), []
    targets = judging_targets(table)
    columns = target_columns(table, targets)
    selecting = [selecting_column(targets, i) for i in range(len(targets))]
    sign = table.metric.sign
    scores = sign * columns
    random = tuple(
        Reference(
            "random cell" if draws == 1 else f"random search, {draws} cells",
            sign * np.asarray([expected_random_search(scores[s], scores[i], draws) for i, s in enumerate(selecting)]),
            None,
        )
        for draws in DRAWS
    )
    deviations = [float(np.nanstd(column)) if np.isfinite(column).any() else None for column in columns]
    return targets, columns, (*find_references(table, columns), *random), deviations


def _gaps(table: Table, targets: Sequence[Target], columns: NDArray[np.float32]) -> list[str]:
    """Returns a note for each column that the table does not know of its whole space."""
    whole, known = whole_size(table), np.isfinite(columns).sum(axis=1)
    return [
        f"only {count:,} of {whole:,} architectures have the {target.label} {table.metric.name}: the others are not "
        "judged by it"
        for target, count in zip(targets, known, strict=True)
        if count < whole
    ]


def selecting_column(targets: Sequence[Target], judged: int) -> int:
    """Returns the column by which random search chooses, where another judges: validation, of the same data set."""
    same = [i for i, t in enumerate(targets) if t.dataset == targets[judged].dataset and "val" in t.split]
    return same[0] if same else judged


def _cells(
    table: Table | None, columns: NDArray[np.float32], one_shot: Any, root_seed: int, main: int
) -> NDArray[np.int64]:
    """Returns the rows of the cells to evaluate: of those that the table knows, in a random order that begins alike."""
    if table is None:
        if one_shot:
            raise ValueError("one_shot needs a table to compare with; pass table, or one_shot=0")
        return np.zeros(0, np.int64)
    known = np.flatnonzero(np.isfinite(columns[main]))
    if one_shot == "all":
        return known
    order = np.random.default_rng([root_seed, 0x0E5107]).permutation(known)
    return np.asarray(order[:one_shot], np.int64)
