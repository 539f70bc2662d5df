"""Texts as data sets: files, vocabularies, streams and windows, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from jnas.commands._cli import main
from jnas.training.data._text import END, UNKNOWN, Vocabulary, build_vocabulary, streams_of, text_dataset, windows_of
from jnas.training.data._text_sources import is_text, load_text

SHARED = Path(__file__).parents[2] / "shared" / "data"
LINES = [f"a{i % 3} b{i % 2} the" for i in range(20)]


def write(path, lines):
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.skipif(not (SHARED / "ptb").is_dir(), reason="Penn Treebank is not there")
def test_penn_treebank_as_published():
    text = load_text("ptb", data_dir=SHARED)
    assert {split: len(tokens) for split, tokens in text.splits.items()} == {
        "train": 929_589,
        "validation": 73_760,
        "test": 82_430,
    }
    assert text.num_tokens == 10_000
    words = text.vocabulary.tokens
    assert words[:3] == ("aer", "banknote", "berlitz")  # in the order of first appearance
    first = [words[number] for number in np.asarray(text.splits["validation"][:5])]
    assert first == ["consumers", "may", "want", "to", "move"]
    few = build_vocabulary([words[number] for number in np.asarray(text.splits["train"][:50_000])], most_tokens=100)
    assert len(few.tokens) == 100
    assert {END, UNKNOWN, "the", "of"} <= set(few.tokens)


def test_the_text_that_every_python_has():
    text = load_text()
    lengths = {split: len(tokens) for split, tokens in text.splits.items()}
    assert text.name.startswith("python-docs-3.")
    assert text.name == load_text("Python-Docs").name
    assert 0.06 < lengths["test"] / sum(lengths.values()) < 0.14
    assert 0.06 < lengths["validation"] / sum(lengths.values()) < 0.14
    unknown = text.vocabulary.tokens.index(UNKNOWN)
    assert 0 < np.mean(np.asarray(text.splits["validation"]) == unknown) < 0.1
    again = load_text()
    assert again.vocabulary == text.vocabulary
    np.testing.assert_array_equal(again.splits["test"], text.splits["test"])


def test_a_file_and_a_folder_of_ones_own(tmp_path):
    text = load_text(write(tmp_path / "mine.txt", [f"\ufeff{LINES[0]}", *LINES[1:18], "never seen", "a0"]))
    assert text.name == "mine"
    assert text.vocabulary.tokens[:4] == ("a0", "b0", "the", END)
    assert {split: len(tokens) for split, tokens in text.splits.items()} == {"train": 64, "validation": 8, "test": 5}
    words = text.vocabulary.tokens
    assert [words[n] for n in np.asarray(text.splits["test"])] == [UNKNOWN, UNKNOWN, END, "a0", END]
    for name, lines in (("train", LINES), ("valid", LINES[:3])):
        write(tmp_path / f"{name}.txt", lines)
    folder = load_text(tmp_path)
    assert is_text(tmp_path)
    assert set(folder.splits) == {"train", "validation"}
    assert folder.test_split is None
    characters = load_text(f"chars:{tmp_path}")
    assert characters.vocabulary.unit == "characters"
    assert (
        "".join(characters.vocabulary.tokens[n] for n in np.asarray(characters.splits["train"][:10])) == "a0 b0 the\n"
    )
    # A text in the numbers of a vocabulary that was built before.
    known = Vocabulary(("the", END, UNKNOWN))
    assert set(np.asarray(load_text(tmp_path, vocabulary=known).splits["train"]).tolist()) == {0, 1, 2}


def test_few_words_are_the_most_frequent():
    stream = ["b", "a", "a", "c", "c", "c", "d"]
    assert build_vocabulary(stream, most_tokens=4).tokens == ("a", "c", END, UNKNOWN)
    assert build_vocabulary(stream, least_count=3).tokens == ("c", END, UNKNOWN)
    with pytest.raises(ValueError, match="most_tokens is 2, expected more than 2"):
        build_vocabulary(stream, most_tokens=2)


def test_windows_go_through_streams_in_their_order():
    tokens = np.arange(1, 24)
    streams = streams_of(tokens, 2)
    inputs, targets, lengths = map(np.asarray, windows_of(streams, 4))
    assert lengths.tolist() == [4, 4, 2]
    for stream in range(2):
        read = np.concatenate([inputs[w, :n, stream] for w, n in enumerate(lengths)])
        following = np.concatenate([targets[w, :n, stream] for w, n in enumerate(lengths)])
        assert read.tolist() == streams[stream, :-1].tolist()
        assert following.tolist() == streams[stream, 1:].tolist()
    with pytest.raises(ValueError, match="gives 12 streams of 1, expected at least 2 tokens"):
        streams_of(tokens, 12)


def test_what_is_no_text_is_said(tmp_path):
    for name, content, told in (
        ("empty.txt", b"\n \n", "is empty, expected lines of text"),
        ("one.txt", b"only one line\n", "has 1 line, expected at least 10"),
        ("bytes.txt", b"\xff\xfe\x00", "is no text in UTF-8"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=told):
            load_text(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="there is no text at"):
        load_text(tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match=r"lacks ptb\.train\.txt, .*: put Mikolov's files there"):
        load_text("ptb", data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no train\.txt"):
        load_text(tmp_path)
    write(tmp_path / "train.txt", LINES)
    with pytest.raises(FileNotFoundError, match=r"has no valid\.txt, expected train\.txt and valid\.txt"):
        load_text(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no text at ~nobody-here/mine\.txt"):
        load_text("~nobody-here/mine.txt")
    with pytest.raises(ValueError, match="expected a number of words from 3, as in 'ptb:2000'"):
        load_text("ptb:few")
    with pytest.raises(ValueError, match="did you mean 'python-docs'"):
        load_text("python-doc")
    with pytest.raises(TypeError, match=r"a line is 'a b', expected its words, as line\.split\(\) gives them"):
        text_dataset({"train": ["a b"]})
    with pytest.raises(ValueError, match="unit is 'word'; did you mean 'words'"):
        text_dataset({"train": [["a"]]}, unit="word")
    with pytest.raises(ValueError, match="the validation text of 'text' has 1 words, expected at least 2"):
        text_dataset({"train": [["a"]], "validation": [[]]})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--space", "recurrent", "--dataset", "digits", "DARTS_V2"], "is of images, and recurrent learns texts"),
        (["--dataset", "ptb", "5"], "is a text, which nasbench201 does not learn; for it give recurrent"),
        (["--space", "darts", "--nodes", "2", "DARTS_V2"], "nodes is 2, the number of nodes of a cell of recurrent"),
        (["--space", "recurrent", "--nodes", "2", "32"], "the index 32 is not of recurrent, whose indices are 0 to 31"),
        (
            ["--space", "recurrent", "--nodes", "2", "5", "--recipe", "digits-8"],
            "the recipe 'digits-8' trains on images; for a text give one such as 'text-small-8'",
        ),
        (
            ["--space", "recurrent", "--nodes", "2", "5", "--batch-size", "5000"],
            "5000 streams of 19 tokens and a window takes 35 and the next; give the recipe a smaller --batch-size",
        ),
    ],
)
def test_commands_say_what_does_not_fit(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jnas.commands._train.prepare_devices", lambda options, most: None)
    assert main(["train", *words]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
