"""Drawings of architectures as files: what SVG shows stands in the PDF, at the same place and size."""

import re
import zlib

import numpy as np
import pytest

from jnas import spaces
from jnas.io._svg_file import write_drawing
from jnas.pages._figures import write_figures
from jnas.pages._parts import drawing
from jnas.tables._named_cells import read_arch

CELLS = {
    "nasbench201": "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    "darts": "DARTS_V2",
    "nats_size": "8:24:64:40:16",
}


def space_and_arch(name):
    space = getattr(spaces, name)()
    return space, np.asarray(read_arch(CELLS[name], space) if name == "darts" else space.from_string(CELLS[name]))


def streams(data):
    """What a PDF draws, uncompressed."""
    found = [
        zlib.decompressobj().decompress(part) for part in re.findall(rb"stream\r?\n(\x78.*?)endstream", data, re.S)
    ]
    return b"\n".join(found)


@pytest.mark.parametrize("name", CELLS)
def test_a_drawing_is_the_same_as_svg_and_as_pdf(name, tmp_path):
    space, arch = space_and_arch(name)
    for ending in ("svg", "pdf"):
        spaces.save_drawing(space, arch, tmp_path / f"cell.{ending}")
    svg, pdf = (tmp_path / "cell.svg").read_text(), (tmp_path / "cell.pdf").read_bytes()
    assert svg == space.draw(arch)
    width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())
    box = [float(number) for number in re.search(rb"/MediaBox \[([^\]]+)\]", pdf)[1].split()]
    assert box == pytest.approx([0, 0, 0.75 * width, 0.75 * height], abs=0.01)
    drawn = streams(pdf)
    assert b"/FontFile2" in pdf, "letters as TrueType"
    assert drawn.count(b"BT") == svg.count("<text")
    # A Bézier curve of SVG stands there with its own control points, from below and in points.
    for first in re.findall(r"C([-\d.]+),([-\d.]+)", svg)[:3]:
        x, y = 0.75 * float(first[0]), 0.75 * (height - float(first[1]))
        curves = [tuple(map(float, six.split()[:2])) for six in re.findall(rb"\n((?:[-\d.]+ ){6})c\b", drawn)]
        assert any(abs(a - x) < 0.01 and abs(b - y) < 0.01 for a, b in curves)


def test_what_cannot_be_drawn_is_said(tmp_path):
    space, arch = space_and_arch("nasbench201")
    with pytest.raises(ValueError, match=r"cell.png, expected a name that ends with .svg or .pdf"):
        spaces.save_drawing(space, arch, tmp_path / "cell.png")
    with pytest.raises(ValueError, match=r"the space .* has no drawings"):
        spaces.save_drawing(spaces.categorical((2, 2)), np.zeros(2), tmp_path / "cell.svg")
    with pytest.raises(ValueError, match=r"the element 'ellipse', expected path"):
        write_drawing('<svg viewBox="0 0 1 1"><ellipse/></svg>', tmp_path / "cell.pdf")
    assert not list(tmp_path.iterdir())


def test_the_cells_of_a_page_are_files_of_its_figures_each_once(tmp_path):
    space, arch = space_and_arch("nats_size")
    other = np.zeros_like(arch)

    def page():
        for each in (arch, other, arch):
            drawing(space, each)

    assert write_figures(page, tmp_path) == []
    assert (tmp_path / "cells.csv").read_text().splitlines() == [
        "file,arch",
        f"cell-01,{space.to_string(arch)}",
        f"cell-02,{space.to_string(other)}",
    ]
    assert (tmp_path / "cell-02.svg").read_text() == space.draw(other)
    assert (tmp_path / "cell-01.pdf").read_bytes().startswith(b"%PDF")
