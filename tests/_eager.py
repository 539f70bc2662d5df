"""Spares the processes of the tests small programs: what JAX's own functions do outside of `jax.jit`, NumPy does.

Each `x * 2`, `x[1]` or `jnp.asarray(x)` outside of a program is a program of its own to JAX, compiled anew for each
shape: 25 milliseconds, and the tests have thousands of them. `evaluate` computes the same bits in a hundredth of that.
It takes only functions that are JAX's own, and of these only what is exact: integers, comparisons, what moves numbers,
and the arithmetic that IEEE 754 rounds in one way. Sums of floats, `exp` and `log`, and numbers that XLA flushes to
zero go to XLA as ever, and so does all that is inside of a program, all that runs more than a few times, and all that
NumPy has an error or a warning for. `test_eager.py` compares the two.
"""

import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax._src import core, pjit
from jax._src.interpreters import pxla
from jax._src.sharding_impls import UnspecifiedValue

from tests._eager_operations import CALCULATED, EXTREMES, OPERATIONS, ROUNDED, NotExactError

KNOWN = jax.__version_info__[:2] == (0, 10)
"""Whether this is a version of JAX whose inside is known: another one does as it does by itself."""

MOST_TIMES = 80
"""Calls of a function with one kind of arguments, after which its program is compiled: it runs faster than NumPy."""

_MOST_NUMBERS = 200_000
_OWN = os.path.dirname(jax.__file__) + os.sep
_DTYPES = {np.dtype(name) for name in ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float32")}


def evaluate(jaxpr: Any, arguments: Sequence[Any]) -> list[np.ndarray]:
    """Computes what a traced function returns.

    Raises:
        NotExactError: NumPy has no operation that gives the same bits for these arguments.
    """
    values: dict[Any, np.ndarray] = {}

    def read(atom: Any) -> np.ndarray:
        return np.asarray(atom.val, atom.aval.dtype) if isinstance(atom, core.Literal) else values[atom]

    def write(variable: Any, value: Any) -> None:
        value = np.asarray(value)
        if value.shape != variable.aval.shape or value.dtype != variable.aval.dtype or value.size > _MOST_NUMBERS:
            raise NotExactError
        values[variable] = value

    for variable, value in zip(jaxpr.jaxpr.constvars, jaxpr.consts, strict=True):
        write(variable, value)
    for variable, value in zip(jaxpr.jaxpr.invars, arguments, strict=True):
        write(variable, np.asarray(value, variable.aval.dtype))
    with np.errstate(all="ignore"):
        for equation in jaxpr.jaxpr.eqns:
            given = [read(atom) for atom in equation.invars]
            if equation.primitive.name in ("jit", "pjit"):
                results = evaluate(equation.params["jaxpr"], given)
            else:
                results = OPERATIONS[equation.primitive.name](equation, *given)
                if equation.primitive.name in CALCULATED and any(map(_flushed, (*given, *results))):
                    raise NotExactError
                if equation.primitive.name in EXTREMES and any(map(_has_negative_zero, given)):
                    raise NotExactError
            for variable, value in zip(equation.outvars, results, strict=True):
                write(variable, value)
    return [read(atom) for atom in jaxpr.jaxpr.outvars]


def _flushed(value: np.ndarray) -> bool:
    """Whether there are numbers among these that XLA takes for zero: smaller than the smallest of full precision."""
    if value.dtype != np.float32:
        return False
    size = np.abs(value)
    return bool(((size > 0) & (size < np.finfo(np.float32).tiny)).any())


def _has_negative_zero(value: np.ndarray) -> bool:
    """Whether it matters which of two zeros is the larger one."""
    return value.dtype == np.float32 and bool((np.signbit(value) & (value == 0)).any())


def _is_exact(jaxpr: Any) -> bool:
    """Whether all operations can be evaluated, are JAX's own in each `jit` within, and at most one of them rounds."""
    equations = list(_equations(jaxpr))
    variables = [*jaxpr.jaxpr.invars, *jaxpr.jaxpr.constvars, *(out for each in equations for out in each.outvars)]
    inner = [each.params["jaxpr"] for each in jaxpr.jaxpr.eqns if each.primitive.name in ("jit", "pjit")]
    if jaxpr.effects or not _is_own(jaxpr) or not all(map(_is_exact, inner)):
        return False
    if not all(getattr(variable.aval, "dtype", None) in _DTYPES for variable in variables):
        return False
    rounded = [
        each for each in equations if each.primitive.name in ROUNDED and each.outvars[0].aval.dtype == np.float32
    ]
    return all(each.primitive.name in OPERATIONS for each in equations) and len(rounded) <= 1


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.jaxpr.eqns:
        if equation.primitive.name in ("jit", "pjit"):
            yield from _equations(equation.params["jaxpr"])
        else:
            yield equation


def _is_own(jaxpr: Any) -> bool:
    """Whether a function is JAX's own, not one that is under test."""
    return f" at {_OWN}" in (jaxpr.jaxpr.debug_info.func_src_info or "")


def _is_plain(value: Any, device: jax.Device) -> bool:
    """Whether a value is on no device yet, or where JAX puts values by itself."""
    if isinstance(value, jax.Array):
        return not value._committed and value.devices() == {device}
    return isinstance(value, bool | int | float | np.ndarray | np.generic)


def _evaluate_eagerly(compile_and_run: Callable[..., Any]) -> Callable[..., Any]:
    """The function by which JAX compiles and runs what it has traced, with `evaluate` before it."""
    times: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def call(*arguments: Any, jaxpr: Any, **options: Any) -> Any:
        if jaxpr not in times:
            unspecified = (*options["in_shardings"], *options["out_shardings"])
            plain = all(isinstance(sharding, UnspecifiedValue) for sharding in unspecified)
            plain = plain and not any(options["donated_invars"]) and not options["compiler_options_kvs"]
            plain = plain and all(layout is None for layout in (*options["in_layouts"], *options["out_layouts"]))
            times[jaxpr] = 0 if plain and _is_exact(jaxpr) else MOST_TIMES
        if times[jaxpr] < MOST_TIMES and jax.config.jax_default_device is None and options["ctx_mesh"].empty:
            times[jaxpr] += 1
            device = jax.local_devices()[0]
            if device.platform == "cpu" and all(_is_plain(value, device) for value in arguments):
                try:
                    results = evaluate(jaxpr, arguments)
                except Exception:  # JAX says what is wrong, if something is
                    times[jaxpr] = MOST_TIMES
                else:
                    return [_put(*each, device) for each in zip(jaxpr.out_avals, results, strict=True)], None, None, []
        return compile_and_run(*arguments, jaxpr=jaxpr, **options)

    return call


def _put(aval: core.ShapedArray, value: np.ndarray, device: jax.Device) -> jax.Array:
    owned = np.array(value, order="C")  # a copy: the array shares its memory, and nobody else may write there
    return pxla.batched_device_put(aval, jax.sharding.SingleDeviceSharding(device), [owned], [device], committed=False)


if KNOWN:
    pjit._pjit_call_impl_python = _evaluate_eagerly(pjit._pjit_call_impl_python)
