"""What finished searches would have come to by another end: selected by perturbation, or stopped by the eigenvalue."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jnas import spaces
from jnas.core._devices import place_shared
from jnas.core._folder import config_digest, read_part
from jnas.io._archive import write_archive
from jnas.io._text import counted, csv_text, number_cell
from jnas.pages._html import Html, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import mean_words, named
from jnas.pages._plots import mark
from jnas.searchers._settings import naming, read_settings, read_spec
from jnas.searchers.weight_sharing._loop import compiled_over_seeds, has_alpha
from jnas.searchers.weight_sharing._registry import weight_sharing_entry
from jnas.searchers.weight_sharing._texts import search_steps
from jnas.searchers.weight_sharing.mixtures._early_stopping import EarlyStopping, goes_back_to
from jnas.searchers.weight_sharing.mixtures._projection import (
    Projection,
    check_projection,
    check_selectable,
    select_by_perturbation,
)
from jnas.studies.supernets._plan import SupernetPlan
from jnas.studies.supernets._results import FOLDER, MethodResult, Selected, SupernetStudy, diverged
from jnas.studies.supernets._run import ended_searches
from jnas.studies.supernets._summary import finite_moments, judged_column
from jnas.tables._metric import metric_of

_FILE = "selected.npz"
_NONE = "has architecture parameters, which it decides on"
_ADAPTED = weight_sharing_entry("darts-ada").settings["adapting"].factor
_MEMBERS = {"archs": "i K S E", "values": "f K C S"}


def read_selection(text: str | None) -> Projection | None:
    """Returns what `--select` asks for, None for nothing.

    Raises:
      ValueError: There is no such selection, or it has no such setting.
    """
    if text is None:
        return None
    spec = read_spec(text)
    if spec.name != "perturbation" or spec.level is not None:
        raise ValueError(f"--select is {text!r}, expected 'perturbation', or perturbation:tune_epochs=N:batch_size=N")
    with naming(text):
        return check_projection(Projection(**read_settings("the selection", _changes, spec.settings)))


def _changes(*, tune_epochs: int = 5, batch_size: int = 64, look_batch_size: int = 512) -> None:
    """What can be changed of a selection by perturbation."""


def selectable(plan: SupernetPlan, settings: Projection) -> tuple[str, ...]:
    """Returns the methods of a plan that can be selected anew, before any search: those that have an alpha.

    Raises:
      ValueError: None has, or one has an alpha that such a selection cannot decide, or batches do not fit the data.
    """
    key, names = jax.random.key(0), []
    for name, method in plan.methods.items():
        if has_alpha(jax.eval_shape(method.searcher.init, key)):
            names.append(name)
            check_selectable(method.searcher, plan.supernet)
    if not names:
        raise ValueError(f"--select is given, and none of {', '.join(plan.methods)} {_NONE}")
    if settings.tune_epochs:
        search_steps(plan.dataset, settings.batch_size)
    return tuple(names)


def select_again(plan: SupernetPlan, study: SupernetStudy, folder: Path, settings: Projection) -> Selected:
    """Returns what the finished searches of a folder come to by a selection by perturbation; they stay as they are.

    Raises:
      ValueError: No method has architecture parameters, or a file of searches is damaged.
      OSError: It is not there.
    """
    dataset, names, archs = place_shared(plan.dataset), [], []
    for result in study.methods:
        run, searcher = ended_searches(plan, result.name, folder), plan.methods[result.name].searcher
        if not has_alpha(run.state):
            continue

        def select(dataset: Any, state: Any, searcher: Any = searcher) -> Any:
            chosen = select_by_perturbation(searcher, plan.supernet, state, dataset, plan.split, settings)
            return chosen[1].arch

        program = compiled_over_seeds(select, plan.supernet, plan.num_seeds)
        names.append(result.name)
        archs.append(np.asarray(program(dataset, run.state)).astype(np.int8))
    if not names:
        told = ", ".join(result.name for result in study.methods)
        raise ValueError(f"--select is given, and none of {told} {_NONE}")
    kept = [result for result in study.methods if result.name in names]
    values = [_values(plan, result, found) for result, found in zip(kept, archs, strict=True)]
    return Selected(settings._asdict(), tuple(names), np.stack(archs), np.stack(values))


def _values(plan: SupernetPlan, result: MethodResult, archs: NDArray[np.int8]) -> NDArray[np.float32]:
    """Returns what the table says of architectures `[S, E]`, `[C, S]`; of searches that diverged, nothing."""
    if plan.table is None:
        return np.zeros((0, len(archs)), np.float32)
    index = np.asarray(plan.table.index(archs.astype(np.int32)))
    index = np.where(diverged(result.record)[:, -1], -1, index)
    return np.where(index >= 0, plan.columns[:, np.maximum(index, 0)], np.float32(np.nan))


def save_selected(folder: Path, selected: Selected, config: Mapping[str, Any]) -> None:
    """Writes a selection into a study's folder, in place of what stood there."""
    header = {**_identity(config), "settings": dict(selected.settings), "methods": list(selected.methods)}
    arrays = {name: getattr(selected, name) for name in _MEMBERS}
    write_archive(folder / _FILE, header, arrays, compress=True)


def load_selected(folder: Path, config: Mapping[str, Any], methods: tuple[str, ...]) -> Selected | None:
    """Returns what `save_selected` wrote, or None where there is nothing of these methods.

    Raises:
      ValueError: The file is damaged, or of another study.
    """
    if not (path := folder / _FILE).exists():
        return None
    sizes = {"S": int(config["num_seeds"]), "C": len(config["judged_by"])}
    header, arrays = read_part(path, _identity(config), FOLDER, _MEMBERS, sizes)
    if not set(header["methods"]) <= set(methods):
        return None
    return Selected(header["settings"], tuple(header["methods"]), arrays["archs"], arrays["values"])


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**FOLDER.header, "study": config_digest(config), "holds": "a selection by perturbation"}


def selected_csv(study: SupernetStudy) -> str | None:
    """Returns a row for each method and seed: the architecture of the search and the one selected anew, and values."""
    if study.selected is None:
        return None
    space, rows = spaces.from_config(study.space), []
    for result, (archs, values) in _pairs(study):
        for seed, (own, other) in enumerate(zip(result.record.archs[:, -1], archs, strict=True)):
            texts = [space.to_string(arch.astype(np.int32)) for arch in (own, other)]
            numbers = [v for pair in zip(result.values[:, seed, -1], values[:, seed], strict=True) for v in pair]
            rows.append([result.name, seed, *texts, *(number_cell(value, ".6g") for value in numbers)])
    names = [f"{t.dataset} {t.split} {t.epochs}" for t in study.targets]
    columns = [f"{name}{of}" for name in names for of in ("", ", selected by perturbation")]
    return csv_text(("method", "seed", "arch", "arch_selected", *columns), rows)


def _pairs(study: SupernetStudy) -> list[tuple[MethodResult, tuple[Any, Any]]]:
    assert study.selected is not None
    found = dict(
        zip(study.selected.methods, zip(study.selected.archs, study.selected.values, strict=True), strict=True)
    )
    return [(result, found[result.name]) for result in study.methods if result.name in found]


def other_ends_section(study: SupernetStudy) -> Html | None:
    """Returns what another end would have given; None where nothing is known of one."""
    parts = [part for part in (_selected(study), _stopped(study)) if part is not None]
    return section("By another end", *parts, id="ends") if parts else None


def _selected(study: SupernetStudy) -> Html | None:
    main = judged_column(study)
    if study.selected is None or main < 0:
        return None
    places = {result.name: place for place, result in enumerate(study.methods)}
    rows = [
        _compared(study, places[result.name], result.name, result.values[main, :, -1], values[main])
        for result, (_, values) in _pairs(study)
    ]
    how = study.selected.settings
    told = f"{counted(how['tune_epochs'], 'epoch')}, batches of {how['batch_size']}"
    text = (
        "The finished searches once more, their architectures selected by perturbation (DARTS-PT): one edge after "
        f"another keeps the operation without which the supernet's validation {metric_of(study.config).name} is the "
        "worst, and between two "
        f"decisions the supernet is tuned ({told}). {_judged(study)}"
    )
    head = ["method", "as it ended", "selected by perturbation", "difference", "seeds better, worse"]
    return element("div", element("h3", "Selected by perturbation"), element("p", text), html_table(head, rows))


def _stopped(study: SupernetStudy) -> Html | None:
    """Returns what early stopping by the recorded eigenvalues would have given."""
    main, rule, rows = judged_column(study), EarlyStopping(), []
    for place, result in enumerate(study.methods):
        values, looked = result.record.eigenvalues, result.record.looked
        if main < 0 or not np.isfinite(values).any():
            continue
        back = np.asarray([int(goes_back_to(own, looked, rule)) for own in values])
        own = result.values[main]
        ends = np.where(back >= 0, own[np.arange(len(own)), back], own[:, -1])
        told = ", ".join("–" if at < 0 else str(int(looked[at])) for at in back)
        rows.append([*_compared(study, place, result.name, own[:, -1], ends), told])
    if not rows:
        return None
    text = (
        "What RobustDARTS's rule makes of the recorded eigenvalues (Zela et al., 2020): a search ends where their mean "
        f"over {rule.window} looks is more than {rule.factor} times what it was {rule.delta} looks before, and goes "
        f"back to the middle of that earlier window, not before epoch {rule.start}. Published with a look after "
        "every other epoch. With its adaptive regularization (darts-ada) a search would not end there but go on from "
        f"that epoch, its weights decayed {_ADAPTED:g} times as much: what it would come to, looks at this one cannot "
        f"say. {_judged(study)}"
    )
    head = ["method", "as it ended", "stopped early", "difference", "seeds better, worse", "epochs to go back to"]
    return element("div", element("h3", "Stopped by the eigenvalue"), element("p", text), html_table(head, rows))


def _judged(study: SupernetStudy) -> str:
    return f"Judged by the table ({study.targets[judged_column(study)].label}): means over seeds with deviations."


def _compared(study: SupernetStudy, place: int, name: str, own: Any, other: Any) -> list[Any]:
    own, other = np.asarray(own, np.float64), np.asarray(other, np.float64)
    mean = finite_moments(other - own)[0]
    gain = metric_of(study.config).sign * (other - own)  # positive where the other end is better
    told = "–" if np.isnan(mean) else f"{mean:+.2f}"
    means = [mean_words(*finite_moments(values)) for values in (own, other)]
    return [named(mark(place), name), *means, told, f"{int((gain > 0).sum())}, {int((gain < 0).sum())}"]
