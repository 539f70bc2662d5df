"""The one machinery of studies: what is settled runs part by part in a folder, from which it goes on when stopped.

A kind of study is a row, `Kind`, and what is its own: how a part runs, what its file holds, what the outputs say. The
folder of every kind is the same.

```
config.json      what the study is: its configuration, the versions that began it
devices.json     on what other kinds of devices parts of it ran, if any
PARTS/NAME.npz   a part that is finished; NAME.MORE.npz is what a part keeps while it runs
summary.csv ...  numbers
report.html      a page, if the kind has one
```
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnas.core._devices_used import is_elsewhere, note_device, noted_devices, versions_with_devices
from jnas.core._folder import (
    MADE_WITH,
    FolderKind,
    StudyConfig,
    begun_in,
    config_digest,
    open_result_folder,
    read_description,
)
from jnas.core._program_memory import check_program_fits, program_memory_words
from jnas.core._shares import Share, making_own_share, own_share, remove_left_locks, wait_for_shares
from jnas.core._versions import OF_OTHER_PROGRAMS, SAME, check_versions, versions
from jnas.io._atomic import replacing
from jnas.io._progress import ProgressBar, duration, progress_bar
from jnas.io._seal import SEAL
from jnas.io._text import listed
from jnas.studies._memory import memory_words
from jnas.studies._pieces import Pieces, num_pieces, own_pieces, owners_left
from jnas.tables._targets import Reference, Target

Log = Callable[[str], None]
REPORT_SECONDS = 4.0  # for the outputs, on one core


class Estimate(NamedTuple):
    """What is left of a study."""

    seconds: Mapping[Any, float]  # estimated, of each part that is left
    total: float  # of all, with compiling and the report
    text: str  # the sentence that says so
    prepared: Any = None  # what was made on the way to know it


class Work(NamedTuple):
    """A study that is being carried out, as its parts see it."""

    plan: Any
    folder: Path | None  # None: nothing is kept
    begun_with: Mapping[str, str]  # versions
    now: Mapping[str, str]  # versions
    left: Sequence[Any]  # parts that the folder lacks
    estimate: Estimate = Estimate({}, 0.0, "")
    bar: ProgressBar = ProgressBar(None, 1.0)
    runner: ThreadPoolExecutor | None = None
    own: Any = None  # what `Kind.begin` gave
    say: Log = lambda line: None
    identified: bool = True  # every file says whose it is; not where the folder was begun before all of them did
    making: Sequence[Any] = ()  # parts of which this process makes something: those left, or its share of them
    share: Share = Share()

    def as_read(self, file_name: str, identity: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns what a file that is there must say: nothing of its program, where that is written otherwise."""
        noted = self.folder is not None and file_name in noted_devices(self.folder)
        elsewhere = noted or is_elsewhere(self.begun_with, self.now)
        otherwise = elsewhere or self.begun_with.get("jnas") in OF_OTHER_PROGRAMS
        return {name: value for name, value in identity.items() if name != "program" or not otherwise}

    def check_memory(self, name: str, *compiled: Any) -> None:
        """Says how much memory programs take that are about to run; MemoryError where a device has less."""
        words = program_memory_words(max(map(check_program_fits, compiled)))
        if words:
            self.bar.aside(self.say, f"{name}: {words}")

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns what a function gives that runs in a thread, so that the bar's clock goes on and Ctrl-C is heard."""
        assert self.runner is not None
        return self.bar.wait(self.runner.submit(function, *arguments))


@contextlib.contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Gives a pool of threads that is left at once on an error or Ctrl-C."""
    pool = ThreadPoolExecutor(max_workers=max(1, min(os.cpu_count() or 1, count)))
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _nothing_more(plan: Any) -> dict[str, Any]:
    return {}


class Kind(NamedTuple):
    """A kind of study. A plan has a `config`, what config.json holds, on which all results depend."""

    folder: FolderKind
    results: type  # of what the study comes to
    headline: Callable[[Any], str]  # of a plan: what it does, in a line
    parts: Callable[[Mapping[str, Any]], Sequence[Any]]  # of a configuration: its parts, in order
    file_name: Callable[[Any], str]  # of a part's file
    identity: Callable[[Work | None, Any], Mapping[str, Any]]  # what a part's file says of itself; None: only read
    estimate: Callable[[Work], Estimate]
    run: Callable[[Work, Any, Mapping[str, Any]], Any]  # a part and its identity to its result
    save: Callable[[Path, Any, Mapping[str, Any]], None]  # a result under an identity
    load: Callable[[Path, Any, Mapping[str, Any], Mapping[str, Any]], Any]  # a part, its identity, the configuration
    collect: Callable[[Mapping[str, Any], Mapping[Any, Any], Path | None, Any], Any]
    """What config.json says, results by part, the folder and the plan (None where a folder is read) to all results."""
    outputs: Mapping[str, Callable[[Any], str | None]]  # files by name, of all results; None: there is no such file
    describe: Callable[[Any], Mapping[str, Any]] = _nothing_more  # what more config.json says of a plan
    notes: Callable[[Any], Sequence[str]] = lambda plan: ()  # lines on a plan, after the headline
    same: Sequence[str] = SAME  # versions that must be as they were where work is left
    goes_on_from: Sequence[str] = ()  # versions of jnas that need not: each part is sound by itself
    opened: Callable[[Any, Path], None] = lambda plan, folder: None  # what else is written at the start
    begin: Callable[[Work], contextlib.AbstractContextManager[Any]] = lambda work: contextlib.nullcontext()
    memory: Callable[[Any], float] = lambda plan: 0.0  # bytes that all results of a plan take
    as_search: Callable[[Any], Any] | None = None  # all results as a study of searchers, to compare them with others
    pieces: Pieces | None = None  # None: processes share whole parts
    together: bool = False  # processes make each part step by step together, and the first one keeps it

    def path(self, folder: Path, part: Any) -> Path:
        """Returns where the result of a part stands."""
        return folder / self.folder.parts / self.file_name(part)


def carry_out(kind: Kind, plan: Any, out: str | os.PathLike[str] | None, log: Log | None) -> Any:
    """Returns the results of a study: of the parts that a folder holds, and of those that it lacks.

    Where there are several processes (`jax.distributed`), they share a folder: each makes its share of the parts, the
    first one writes the outputs, and all return the same. Without a folder each makes all.

    Args:
      kind: What is asked.
      plan: What to do.
      out: The folder for results; a study that was stopped there goes on, to the same results. None to keep nothing.
      log: Called with lines about what is to be done, the estimate among them.

    Raises:
      ValueError: The folder holds another study, or something else, or was begun with other versions; or another
        process ended before it had made its share.
      OSError: The folder cannot be written, or another process is in it.
    """
    now, config, say = versions(), plan.config, log or (lambda line: None)
    said: Mapping[str, Any] = {**kind.folder.header, "config": dict(config), "versions": now, **kind.describe(plan)}
    parts, share = kind.parts(config), Share() if out is None else own_share()
    with contextlib.ExitStack() as stack:
        folder, todo = None, {part: [0] for part in parts}
        if out is not None:
            folder, said = stack.enter_context(_opened(kind, plan, out, said, parts, share))
            todo = todo if kind.together else own_pieces(kind, plan, parts, folder, share)
        for line in (kind.headline(plan), *(f"note: {note}" for note in kind.notes(plan))):
            say(line)
        left = [part for part in parts if folder is None or not kind.path(folder, part).exists()]
        if left:
            goes_on = said["versions"].get("jnas") in kind.goes_on_from
            check_versions(said["versions"], now, [name for name in kind.same if name != "jnas" or not goes_on])
        identified = folder is None or SEAL in said
        work = Work(plan, folder, said["versions"], now, left, say=say, identified=identified, share=share)
        work = work._replace(making=tuple(part for part in left if part in todo))
        estimate = kind.estimate(work)
        told = f"; {share.processes} processes share it" if share.processes > 1 else ""
        say(f"{estimate.text}{memory_words(kind.memory(plan))}{told}" if left else "all of it was done before")
        bar = stack.enter_context(progress_bar(estimate.total / share.processes))
        work = work._replace(estimate=estimate, bar=bar, runner=stack.enter_context(threads(1)))
        work = work._replace(own=stack.enter_context(kind.begin(work)))
        if folder is not None and share.processes > 1 and not kind.together:
            work = _after_sharing(kind, work, parts, todo)
        found = {part: _load_or_run(kind, work, part) for part in parts}
        ran_with = versions_with_devices(said["versions"], folder)
        # What a folder of before does not say is as it is here, but for the arguments with which its rows were made.
        unsaid = {name: value for name, value in config.items() if name != MADE_WITH}
        said = {**said, "config": StudyConfig({**unsaid, **said["config"]}), "versions": ran_with}
        results = kind.collect(said, found, folder, plan)
        if folder is not None and share.process == 0:
            bar.say("writing the report")
            write_outputs(kind, results, folder)
    return results


@contextlib.contextmanager
def _opened(
    kind: Kind,
    plan: Any,
    out: str | os.PathLike[str],
    said: Mapping[str, Any],
    parts: Sequence[Any],
    share: Share,
) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Gives the folder, in which the first process is alone but for the shares of the others, and what it says."""
    with contextlib.ExitStack() as stack:
        if share.process == 0:
            names = [kind.file_name(part) for part in parts]
            folder, begun = stack.enter_context(begun_in(out, said, kind.folder, tuple(kind.outputs), names))
            kind.opened(plan, folder)
        else:
            folder, begun = open_result_folder(out, said, kind.folder)
        if share.processes > 1:
            stack.enter_context(making_own_share(folder))
        yield folder, begun
        if share.process == 0:
            remove_left_locks(folder)


def _after_sharing(kind: Kind, work: Work, parts: Sequence[Any], todo: Mapping[Any, Sequence[int]]) -> Work:
    """Returns the work after this process has made its share and the others theirs: nothing is left but to join it."""
    folder, plan, share = work.folder, work.plan, work.share
    assert folder is not None
    for part in work.making:
        if num_pieces(kind, plan, part, share) == 1:
            _load_or_run(kind, work, part)
            continue
        identity = _identity(kind, plan.config, work, part)
        for piece in todo[part]:
            _note_device(kind, work, part)
            kind.pieces.run(work, part, identity, piece)  # type: ignore[union-attr]
    work.bar.say("waiting for the other processes")
    total = sum(num_pieces(kind, plan, part, share) for part in parts)
    wait_for_shares(folder, lambda: owners_left(kind, plan, parts, folder, share), total, "pieces")
    return work._replace(left=[part for part in parts if not kind.path(folder, part).exists()])


def _load_or_run(kind: Kind, work: Work, part: Any) -> Any:
    identity = _identity(kind, work.plan.config, work, part)
    name = kind.file_name(part)
    if work.folder is not None and part not in work.left:
        return kind.load(kind.path(work.folder, part), part, work.as_read(name, identity), work.plan.config)
    _note_device(kind, work, part)
    result = kind.run(work, part, identity)
    if work.folder is not None and (work.share.process == 0 or not kind.together):
        kind.save(kind.path(work.folder, part), result, identity)
    return result


def _note_device(kind: Kind, work: Work, part: Any) -> None:
    if work.folder is not None:
        note_device(work.folder, kind.file_name(part), work.begun_with, work.now, work.share.process)


def _identity(kind: Kind, config: Mapping[str, Any], work: Work | None, part: Any) -> dict[str, Any]:
    return {**kind.folder.header, "study": config_digest(config), **kind.identity(work, part)}


def write_outputs(kind: Kind, results: Any, folder: Path) -> None:
    """Writes the files of numbers and the page.

    Raises:
      OSError: One cannot be written.
    """
    for name, make in kind.outputs.items():
        text = make(results)
        if text is not None:
            with replacing(folder / name, "w") as file:
                file.write(text)


def load_folder(kind: Kind, folder: str | os.PathLike[str]) -> tuple[Any, list[Any]]:
    """Returns the results in a folder, and the parts that have not finished.

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: It is of another kind, or a file in it is damaged.
    """
    folder = Path(folder)
    said = read_description(folder, kind.folder)
    config = said["config"]
    with _damage(folder):
        parts = list(kind.parts(config))
        names = [kind.file_name(part) for part in parts]
    there = [part for part, name in zip(parts, names, strict=True) if (folder / kind.folder.parts / name).exists()]
    found = {p: kind.load(kind.path(folder, p), p, _identity(kind, config, None, p), config) for p in there}
    said = {**said, "versions": versions_with_devices(said["versions"], folder)}
    with _damage(folder):
        return kind.collect(said, found, folder, None), [part for part in parts if part not in found]


@contextlib.contextmanager
def _damage(folder: Path) -> Any:
    """Says of a config.json that lacks something that it is damaged."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        told = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{folder / 'config.json'} is damaged ({told}); give another folder") from None


# What several kinds say.


def estimate_text(total: float, unknown: Sequence[str]) -> str:
    """Returns the sentence that says how long what is left will take.

    Args:
      total: Seconds.
      unknown: Names of whatever it is not known of how fast they will be.
    """
    guessed = f", not knowing how fast {', '.join(unknown)} will be" if unknown else ""
    return f"estimate: about {duration(total)}{guessed} (less where the programs have been compiled before)"


class Judged(NamedTuple):
    """By what a table judges what was found."""

    space: str  # `Space.config`
    targets: tuple[Target, ...]
    references: tuple[Reference, ...]

    def describe(self) -> dict[str, Any]:
        """Returns the same as config.json says it."""
        rows = [[r.name, [None if np.isnan(v) else float(v) for v in r.values], r.arch] for r in self.references]
        return {"space": self.space, "targets": [list(t) for t in self.targets], "references": rows}


def judged_by(said: Mapping[str, Any]) -> Judged:
    """Returns by what a study was judged, from what config.json says.

    Raises:
      KeyError, TypeError: It lacks something, or what it says does not fit together.
    """
    try:
        targets = tuple(Target(str(d), str(s), int(e)) for d, s, e in said["targets"])
        references = tuple(
            Reference(str(name), np.asarray([np.nan if v is None else v for v in values], np.float64), arch)
            for name, values, arch in said["references"]
        )
    except ValueError as error:
        raise TypeError(str(error)) from None
    if any(len(reference.values) != len(targets) for reference in references):
        raise TypeError(f"a reference has not a value for each of {len(targets)} targets")
    if said["config"].get("judged_by", labels := [t.label for t in targets]) != labels:
        raise TypeError(f"its targets are {listed(labels) if labels else 'none'}, its configuration names others")
    return Judged(str(said["space"]), targets, references)
