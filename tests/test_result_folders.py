"""Folders of work, of every kind: config.json stands under a seal, and each file says whose it is.

The folders are written without the work: only what stands in them matters here.
"""

import json
import shutil

import numpy as np
import pytest

from jnas.core._folder import begun_chunk, open_result_folder, read_description
from jnas.io._archive import read_archive, write_archive
from jnas.io._seal import SEAL
from jnas.studies import _load
from jnas.studies._engine import judged_by
from jnas.training._recipe import Recipe
from jnas.training.runs import _job_files
from jnas.training.runs._job_files import FOLDER as TRAINING
from jnas.training.runs._job_files import identities, job_chunk_path, load_part, save_job_chunk, save_part
from jnas.training.runs._jobs import load_runs
from jnas.training.runs._run_state import Curves, RunState
from tests._descriptions import read_said, write_said

CONFIG = {"num_seeds": 12, "root_seed": 7, "dataset": "d", "epochs": [4, 8], "judged_by": ["d v, 8 epochs"]}
JUDGED = {"space": "{}", "targets": [["d", "v", 8]], "references": [["optimum", [12.5], None]]}
FOLDERS = {kind.folder.format: kind.folder for kind in _load.KINDS.values()} | {TRAINING.format: TRAINING}
EPOCHS, SPLITS, CHUNK = 3, ("train", "validation"), 2
RECIPE = Recipe(name="r", epochs=EPOCHS)


def begin(out, kind, **changes):
    """Returns a folder of a kind that has begun."""
    settings = dict(CONFIG) if not kind.flat else {"jobs": 4, "jobs_digest": "a", "chunk_size": CHUNK}
    said = {**kind.header, "versions": {"jax": "0.7.0"}}
    said |= {**settings, **changes} if kind.flat else {"config": {**settings, **changes}, **JUDGED}
    return open_result_folder(out, said, kind)[0]


@pytest.fixture(params=FOLDERS)
def kind(request):
    return FOLDERS[request.param]


def test_no_changed_digit_of_config_json_is_taken(tmp_path, kind):
    file = begin(tmp_path, kind) / "config.json"
    whole = file.read_text()
    name = whole.index(SEAL)  # of the seal: a file without it is one of before, and its numbers are right
    digits = [i for i, letter in enumerate(whole) if letter.isdigit() and not name <= i < name + len(SEAL)]
    assert len(digits) > 20
    for place in digits:
        file.write_text(whole[:place] + str((int(whole[place]) + 1) % 10) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"another version|does not fit its entry 'sha256'") as caught:
            read_description(tmp_path, kind)
        assert str(tmp_path) in str(caught.value)


def test_no_lost_entry_of_config_json_is_taken(tmp_path, kind):
    file = begin(tmp_path, kind) / "config.json"
    whole = json.loads(file.read_text())
    inner = [("config", name) for name in whole.get("config", {})] + [("versions", "jax")]
    for names in [(name,) for name in whole if name != SEAL] + inner:
        said = json.loads(json.dumps(whole))
        del (said if len(names) == 1 else said[names[0]])[names[-1]]
        file.write_text(json.dumps(said))
        with pytest.raises(ValueError, match=r"config\.json is damaged|another version"):
            read_description(tmp_path, kind)
    if "targets" in whole:
        file.write_text(json.dumps({**whole, "targets": []}))
        with pytest.raises(ValueError, match=r"config\.json is damaged or was changed.*put it back as it was"):
            read_description(tmp_path, kind)


def test_config_json_of_before_has_no_seal_and_is_read(tmp_path, kind):
    begin(tmp_path, kind)
    said = read_said(tmp_path)
    write_said(tmp_path, said, under_seal=False)
    found = read_description(tmp_path, kind)
    assert found == said
    before = (tmp_path / "config.json").read_bytes()
    begin(tmp_path, kind)  # goes on, and leaves the file as it was
    assert (tmp_path / "config.json").read_bytes() == before


def test_config_json_in_another_layout_is_read(tmp_path, kind):
    file = begin(tmp_path, kind) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()), indent=4, sort_keys=True))
    assert SEAL in read_description(tmp_path, kind)


def test_brackets_without_end_are_a_sentence(tmp_path, kind, capsys):
    begin(tmp_path, kind)
    (tmp_path / "config.json").write_text("[" * 200_000)
    with pytest.raises(
        ValueError, match=r"config\.json is damaged or of another origin \(.*give another folder"
    ) as error:
        read_description(tmp_path, kind)
    assert len(str(error.value)) < 500
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        _load.load_results(tmp_path)
    assert begun_chunk(tmp_path) is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"targets": []}, "a reference has not a value for each of 0 targets"),
        ({"targets": [], "references": []}, "its targets are none, its configuration names others"),
        ({"targets": [["d", "t", 8]]}, "its targets are d t, 8 epochs, its configuration names others"),
        ({"references": [["optimum", [1.0, 2.0], None]]}, "a reference has not a value for each of 1 targets"),
    ],
)
def test_targets_that_do_not_fit_are_damage_also_without_a_seal(changes, told):
    assert judged_by({**JUDGED, "config": CONFIG}).targets[0].label == "d v, 8 epochs"
    with pytest.raises(TypeError, match=told):
        judged_by({**JUDGED, "config": CONFIG, **changes})


# Training runs.


def curves(number=50.0, done=EPOCHS):
    return Curves(*({split: np.full((CHUNK, done), number, np.float32) for split in SPLITS} for _ in range(2)))


def save(folder, chunk, number=50.0, identity=None):
    path = job_chunk_path(folder, chunk)
    whose = identities(folder)(chunk) if identity is None else identity
    save_job_chunk(path, curves(number), np.zeros(CHUNK, bool), None, 1.0, whose)
    return path


def load(folder):
    return load_runs(folder, 2 * CHUNK, CHUNK, RECIPE, SPLITS).accuracy["validation"][:, -1].tolist()


def test_a_chunk_of_other_training_runs_is_not_taken(tmp_path):
    mine, other = begin(tmp_path / "mine", TRAINING), begin(tmp_path / "other", TRAINING, jobs_digest="b")
    first, second = save(mine, 0, 60.0), save(mine, 1, 70.0)
    assert load(mine) == [60, 60, 70, 70]
    whole = first.read_bytes()
    shutil.copy(save(other, 0, 77.0), first)  # of other runs
    with pytest.raises(ValueError, match=r"chunk-00000\.npz is not of these training runs; delete it, and the same"):
        load(mine)
    shutil.copy(second, first)  # of these runs, but others of them
    with pytest.raises(ValueError, match=r"chunk-00000\.npz is not of these training runs"):
        load(mine)
    save(mine, 0, 77.0, identity={})  # of nobody
    with pytest.raises(ValueError, match=r"chunk-00000\.npz is not of these training runs"):
        load(mine)
    first.write_bytes(whole)
    header, arrays = read_archive(first, kind="", remedy="")
    name = "accuracy/validation"
    with np.load(first) as held:  # other numbers under the same header
        np.savez(first, **{**held, name: arrays[name] + 17})
    with pytest.raises(ValueError, match=r"chunk-00000\.npz is not a chunk of training runs.*does not fit its sha256"):
        load(mine)
    write_archive(first, header, arrays)
    assert load(mine) == [60, 60, 70, 70]


def test_training_runs_of_before_say_nothing_and_go_on(tmp_path):
    folder = begin(tmp_path, TRAINING)
    write_said(folder, read_said(folder), under_seal=False)
    save(folder, 0, 60.0, identity={})
    save(folder, 1, 70.0)
    assert read_archive(job_chunk_path(folder, 1), kind="", remedy="").header == {"seconds_per_run": 1.0}
    assert load(folder) == [60, 60, 70, 70]


def test_a_checkpoint_of_other_training_runs_is_not_taken(tmp_path):
    keys = np.arange(CHUNK, dtype=np.uint32)
    state = RunState(keys, np.zeros((CHUNK, 6), np.int32), keys, keys, keys, np.zeros(CHUNK, bool))
    whose = identities(begin(tmp_path, TRAINING))
    path = tmp_path / "part.npz"
    save_part(path, state, curves(done=1), 2.0, whose(0))
    kept, known, seconds = load_part(path, state, SPLITS, EPOCHS, whose(0))
    assert (seconds, known.loss["train"].shape, kept.key.tolist()) == (2.0, (CHUNK, 1), keys.tolist())
    with pytest.raises(ValueError, match=r"is a checkpoint of other runs \(it is not of these training runs\); delete"):
        load_part(path, state, SPLITS, EPOCHS, whose(1))


def test_weights_of_other_training_runs_are_not_taken(tmp_path, monkeypatch):
    class Toy:
        class space:
            num_decisions = 2

        @staticmethod
        def init(key, arch):
            return np.zeros(3, np.float32), np.zeros((), np.float32)

    folder = begin(tmp_path, TRAINING)
    weights = _job_files.Weights(np.ones((CHUNK, 3), np.float32), np.ones(CHUNK, np.float32))
    for chunk in (0, 1):
        path = job_chunk_path(folder, chunk)
        save_job_chunk(path, curves(), np.zeros(CHUNK, bool), weights, 1.0, identities(folder)(chunk))
    found = _job_files.load_chunk_weights(folder, 0, CHUNK, Toy)
    np.testing.assert_array_equal(found.parameters, weights.parameters)
    shutil.copy(job_chunk_path(folder, 1), job_chunk_path(folder, 0))
    with pytest.raises(ValueError, match=r"has not the weights of 2 runs \(it is not of these training runs\)"):
        _job_files.load_chunk_weights(folder, 0, CHUNK, Toy)
