"""What is installed is all of it, and the public names are there."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import jnas

ROOT = Path(__file__).resolve().parents[1]


def copy_tree(to):
    """Copies what a fresh clone holds, links as links: a build there neither reads nor leaves anything here."""
    listed = None
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True)
    if listed is None or listed.returncode:
        kinds = (".*", "build", "dist", "venv", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT, to, symlinks=True, ignore=shutil.ignore_patterns(*kinds))
        return
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name, follow_symlinks=False)


def _behind_link(path, top):
    return any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(top))


@pytest.mark.slow
def test_a_wheel_holds_every_module(tmp_path):
    tree = tmp_path / "tree"
    copy_tree(tree)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wheel = next(tmp_path.glob("*.whl"))
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("jnas/")}
    wanted = {f"jnas/assets/{path.name}" for path in (tree / "jnas" / "assets").iterdir()} | {"jnas/py.typed"}
    for folder in ("jnas", "spaces", "searchers", "training"):  # those behind the links in `jnas` once
        prefix = "jnas" if folder == "jnas" else f"jnas/{folder}"
        modules = (p for p in (tree / folder).rglob("*.py") if not _behind_link(p, tree / folder))
        wanted |= {f"{prefix}/{path.relative_to(tree / folder)}" for path in modules}
    assert len(wanted) > 200
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
