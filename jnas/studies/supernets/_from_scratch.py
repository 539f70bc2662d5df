"""The cells that searches ended with and cells drawn at random, trained from scratch: which, and what they came to.

```
from-scratch/      the folder of the trainings
from_scratch.npz   what they came to, beside what the shared weights say of the same cells
```
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._folder import config_digest, read_part
from jnas.core._vocabulary import Space
from jnas.io._archive import write_archive
from jnas.studies.supernets._plan import SupernetPlan
from jnas.studies.supernets._results import FOLDER, FromScratch, SupernetStudy, diverged
from jnas.studies.supernets._run import under_shared_weights
from jnas.training._recipe import Recipe, recipe_words
from jnas.training.runs._jobs import Jobs, Runs

TRAININGS = "from-scratch"
"""The name of the folder of the trainings, in that of the study."""
_FILE = "from_scratch.npz"
_DRAWS = 0x5C4A7C  # keeps the random cells apart from all else that the root seed gives
_MEMBERS = {
    "archs": "i A E",
    "found": "i K S",
    "random": "i N",
    "accuracies": "f C A R",
    "shared": "f K S A",
    "log_probability": "f K S A",
    "costs": "f 2 A",
}


class ChosenCells(NamedTuple):
    """What is trained: `A` different cells."""

    archs: NDArray[np.int32]  # [A, E]
    found: NDArray[np.int32]  # [K, S], which of them each search of each method ended with; -1 where it diverged
    random: NDArray[np.int32]  # [N], which of them were drawn; the same one may have been drawn again


def choose_cells(study: SupernetStudy, space: Space, num_random: int) -> ChosenCells:
    """Returns the final cells of all searches and some drawn uniformly from the space, each of them once.

    More random cells begin with the fewer. Where the space has an index, they are drawn by it.

    Args:
      study: Whose searches have ended.
      space: Of its supernet.
      num_random: How many cells are drawn.
    """
    final = np.stack([result.record.archs[:, -1] for result in study.methods]).astype(np.int32)
    lost = np.stack([diverged(result.record)[:, -1] for result in study.methods])
    drawn = _draw(space, num_random, int(study.config["root_seed"]))
    everything = np.concatenate([final[~lost], drawn])
    words = np.asarray(jax.jit(jax.vmap(space.fingerprint))(everything))
    _, first, which = np.unique(words, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.argsort(order)[which.reshape(-1)].astype(np.int32)
    found = np.full(lost.shape, -1, np.int32)
    found[~lost] = place[: int((~lost).sum())]
    return ChosenCells(everything[first[order]], found, place[int((~lost).sum()) :])


def _draw(space: Space, number: int, root_seed: int) -> NDArray[np.int32]:
    key = jax.random.fold_in(jax.random.key(root_seed), _DRAWS)

    def one(place: Any) -> Any:
        own = jax.random.fold_in(key, place)
        if space.size is None or space.from_index is None:
            return space.sample(own)
        return space.from_index(jax.random.randint(own, (), 0, space.size, jnp.int32))

    return np.asarray(jax.jit(jax.vmap(one))(jnp.arange(number)), np.int32)


def scratch_jobs(archs: NDArray[np.int32], num_seeds: int) -> Jobs:
    """Returns the trainings: of each architecture with the seeds from 0, all of one after another."""
    return Jobs(np.repeat(archs, num_seeds, axis=0), np.tile(np.arange(num_seeds, dtype=np.int64), len(archs)))


def collect_from_scratch(
    plan: SupernetPlan,
    study: SupernetStudy,
    chosen: ChosenCells,
    runs: Runs,
    recipe: Recipe,
    costs: NDArray[np.float32],
    folder: Path,
    *,
    divided: bool = False,
) -> FromScratch:
    """Returns what the trainings came to, beside what the shared weights in a study's folder say of the same cells.

    Args:
      plan: Of the study.
      study: Its results.
      chosen: What was trained.
      runs: Of `scratch_jobs`.
      recipe: How.
      costs: float32 `[2, A]`, millions of parameters and of multiply-adds of what was trained.
      folder: Of the study, with the weights that the searches ended with.
      divided: Whether the recipe's share of the images of training and validation was learned from.

    Raises:
      ValueError: The file of the weights is damaged.
      OSError: It is not there.
    """
    count, dataset = len(chosen.archs), plan.source
    splits = tuple(split for split in (dataset.validation_split, dataset.test_split) if split is not None)
    seen = [under_shared_weights(plan, result.name, folder, chosen.archs) for result in study.methods]
    return FromScratch(
        recipe=recipe_words(recipe),
        splits=splits,
        judged=splits.index(dataset.test_split) if dataset.test_split is not None else 0,
        methods=tuple(result.name for result in study.methods),
        archs=chosen.archs.astype(np.int8),
        found=chosen.found,
        random=chosen.random,
        accuracies=np.stack([runs.accuracy[split][:, -1].reshape(count, -1) for split in splits]),
        shared=np.stack([accuracies for accuracies, _ in seen]),
        log_probability=np.stack([probable for _, probable in seen]),
        costs=costs,
        divided=divided,
    )


def save_from_scratch(folder: Path, scratch: FromScratch, config: Mapping[str, Any]) -> None:
    """Writes what trainings came to into a study's folder, in place of what stood there."""
    words = {name: getattr(scratch, name) for name in ("recipe", "splits", "judged", "methods", "divided")}
    header = {**_identity(config), **words}
    write_archive(folder / _FILE, header, {name: getattr(scratch, name) for name in _MEMBERS}, compress=True)


def load_from_scratch(folder: Path, config: Mapping[str, Any], methods: Sequence[str]) -> FromScratch | None:
    """Returns what `save_from_scratch` wrote, or None where there is nothing.

    Raises:
      ValueError: The file is damaged, or of another study.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    sizes = {"S": int(config["num_seeds"])}
    header, arrays = read_part(path, _identity(config), FOLDER, _MEMBERS, sizes)
    if header["methods"] != list(methods):
        return None  # of fewer methods than have finished since
    members: dict[str, Any] = {name: arrays[name] for name in _MEMBERS}
    splits, own = tuple(header["splits"]), tuple(header["methods"])
    words = {"recipe": header["recipe"], "splits": splits, "judged": int(header["judged"]), "methods": own}
    return FromScratch(**words, **members, divided=header.get("divided") is True)  # once there was no such word


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**FOLDER.header, "study": config_digest(config), "holds": "trainings from scratch"}
