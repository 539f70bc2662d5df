"""Drawings of architectures: what stands in them, and that nothing overlaps."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from jnas import spaces

SPACE = spaces.nasbench201()
LABELS = {1: "skip", 2: "1×1 conv", 3: "3×3 conv", 4: "3×3 avg pool"}
RNG = np.random.default_rng(0)
CELLS = [[choice] * 6 for choice in range(5)] + RNG.integers(0, 5, (40, 6)).tolist()
WIDEST = [4] * 6


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f".//{{http://www.w3.org/2000/svg}}{tag}")


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    """Returns (left, top, right, bottom) of labels and nodes."""
    found = []
    for rect in elements(svg, "rect"):
        x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    for circle in elements(svg, "circle"):
        x, y, r = (float(circle.get(name)) for name in ("cx", "cy", "r"))
        found.append((x - r, y - r, x + r, y + r))
    return found


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_every_operation_is_labelled_and_the_rest_is_not(cell):
    texts = [text.text for text in elements(SPACE.draw(cell), "text")]
    expected = ["in", "1", "2", "out", *(LABELS[choice] for choice in cell if choice)]
    assert sorted(texts) == sorted(expected)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_labels_and_nodes_lie_apart_within_the_picture(cell):
    svg = SPACE.draw(cell)
    _, _, width, height = map(float, ElementTree.fromstring(svg).get("viewBox").split())
    places = boxes(svg)
    for left, top, right, bottom in places:
        assert 4 <= left < right <= width - 4
        assert 4 <= top < bottom <= height - 4
    for one, other in itertools.combinations(places, 2):
        apart = max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])
        assert apart > 8


def test_labels_have_room_for_their_text():
    svg = SPACE.draw(WIDEST)
    for rect in elements(svg, "rect"):
        # 12 characters of bold 13-pixel Helvetica measure 84 pixels; wider fallbacks take up to a tenth more
        assert float(rect.get("width")) > 93


def points(path: str) -> np.ndarray:
    """Returns the numbers of a path's data as points `[n, 2]`."""
    for command in "MCLZ":
        path = path.replace(command, " ")
    return np.asarray([[float(x) for x in point.split(",")] for point in path.split()])


def curves(svg: str) -> list[np.ndarray]:
    """Returns points along each line `[400, 2]`."""
    t = np.linspace(0, 1, 400)[:, None]
    lines = [points(path.get("d")) for path in elements(svg, "path") if path.get("fill") == "none"]
    return [
        (1 - t) ** 3 * start + 3 * t * (1 - t) ** 2 * first + 3 * t**2 * (1 - t) * second + t**3 * end
        for start, first, second, end in lines
    ]


def test_lines_clear_the_labels_and_nodes_of_others():
    svg = SPACE.draw(WIDEST)
    assert len(curves(svg)) == 6
    for curve in curves(svg):
        touched = 0
        for left, top, right, bottom in boxes(svg):
            inside = (left < curve[:, 0]) & (curve[:, 0] < right) & (top < curve[:, 1]) & (curve[:, 1] < bottom)
            touched += np.any(inside)
        assert touched <= 3  # the line's own label and the two nodes that it joins


def test_lines_do_not_cross():
    svg = SPACE.draw(WIDEST)
    centers = np.asarray([[float(circle.get("cx")), float(circle.get("cy"))] for circle in elements(svg, "circle")])
    radius = float(elements(svg, "circle")[0].get("r"))
    free = []  # the parts away from nodes, where lines meet
    for curve in curves(svg):
        distance = np.linalg.norm(curve[:, None] - centers[None], axis=-1).min(axis=1)
        free.append(curve[distance > radius + 12])
    for one, other in itertools.combinations(free, 2):
        assert np.linalg.norm(one[:, None] - other[None], axis=-1).min() > 8


def test_operations_differ_in_colour_and_in_black_and_white():
    looks = set()
    for choice in range(1, 5):
        line = next(path for path in elements(SPACE.draw([choice] * 6), "path") if path.get("fill") == "none")
        looks.add((line.get("stroke-width"), line.get("stroke-dasharray")))
        assert line.get("stroke") in SPACE.draw([choice, 0, 0, 0, 0, 0])
    assert len(looks) == 4
    strokes = {elements(SPACE.draw([choice] * 6), "rect")[0].get("stroke") for choice in range(1, 5)}
    assert len(strokes) == 4


def test_arrowheads_touch_the_right_nodes():
    svg = SPACE.draw([3] * 6)
    centers = [np.asarray([float(c.get("cx")), float(c.get("cy"))]) for c in elements(svg, "circle")]
    radius = float(elements(svg, "circle")[0].get("r"))
    tips = [points(path.get("d"))[0] for path in elements(svg, "path") if path.get("fill") != "none"]
    reached = [int(np.argmin([np.linalg.norm(tip - center) for center in centers])) for tip in tips]
    assert sorted(reached) == [1, 2, 2, 3, 3, 3]
    for tip, node in zip(tips, reached, strict=True):
        assert 0 < np.linalg.norm(tip - centers[node]) - radius < 6


@pytest.mark.parametrize(("space", "arch"), [(SPACE, [1, 2, 3, 4, 0, 3]), (spaces.nats_size(), [0, 1, 7, 3, 2])])
def test_drawings_are_self_contained(space, arch):
    svg = space.draw(arch)
    for outside in ("href", "url(", "<style", "<script", " id=", "<image"):  # ids would clash within one page
        assert outside not in svg
    assert ElementTree.fromstring(svg).get("role") == "img"


def test_size_drawing_has_bars_in_proportion():
    svg = spaces.nats_size().draw([0, 1, 7, 3, 2])
    heights = [float(rect.get("height")) for rect in elements(svg, "rect")]
    assert np.asarray(heights).tolist() == [20.0 * count for count in (1, 2, 8, 4, 3)]
    assert [text.text for text in elements(svg, "text")][::2] == ["8", "16", "64", "32", "24"]
