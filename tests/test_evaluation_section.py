"""Where methods stand among all cells, with shared weights and without, beside what was published."""

import re

import numpy as np
import pytest

from jnas import spaces
from jnas.statistics import probability_to_surpass_random
from jnas.studies._compared import ranks_among
from jnas.studies.search._evaluation_section import evaluation_section
from jnas.studies.search._published import NUM_ARCHS, NUM_RUNS, SHARED, UNSHARED
from jnas.studies.search._results import SharedRanking
from jnas.studies.search._summary import compare
from jnas.studies.supernets._yardsticks import Yardstick
from tests.test_report import Page, some_searcher, some_study

NB101 = spaces.nasbench101(max_vertices=4).config
REACHABLE = {"enas": [15.0, 91.0, 93.43, 89.34, 6.0, 93.81, 89.76]}
TRAINED = {"trained_epochs": {"enas": 20}, "batch_size": {"enas": 64}, "channels": 8, "cells": 1}
SHARED_WORDS = {"counts": "epochs", "clock": "measured", "image_shape": [8, 8, 1], "train_images": 1077, **TRAINED}


def ranked(name, ranks):
    """A made-up searcher whose runs have these ranks by the test column, and none by the other."""
    found = some_searcher(name, seeds=len(ranks), capacity=8)
    return found._replace(ranks=np.asarray([[-1] * len(ranks), ranks], np.int32), num_archs=np.asarray([0, 91]))


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\u200b", "")


def both():
    """Black-box searches, and those of shared weights."""
    taus = np.asarray([0.1, 0.2, 0.3, 0.2, 0.2, np.nan])
    ranking = SharedRanking("80 cells of the table", taus, {10: np.full(6, 0.75)})
    alone = some_study([ranked("enas_controller", [9, 4, 30, 12, 7]), ranked("mine", [1, 1, 2, 3, 4])], space=NB101)
    shared = some_study([ranked("enas", [20, 11, -1, 40, 50, 60])], space=NB101, **SHARED_WORDS)
    sticks = (Yardstick("number of parameters", 91, 0.7, 0.63, 0.77),)
    return alone, shared._replace(rankings={"enas": ranking}, reachable=REACHABLE, yardsticks=sticks)


def test_methods_of_both_kinds_stand_beside_published_figures():
    page = Page(evaluation_section(compare(both())[0], ""))
    first, _, last, stick = page.rows(0)[1:]
    assert (stick[0], stick[6], len(stick)) == ("number of parameters", "0.700", len(last))
    assert "4 of 91" in first[4]
    assert f"{probability_to_surpass_random(4, 91, 5):.2f}" in first[5]
    assert (first[1], last[1]) == ("none", "shared")
    assert "11 of 91" in last[4]
    assert f"{probability_to_surpass_random(11, 91, 5):.2f}" in last[5]  # of the runs whose rank is known
    assert "0.200 ± 0.071" in last[6]
    assert last[7] == "0.75 ± 0.00"
    text = text_of(evaluation_section(compare(both())[0], ""))
    for part in (
        "4 of 91 published 4,610† ",
        "0.80 published 0.90 ",
        "11 of 91 published 96,939† ",
        "0.53 published 0.07 ",
    ):
        assert part in text, part
    assert "] published 91.83 ± 0.42† 94.15 % published 92.54† " in text


def test_every_difference_has_a_sentence():
    text = text_of(evaluation_section(compare(both())[0], ""))
    for part in (
        "Study A: after 200 epochs of training; ranks are among 91 cells; there are 5 runs of each method.",
        "1,077 training images of 8x8, not 25,000 of 32x32; supernets trained for 20 epochs, not 200",
        "with 8 channels and 1 module in each of three stacks, not 128 and 3",
        "re-ranked its pool by accuracies on the test images",
        "encoding of B · enas expresses 15 of the 91 cells: at best 93.43 % (rank 6), 89.34 % on average",
        "80 cells of the table",
        "† told from memory of the paper",
    ):
        assert part in text, part


def test_sentences_are_of_the_methods_that_are_there():
    alone, shared = both()
    text = text_of(evaluation_section(compare((alone, shared))[0], ""))
    for part in ("the validation images choose", "the best 1,564; here B · enas does so.", "tau 0.195"):
        assert part in text, part
    assert "second order" not in text
    config = {**alone.config, "split": "test"}
    page = evaluation_section(compare([alone._replace(config=config)])[0], "")
    text = text_of(page)
    assert "here searches on a table looked at the test accuracy that judges them." in text
    assert Page(page).rows(0)[0][-1] == "surpasses random"  # no columns in which nothing stands
    for part in ("0.195", "second order", "does so", "validation images choose", "weights give"):
        assert part not in text, part


def test_another_space_has_no_published_figures_and_no_ranks_no_section():
    (alone, _) = both()
    text = evaluation_section(compare([alone._replace(space=spaces.nasbench201().config)])[0], "")
    assert "4 of 91" in text
    assert "published" not in text_of(text).lower()
    assert evaluation_section(compare([some_study([some_searcher("random_search", capacity=8)])])[0], "") is None


@pytest.mark.parametrize("figures", [*SHARED.values(), *UNSHARED.values()])
def test_published_ranks_and_probabilities_agree(figures):
    if figures.rank is not None:
        found = probability_to_surpass_random(figures.rank, NUM_ARCHS, NUM_RUNS)
        assert float(found) == pytest.approx(figures.surpasses, abs=0.006)


def test_ranks_are_among_what_is_known():
    column = np.asarray([1.0, 3.0, np.nan, 3.0, 2.0], np.float32)
    assert ranks_among(column, np.asarray([3.0, 2.0, 1.0, np.nan])).tolist() == [1, 3, 4, -1]
