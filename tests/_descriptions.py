"""What config.json of a folder says, changed as a user or another version would have it."""

import json
from pathlib import Path

from jnas.io._seal import SEAL, sealed


def read_said(folder):
    """Returns what config.json says, without its seal."""
    said = json.loads((Path(folder) / "config.json").read_text())
    return {name: value for name, value in said.items() if name != SEAL}


def write_said(folder, said, *, under_seal=True):
    """Writes what config.json is to say, under a seal, or without one as in folders of before."""
    (Path(folder) / "config.json").write_text(json.dumps(sealed(said) if under_seal else said))
