"""Texts by name: Penn Treebank as published, a text of the user's, and one that every Python has."""

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from jnas.core._registry import unknown_name
from jnas.io._text import counted
from jnas.training.data._text import TextDataset, Unit, Vocabulary, text_dataset

_PathLike = str | os.PathLike[str]
_SPLITS = {"train": ("train",), "validation": ("valid", "validation", "val"), "test": ("test",)}
_TREEBANK = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
_PARTS = 10  # of a file, of which the last two are validation and test
_BLOCKS = 100  # of Python's documentation, whose topics are in the order of the alphabet
_WORDS_AND_SIGNS = r"\w+|[^\w\s]"
_WORDS_KEPT = 3  # how often a word of Python's documentation must stand in the training text
_CHARACTERS = "chars:"


def text_names() -> tuple[str, ...]:
    """Returns the names that `load_text` knows; it also takes a path, and `chars:` before one.

    Example:
      >>> jnas.training.text_names()
      ('python-docs', 'ptb')
    """
    return "python-docs", "ptb"


def needs_no_files(name: _PathLike) -> bool:
    """Returns whether a name is that of the text that every Python has, as words or as characters."""
    return os.fspath(name).lower().removeprefix(_CHARACTERS) == "python-docs"


def is_text(name: _PathLike) -> bool:
    """Returns whether a name of a data set is one that `load_text` takes."""
    text = os.fspath(name).lower()
    plain = text.removeprefix(_CHARACTERS)
    known = plain.partition(":")[0] in text_names() or plain.endswith(".txt")
    return text != plain or known or (_path(name) / "train.txt").is_file()


def load_text(
    name: _PathLike = "python-docs", *, data_dir: _PathLike | None = None, vocabulary: Vocabulary | None = None
) -> TextDataset:
    """Returns a text by name, from files on this machine. Nothing is downloaded, and nothing is written.

    - `python-docs`: the topics of Python's own `help`, which come with it, in small letters, words and signs apart;
      of each ten of a hundred equal parts the ninth is for validation and the tenth for the test, and words that
      stand less than three times in the others are `<unk>`. The name says the version of Python, whose text it is.
    - `ptb`: Penn Treebank in Mikolov's preparation, 10,000 words, `<unk>` among them. `ptb:N` keeps the `N` most
      frequent; the others are `<unk>`.
    - a path that ends in `.txt`: words between blanks, and `<eos>` after each line; of ten equal parts of its lines
      the ninth is for validation and the tenth for the test. Words that the training part lacks are `<unk>`.
    - a folder with `train.txt`, `valid.txt` (or `validation.txt`) and perhaps `test.txt`: the same, with these splits.
    - `chars:` before one of them: characters in the place of words.

    Args:
      name: One of the above.
      data_dir: Of `ptb`: the folder with `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt`, or the folder `ptb` in
        it; by default `$JNAS_TEXT_DIR`, or `~/ptb`.
      vocabulary: One that was built before, such as that of trained weights; by default it is built.

    Raises:
      FileNotFoundError: The files are not there; the message says which to put where.
      ValueError: There is no text of that name, it is empty or too short, or it is no text.
    """
    text = os.fspath(name)
    unit: Unit = "characters" if text.lower().startswith(_CHARACTERS) else "words"
    if unit == "characters":
        text = text[len(_CHARACTERS) :]
    head, _, most = text.lower().partition(":")
    if head == "python-docs" and not most:
        return _python_documentation(unit, vocabulary)
    if head == "ptb":
        return _treebank(data_dir, unit, most, vocabulary)
    path = _path(text)
    if path.is_dir():
        parts = _of_folder(path)
    elif text.lower().endswith(".txt"):
        parts = _divided(_check_divisible(_read_lines(path), path))
    else:
        raise unknown_name("text", text, text_names(), "of your own, give the path of a .txt or of a folder of them")
    lines = {split: _tokens(part, unit) for split, part in parts.items()}
    return _named(lines, f"{path.stem}{_suffix(unit)}", unit, vocabulary)


def _path(name: _PathLike) -> Path:
    return Path(os.path.expanduser(name))  # unlike Path.expanduser it takes the names of users that there are not


def _suffix(unit: Unit) -> str:
    return "-chars" if unit == "characters" else ""


def _named(
    lines: dict[str, list[Sequence[str]]],
    name: str,
    unit: Unit,
    vocabulary: Vocabulary | None,
    most_tokens: int | None = None,
    least_count: int = 1,
) -> TextDataset:
    return text_dataset(
        lines, name=name, unit=unit, vocabulary=vocabulary, most_tokens=most_tokens, least_count=least_count
    )


def _tokens(lines: Sequence[str], unit: Unit, words: str = r"\S+") -> list[Sequence[str]]:
    """Returns the tokens of each line: what blanks part, or another pattern; or every character and the line's end."""
    return [re.findall(words, line) if unit == "words" else f"{line}\n" for line in lines]


def _read_lines(path: Path) -> list[str]:
    """Returns the lines of a text file, without the mark that some editors begin it with.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It has no text, or is no text in UTF-8.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no text at {path}; give the path of a text file")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start}); convert it") from None
    if not any(line.strip() for line in lines):
        raise ValueError(f"{path} is empty, expected lines of text")
    return lines


def _check_divisible(lines: list[str], path: Path) -> list[str]:
    if len(lines) < _PARTS:
        raise ValueError(
            f"{path} has {counted(len(lines), 'line')}, expected at least {_PARTS}, of which the last fifth is for "
            "validation and test; or give a folder with train.txt, valid.txt and test.txt"
        )
    return lines


def _divided(lines: list[str], parts: int = _PARTS) -> dict[str, list[str]]:
    """Returns lines in three splits: of each ten of so many equal parts the ninth for validation, the tenth to test."""
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for part in range(parts):
        split = {_PARTS - 2: "validation", _PARTS - 1: "test"}.get(part % _PARTS, "train")
        splits[split] += lines[len(lines) * part // parts : len(lines) * (part + 1) // parts]
    return splits


def _of_folder(folder: Path) -> dict[str, list[str]]:
    files = {
        split: next((folder / f"{name}.txt" for name in names if (folder / f"{name}.txt").is_file()), None)
        for split, names in _SPLITS.items()
    }
    for split in ("train", "validation"):
        if files[split] is None:
            raise FileNotFoundError(f"{folder} has no {_SPLITS[split][0]}.txt, expected train.txt and valid.txt in it")
    return {split: _read_lines(path) for split, path in files.items() if path is not None}


def _treebank(data_dir: _PathLike | None, unit: Unit, most: str, vocabulary: Vocabulary | None) -> TextDataset:
    most_tokens = None
    if most:
        if not most.isdecimal() or int(most) < 3 or unit == "characters":
            raise ValueError(f"the text is 'ptb:{most}', expected a number of words from 3, as in 'ptb:2000'")
        most_tokens = int(most)
    folder = _path(data_dir or os.environ.get("JNAS_TEXT_DIR") or "~/ptb")
    if not (folder / _TREEBANK["train"]).is_file() and (folder / "ptb").is_dir():
        folder = folder / "ptb"
    missing = [file for file in _TREEBANK.values() if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"there is no Penn Treebank in {folder}, which lacks {', '.join(missing)}: put Mikolov's files there, or "
            "pass the folder that has them as data_dir"
        )
    lines = {split: _tokens(_read_lines(folder / file), unit) for split, file in _TREEBANK.items()}
    name = f"ptb{_suffix(unit)}" + (f"-{most}" if most else "")
    return _named(lines, name, unit, vocabulary, most_tokens)


def _python_documentation(unit: Unit, vocabulary: Vocabulary | None) -> TextDataset:
    try:
        from pydoc_data import topics
    except ImportError:
        raise FileNotFoundError(
            "this Python lacks pydoc_data, the text of its help; install all of Python, or give the path of a .txt"
        ) from None
    told = [line.lower() for topic in sorted(topics.topics) for line in topics.topics[topic].splitlines()]
    parts = _divided([line for line in told if line.strip()], _BLOCKS)
    lines = {split: _tokens(part, unit, _WORDS_AND_SIGNS) for split, part in parts.items()}
    name = f"python-docs-{platform.python_version()}{_suffix(unit)}"
    return _named(lines, name, unit, vocabulary, least_count=_WORDS_KEPT if unit == "words" else 1)
