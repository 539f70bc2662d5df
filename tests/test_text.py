"""Text for terminals and messages."""

from jnas.io._text import aligned, short


def test_columns_stand_under_one_another():
    rows = [["", "mean", "note"], ["random_search", "9.5", "x"], ["rs", "10.25", ""]]
    assert aligned(rows, "lrl") == ["                mean  note", "random_search    9.5  x", "rs             10.25"]


def test_long_text_is_cut():
    assert short("abcde", 5) == "abcde"
    assert short("abcdef", 5) == "abcde..."
