"""What shells complete, and architectures as JSON. 3 CPU-seconds."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from jnas.commands import _cli
from jnas.commands._completion import SHELLS, completion
from jnas.tables._load import load_table


def parser():
    return _cli._make_parser()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_and_choices():
    asked = (
        "jnas ",
        "jnas st",
        "jnas table qu",
        "jnas table query --js",
        "jnas study --overshoot ",
        "jnas completion z",
    )
    tries = "\n".join(
        f"COMP_WORDS=({line.rstrip()}{' ' + chr(39) * 2 if line.endswith(' ') else ''}); "
        "COMP_CWORD=$((${#COMP_WORDS[@]}-1)); COMPREPLY=(); _jnas; echo ${COMPREPLY[@]}"
        for line in asked
    )
    command = ["bash", "-c", completion("bash", parser()) + tries]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    commands, *rest = ran.stdout.splitlines()
    assert {"study", "table", "completion", "--version"} <= set(commands.split())
    assert rest == ["study", "query", "--json", "discard keep", "zsh"]


def test_every_option_of_every_command_is_in_every_script():
    scripts = {shell: completion(shell, parser()) for shell in SHELLS}
    for option in ("--figures", "--searchers", "--from-scratch", "--curves", "--allow-other-device"):
        assert option in scripts["bash"]
        assert option in scripts["zsh"]
        assert f"-l {option[2:]}" in scripts["fish"]
    assert "bashcompinit" in scripts["zsh"]


def test_json_says_what_the_table_holds(capsys):
    assert _cli.main(["table", "query", "digits", "7", "--json"]) == 0
    told, table = json.loads(capsys.readouterr().out), load_table("digits")
    assert (told["index"], told["architecture"], told["unit"]) == (7, table.text(7), "percent")
    means = [run for run in told["trainings"] if run["seed"] == "mean"]
    found = table.accuracy(np.asarray(table.archs[7]), dataset="digits", split="test", epochs=8, seed="mean")
    assert [run["splits"]["test"]["value"] for run in means] == [pytest.approx(float(found))]
    assert all(run["trained_as"] >= 0 for run in told["trainings"])
