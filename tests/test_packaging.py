"""What is installed is all of it, and the public names are there."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import jnas

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_a_wheel_holds_every_module(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    stale = (ROOT / "build").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if stale:
        pytest.skip("a build folder was there before: what the wheel holds may come from it")
    wheel = next(tmp_path.glob("*.whl"))
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("jnas/")}
    wanted = {f"jnas/{path.relative_to(ROOT / 'jnas')}" for path in (ROOT / "jnas").glob("*.py")}
    wanted |= {f"jnas/assets/{path.name}" for path in (ROOT / "jnas" / "assets").iterdir()} | {"jnas/py.typed"}
    for folder in ("spaces", "searchers", "training"):
        wanted |= {f"jnas/{folder}/{path.name}" for path in (ROOT / folder).glob("*.py")}
    assert held == wanted


def test_public_names_resolve():
    for name in jnas.__all__:
        assert getattr(jnas, name) is not None
    assert set(jnas.__all__) <= set(dir(jnas))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jnas.nothing


def test_links_resolve_to_the_folders_at_the_root():
    for folder in ("spaces", "searchers", "training"):
        assert (ROOT / "jnas" / folder).resolve() == ROOT / folder
