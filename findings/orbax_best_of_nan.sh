#!/usr/bin/env bash
# One NaN metric makes Orbax delete the best checkpoint and call the NaN one the best.
#
# Expected: the docstring of `CheckpointManagerOptions` (orbax-checkpoint 0.12.8) says of `best_fn` with `max_to_keep`
# that "the retained checkpoints will be kept based on their quality, as measured by this function": a step whose
# accuracy is NaN is no reason to delete one of .9.
# Happens: steps are sorted by the metric, and a NaN compares false with everything, so the order is whatever the sort
# leaves. With two to keep, accuracies .6 .9 .8 NaN .7 .75 leave .7 and .75 on the disk; .6 .9 .8 NaN leave .9 and the
# NaN, and `best_step()` is the NaN. The same with `max_to_keep` and with `preservation_policy=BestN`. Nothing is
# raised.
# Bitten: whoever trains with a rate that may diverge, or whose metric is a mean over no examples, and keeps the best
# few.
# Way round: let `best_fn` return minus infinity (infinity where lower is better) for what is not finite.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq --disable-pip-version-check orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu FOLDER="$folder" "$folder/venv/bin/python" - <<'PYTHON' 2>"$folder/log" || { cat "$folder/log"; exit 1; }
import math
import os
import tempfile
from importlib.metadata import version

import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import BestN

print("orbax-checkpoint", version("orbax-checkpoint"))
nan = math.nan


def kept(accuracies, policy, metric=lambda metrics: metrics["accuracy"]):
    limit = {"preservation_policy": BestN(get_metric_fn=metric, n=2)} if policy else {"max_to_keep": 2}
    options = ocp.CheckpointManagerOptions(best_fn=metric, best_mode="max", enable_async_checkpointing=False, **limit)
    with ocp.CheckpointManager(tempfile.mkdtemp(dir=os.environ["FOLDER"]), options=options) as manager:
        for step, accuracy in enumerate(accuracies):
            state = ocp.args.StandardSave({"weights": np.full(3, step)})
            manager.save(step, args=state, metrics={"accuracy": accuracy})
        manager.wait_until_finished()
        return [accuracies[step] for step in manager.all_steps()], accuracies[manager.best_step()]


def finite(metrics):
    return metrics["accuracy"] if math.isfinite(metrics["accuracy"]) else -math.inf


for policy in (False, True):
    print("preservation_policy=BestN(n=2)" if policy else "max_to_keep=2")
    for accuracies in ([0.6, 0.9, 0.8, 0.5, 0.7, 0.75], [0.6, 0.9, 0.8, nan, 0.7, 0.75], [0.6, 0.9, 0.8, nan]):
        left, best = kept(accuracies, policy)
        print(f"  {accuracies}: kept {left}, best_step() has {best}")
        if not any(map(math.isnan, accuracies)):
            assert left == [0.9, 0.8] and best == 0.9
        elif accuracies[-1] == 0.75:
            assert 0.9 not in left, "the best checkpoint is still there"
        else:
            assert math.isnan(best), "the NaN is no longer the best"
    left, best = kept([0.6, 0.9, 0.8, nan, 0.7, 0.75], policy, finite)
    print(f"  the way round: kept {left}, best_step() has {best}")
    assert left == [0.9, 0.8] and best == 0.9
PYTHON
