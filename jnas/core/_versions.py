"""What the results of a study depend on beside its configuration: versions, device, compiler."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jnas.core._devices_used import OF_DEVICES, other_devices_allowed
from jnas.core._version import __version__

SAME = ("jax", "platform", "device", "xla_flags", "compiler_options")  # as they were, where a study goes on

OF_OTHER_PROGRAMS = ("0.1.0",)
"""Versions of jnas whose programs are written otherwise, and whose work goes on: each search is sound by itself."""


def versions() -> dict[str, str]:
    """Returns what the numbers of a study may depend on beside its configuration."""
    device = jax.local_devices()[0]
    return {
        "jnas": __version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": device.platform,
        "device": device.device_kind,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "compiler_options": json.dumps(compiler_options() | _precision()),
    }


def check_versions(
    begun_with: Mapping[str, str],
    now: Mapping[str, str],
    names: Sequence[str] = SAME,
    *,
    work: str = "this study",
    elsewhere: str = "another --out",
) -> None:
    """Raises ValueError unless work that goes on does so with the versions with which it was begun.

    Those of devices may differ where that is allowed (`other_devices`).

    Args:
      begun_with: From config.json.
      now: From `versions`.
      names: Of those that must be the same.
      work: What goes on, for the message.
      elsewhere: Where other work may begin, for the message.
    """
    # The first folders of trainings do not say it: they left the precision to the device.
    begun_with = {"compiler_options": json.dumps(compiler_options()), **begun_with}
    changed = [n for n in names if begun_with.get(n) != now[n]]
    devices_alone = set(changed) <= set(OF_DEVICES)
    if changed and not (devices_alone and other_devices_allowed()):
        told = "; ".join(f"{n} was {begun_with.get(n) or 'empty'} and is {now[n] or 'empty'}" for n in changed)
        raise ValueError(
            f"{work} was begun with other versions ({told}), so that it cannot go on to the same numbers; "
            f"go on with those, or give {elsewhere}{', or --allow-other-device' if devices_alone else ''}"
        )


def _precision() -> dict[str, Any]:
    """Returns how products are computed where that is not left to the device; folders of before say nothing of it."""
    precision = getattr(jax.config, "jax_default_matmul_precision", None)
    return {} if precision is None else {"matmul_precision": str(precision)}


def compiler_options() -> dict[str, Any]:
    """Returns how a study's programs are compiled.

    On CPUs compiling takes longer than running; this level gives the same bits in half of the time.
    """
    return {"xla_backend_optimization_level": 2} if jax.default_backend() == "cpu" else {}


def compile_quickly(lowered: Any) -> Any:
    """Returns a program compiled for few runs, which gives the same bits as with `compiler_options`, more slowly.

    On CPUs compiling takes a quarter of the time, running about nine times as long. Without its newer emitters of
    fusions XLA makes no MLIR of every loop; versions of JAX that have no others do not know that option.

    Args:
      lowered: From `jax.jit(...).lower(...)`.
    """
    options = compiler_options()
    if not options:
        return lowered.compile()
    options |= {"xla_backend_optimization_level": 0}
    sooner = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
    try:
        return lowered.compile(compiler_options=options | sooner)
    except jax.errors.JaxRuntimeError as error:
        if "compile option" not in str(error):
            raise
        return lowered.compile(compiler_options=options)
