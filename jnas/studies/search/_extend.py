"""A study that goes on in its folder with more seeds or more searchers: what was run is kept, under the new name.

Every file of runs says of which study it is, by a hash of the configuration. An extension is written down first
(`extending.json`), then the files are relabelled one by one, then config.json is replaced: a process that was killed on
the way, or another one after it, does the rest.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jnas.core._folder import MADE_WITH, config_digest, read_description
from jnas.core._shares import own_share
from jnas.core._versions import check_versions, versions
from jnas.io._archive import read_archive, write_archive
from jnas.io._atomic import replacing
from jnas.io._json_checks import read_json
from jnas.io._lock import alone_in
from jnas.io._seal import SEAL, sealed, unseal
from jnas.io._text import counted, listed
from jnas.studies._engine import Work
from jnas.studies.search._plan import SearchPlan
from jnas.studies.search._program import make_program
from jnas.studies.search._results import FOLDER, finished_path, load_chunk, traces_chunk_path

_JOURNAL = "extending.json"
_GROWS = ("searchers", "num_seeds", "chunk", "fewer_seeds", MADE_WITH, "command", "notes", "table_path", "table_name")


def extended(
    plan: SearchPlan, out: Path, describe: Callable[[SearchPlan], Mapping[str, Any]], say: Callable[[str], None]
) -> SearchPlan:
    """Returns the plan as it is to go on in a folder, after extending the folder's study where it is a smaller one.

    Searchers that the folder has keep their numbers of seeds in a program. Any other folder is left as it is.

    Args:
      plan: With all searchers and seeds that are asked for.
      out: The folder; it need not be there.
      describe: What config.json says of a plan beside its configuration.
      say: Called with a line about the extension.

    Raises:
      ValueError: A file in the folder is damaged, or what made the runs that are there is not what would make the
        others: other versions, or another program. The folder is then as it was.
      OSError: It cannot be written, or another process is in it.
    """
    if not (out / "config.json").is_file() or own_share().processes > 1:
        return plan
    if (out / _JOURNAL).exists():
        with alone_in(out):
            _carry_out(out)
    said = read_description(out, FOLDER)
    before = said["config"]
    if SEAL not in said or not _is_part(before, plan):
        return plan
    grown = {**before, "searchers": list(plan.config["searchers"]), "num_seeds": plan.config["num_seeds"]}
    more = grown["searchers"] != list(before["searchers"]) or _seeds(before) != _seeds_of(plan, before)
    if not (more or said.get("extended")):
        return plan
    widths = {**plan.widths, **{n: int(w) for n, w in before["chunk"].items() if n in plan.widths}}
    plan = plan._replace(widths=widths, config={**plan.config, "chunk": dict(widths)})
    if more:
        _check_goes_on(plan, out, said)
        say(f"note: {out} holds a part of this study, which goes on with {_told(before, plan)}")
        new = {**said, **describe(plan), "config": dict(plan.config), "extended": True}
        new.pop(SEAL)
        with alone_in(out):
            with replacing(out / _JOURNAL, "w") as file:
                file.write(json.dumps(sealed(new), allow_nan=False))
            _carry_out(out)
    return plan


def _seeds(config: Mapping[str, Any]) -> dict[str, int]:
    fewer = config.get("fewer_seeds", {})
    return {name: int(fewer.get(name, config["num_seeds"])) for name in config["searchers"]}


def _seeds_of(plan: SearchPlan, before: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(plan.seeds[name]) for name in before["searchers"]}


def _is_part(before: Mapping[str, Any], plan: SearchPlan) -> bool:
    """Returns whether a study is the planned one with fewer seeds or searchers, made in the same way."""
    now = json.loads(json.dumps(dict(plan.config)))
    names = {*before, *now} - {*_GROWS}
    if any(before.get(name) != now.get(name) for name in names) or not {*before["searchers"]} <= {*plan.seeds}:
        return False
    there, here = before.get(MADE_WITH, {}), now.get(MADE_WITH, {})
    if any(there.get(name, here.get(name)) != here.get(name) for name in before["searchers"]):
        return False
    if "chunk" not in before or set(before["chunk"]) != set(before["searchers"]):
        return False
    return all(plan.seeds[name] >= count for name, count in _seeds(before).items())


def _check_goes_on(plan: SearchPlan, folder: Path, said: Mapping[str, Any]) -> None:
    """Raises ValueError where the runs that a folder holds cannot stand beside those that the plan would make.

    The study would say so too, but with its files already relabelled and split: its results could be read no more.
    """
    now = versions()
    check_versions(said["versions"], now)
    work = Work(plan, folder, said["versions"], now, left=())
    for name in said["config"]["searchers"]:
        whole = finished_path(folder, name)
        paths = [path for path in (whole, *_chunk_paths(whole)) if path.exists()]
        there = work.as_read(whole.name, {"program": make_program(plan, name).digest}) if paths else {}
        for path in paths:
            load_chunk(path, there)


def _told(before: Mapping[str, Any], plan: SearchPlan) -> str:
    new = [name for name in plan.seeds if name not in before["searchers"]]
    seeds = max(plan.seeds[name] - count for name, count in _seeds(before).items())
    told = [f"{counted(seeds, 'seed')} more"] if seeds else []
    return listed([*told, *([listed(new)] if new else [])])


def _carry_out(folder: Path) -> None:
    """Relabels the files of a folder as its journal says, and makes the journal its config.json."""
    journal = folder / _JOURNAL
    try:
        new = read_json(journal)
        unseal(new)
    except ValueError:
        raise ValueError(f"{journal} is damaged; delete it, and give the command again") from None
    before = read_description(folder, FOLDER)["config"]
    old_digest, digest = config_digest(before), config_digest(new["config"])
    seeds, chunks, was = _seeds(new["config"]), new["config"]["chunk"], _seeds(before)
    for name in before["searchers"]:
        whole = finished_path(folder, name)
        for path in _chunk_paths(whole):
            header, arrays = _read(path)
            if header.get("study") == old_digest:
                write_archive(path, {**header, "study": digest}, arrays, compress=True)
        if not whole.exists():
            continue
        header, arrays = _read(whole)
        if header.get("study") != old_digest:
            continue
        header = {**header, "study": digest}
        if seeds[name] == was[name]:
            write_archive(whole, header, arrays, compress=True)
        else:
            _split(folder, name, header, arrays, int(chunks[name]), was[name])
            whole.unlink()
    with replacing(folder / "config.json", "w") as file:
        file.write(json.dumps(new, indent=1, allow_nan=False) + "\n")
    journal.unlink()


def _split(
    folder: Path, name: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], width: int, seeds: int
) -> None:
    """Writes the runs of a searcher as the chunks of which they were made, but for the last where it was cut."""
    kept = {n: a for n, a in arrays.items() if n not in ("ranks", "num_archs")}  # which are taken over all runs
    count = seeds // width
    for number in range(count):
        rows = slice(number * width, (number + 1) * width)
        own = {n: a[:, rows] if n == "values" else a[rows] for n, a in kept.items()}
        times = {
            "compile_seconds": float(header["compile_seconds"]) if number == 0 else 0.0,
            "run_seconds": float(header["run_seconds"]) / count,
        }
        whose = {**header, **times, "chunk": number}
        write_archive(traces_chunk_path(folder, name, number), whose, own, compress=True)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    found = read_archive(path, kind=FOLDER.files, remedy=FOLDER.remedy)
    return dict(found[0]), dict(found[1])


def _chunk_paths(whole: Path) -> list[Path]:
    return sorted(whole.parent.glob(f"{_escaped(whole.name.removesuffix('.npz'))}.part-*.npz"))


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
