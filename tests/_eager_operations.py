"""JAX's operations in NumPy, those that have one right result: see `_eager`."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

try:
    from jax._src.lax.slicing import GatherScatterMode
except ImportError:  # pragma: no cover
    GatherScatterMode = None


class NotExactError(Exception):
    """NumPy might not give the bits that XLA gives."""


def _require(fact: Any) -> None:
    if not fact:
        raise NotExactError


def _of_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation without parameters, of one result and of numbers that NumPy and XLA treat alike."""
    return lambda equation, *values: [function(*values)]


def _of_integers(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(equation: Any, *values: np.ndarray) -> list[Any]:
        _require(all(value.dtype.kind in "biu" for value in values))
        return [function(*values)]

    return apply


def _of_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda equation, value: [function(value, **equation.params)]


def _div(equation: Any, x: np.ndarray, y: np.ndarray) -> list[Any]:
    if x.dtype.kind == "f":
        _require(not hasattr(equation.invars[1], "val"))  # XLA multiplies by the inverse of what it knows
        return [x / y]
    _require((y != 0).all() and not (x.dtype.kind == "i" and (y == -1).any()))
    quotient = np.abs(x.astype(np.int64)) // np.abs(y.astype(np.int64))
    return [(np.sign(x.astype(np.int64)) * np.sign(y.astype(np.int64)) * quotient).astype(x.dtype)]


def _rem(equation: Any, x: np.ndarray, y: np.ndarray) -> list[Any]:
    _require(x.dtype.kind in "iu" and (y != 0).all())
    return [np.fmod(x, y)]


def _integer_pow(equation: Any, x: np.ndarray) -> list[Any]:
    _require(equation.params["y"] == 2)
    return [x * x]


def _shift(function: Callable[..., Any], kind: str | None = None) -> Callable[..., Any]:
    """A shift of the bits as signed or unsigned integers; all that is shifted out is gone."""

    def apply(equation: Any, x: np.ndarray, by: np.ndarray) -> list[Any]:
        _require((by >= 0).all())
        bits, seen = 8 * x.dtype.itemsize, x if kind is None else x.view(f"{kind}{x.dtype.itemsize}")
        shifted = function(seen, np.minimum(by, bits - 1).astype(seen.dtype))
        gone = (by >= bits) & (kind != "i")
        return [np.where(gone, seen.dtype.type(0), shifted).astype(seen.dtype).view(x.dtype)]

    return apply


def _convert(equation: Any, x: np.ndarray) -> list[Any]:
    dtype = np.dtype(equation.params["new_dtype"])
    if x.dtype.kind == "f" and dtype.kind in "iu":  # beyond the range of the integers NumPy gives anything
        bounds = np.iinfo(dtype)
        _require((np.isfinite(x) & (x > bounds.min) & (x < bounds.max)).all())
    return [x != 0 if dtype == np.bool_ else x.astype(dtype)]


def _clamp(equation: Any, low: np.ndarray, x: np.ndarray, high: np.ndarray) -> list[Any]:
    return [np.minimum(np.maximum(x, low), high)]


def _select_n(equation: Any, which: np.ndarray, *cases: np.ndarray) -> list[Any]:
    _require(len(cases) == 2 and which.dtype == bool)
    return [np.where(which, cases[1], cases[0])]


def _broadcast(x: np.ndarray, shape: Any, broadcast_dimensions: Any, **_: Any) -> np.ndarray:
    sizes = [1] * len(shape)
    for axis, size in zip(broadcast_dimensions, x.shape, strict=True):
        sizes[axis] = size
    return np.broadcast_to(x.reshape(sizes), shape)


def _reshape(x: np.ndarray, new_sizes: Any, dimensions: Any, **_: Any) -> np.ndarray:
    _require(dimensions is None)
    return x.reshape(new_sizes)


def _slice(x: np.ndarray, start_indices: Any, limit_indices: Any, strides: Any) -> np.ndarray:
    steps = strides or [1] * x.ndim
    return x[tuple(map(slice, start_indices, limit_indices, steps))]


def _dynamic_slice(equation: Any, x: np.ndarray, *starts: np.ndarray) -> list[Any]:
    sizes = equation.params["slice_sizes"]
    first = [min(max(int(s), 0), of - size) for s, of, size in zip(starts, x.shape, sizes, strict=True)]
    return [x[tuple(slice(f, f + size) for f, size in zip(first, sizes, strict=True))]]


def _dynamic_update_slice(equation: Any, x: np.ndarray, update: np.ndarray, *starts: np.ndarray) -> list[Any]:
    first = [min(max(int(s), 0), of - size) for s, of, size in zip(starts, x.shape, update.shape, strict=True)]
    result = x.copy()
    result[tuple(slice(f, f + size) for f, size in zip(first, update.shape, strict=True))] = update
    return [result]


def _pad(equation: Any, x: np.ndarray, filler: np.ndarray) -> list[Any]:
    config = equation.params["padding_config"]
    _require(all(low >= 0 and high >= 0 and inner == 0 for low, high, inner in config))
    return [np.pad(x, [(low, high) for low, high, _ in config], constant_values=filler)]


def _iota(equation: Any) -> list[Any]:
    shape, axis = equation.params["shape"], equation.params["dimension"]
    sizes = [-1 if i == axis else 1 for i in range(len(shape))]
    return [np.broadcast_to(np.arange(shape[axis]).astype(equation.params["dtype"]).reshape(sizes), shape)]


def _iota_2x32_shape(equation: Any) -> list[Any]:
    shape = equation.params["shape"]
    counts = np.arange(math.prod(shape), dtype=np.uint64).reshape(shape)
    return [(counts >> np.uint64(32)).astype(np.uint32), counts.astype(np.uint32)]


def _bitcast(equation: Any, x: np.ndarray) -> list[Any]:
    dtype = np.dtype(equation.params["new_dtype"])
    _require(dtype.itemsize == x.dtype.itemsize and np.bool_ not in (dtype, x.dtype))
    return [x.view(dtype)]


def _unstack(equation: Any, x: np.ndarray) -> list[Any]:
    return list(np.moveaxis(x, equation.params["axis"], 0))


def _split(equation: Any, x: np.ndarray) -> list[Any]:
    return np.split(x, np.cumsum(equation.params["sizes"])[:-1], axis=equation.params["axis"])


def _gather(equation: Any, x: np.ndarray, indices: np.ndarray) -> list[Any]:
    """Takes windows of `slice_sizes` that begin at the rows of `indices`."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    _require(0 not in x.shape and 0 not in indices.shape)
    limit = [x.shape[axis] - sizes[axis] for axis in numbers.start_index_map]
    known = ((indices >= 0) & (indices <= limit)).all()
    _require(known or equation.params["mode"] in (GatherScatterMode.CLIP, GatherScatterMode.PROMISE_IN_BOUNDS))
    starts = np.clip(indices, 0, limit)
    batch = indices.shape[:-1]
    windows = [axis for axis in range(x.ndim) if axis not in numbers.collapsed_slice_dims]
    windows = [axis for axis in windows if axis not in numbers.operand_batching_dims]
    rank = len(batch) + len(windows)
    outer = [axis for axis in range(rank) if axis not in numbers.offset_dims]

    def along(axes: Any, value: np.ndarray) -> np.ndarray:
        return value.reshape([value.shape[list(axes).index(i)] if i in axes else 1 for i in range(rank)])

    where = []
    for axis in range(x.ndim):
        index = np.zeros([1] * rank, np.int64)
        if axis in numbers.start_index_map:
            index = index + along(outer, starts[..., list(numbers.start_index_map).index(axis)].astype(np.int64))
        if axis in numbers.operand_batching_dims:
            of = outer[numbers.start_indices_batching_dims[list(numbers.operand_batching_dims).index(axis)]]
            index = index + along([of], np.arange(x.shape[axis]))
        if axis in windows:
            index = index + along([numbers.offset_dims[windows.index(axis)]], np.arange(sizes[axis]))
        where.append(index)
    shape = [batch[outer.index(i)] if i in outer else sizes[windows[numbers.offset_dims.index(i)]] for i in range(rank)]
    return [np.broadcast_to(x[tuple(where)], shape)]


def _reduce(function: Callable[..., Any], kinds: str) -> Callable[..., Any]:
    def apply(equation: Any, x: np.ndarray) -> list[Any]:
        axes = tuple(equation.params["axes"])
        _require(x.dtype.kind in kinds and x.size > 0)
        return [function(x, axis=axes).astype(x.dtype)]

    return apply


def _argument(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(equation: Any, x: np.ndarray) -> list[Any]:
        (axis,) = equation.params["axes"]
        return [function(x, axis=axis).astype(equation.params["index_dtype"])]

    return apply


def _cumsum(equation: Any, x: np.ndarray) -> list[Any]:
    _require(x.dtype.kind in "iu" and not equation.params["reverse"])
    return [np.cumsum(x, axis=equation.params["axis"], dtype=x.dtype)]


def _sort(equation: Any, *values: np.ndarray) -> list[Any]:
    _require(equation.params["num_keys"] == 1 and (equation.params["is_stable"] or len(values) == 1))
    axis = equation.params["dimension"]
    order = np.argsort(values[0], axis=axis, kind="stable")
    return [np.take_along_axis(value, order, axis=axis) for value in values]


def _threefry(equation: Any, *values: np.ndarray) -> list[Any]:
    """Threefry-2x32 of twenty rounds (Salmon et al., 2011)."""
    first, second, x, y = np.broadcast_arrays(*values)
    keys = (first, second, first ^ second ^ np.uint32(0x1BD11BDA))
    x, y = x + keys[0], y + keys[1]
    for block in range(5):
        for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[block % 2]:
            x = x + y
            y = (y << np.uint32(turn)) | (y >> np.uint32(32 - turn))
            y = x ^ y
        x = x + keys[(block + 1) % 3]
        y = y + keys[(block + 2) % 3] + np.uint32(block + 1)
    return [x, y]


OPERATIONS: dict[str, Callable[..., list[Any]]] = {
    "copy": _of_values(np.asarray),
    "add": _of_values(np.add),
    "sub": _of_values(np.subtract),
    "mul": _of_values(np.multiply),
    "neg": _of_values(np.negative),
    "abs": _of_values(np.abs),
    "max": _of_values(np.maximum),
    "min": _of_values(np.minimum),
    "floor": _of_values(np.floor),
    "ceil": _of_values(np.ceil),
    "square": _of_values(lambda x: x * x),
    "is_finite": _of_values(np.isfinite),
    "eq": _of_values(np.equal),
    "ne": _of_values(np.not_equal),
    "lt": _of_values(np.less),
    "le": _of_values(np.less_equal),
    "gt": _of_values(np.greater),
    "ge": _of_values(np.greater_equal),
    "and": _of_integers(np.bitwise_and),
    "or": _of_integers(np.bitwise_or),
    "xor": _of_integers(np.bitwise_xor),
    "not": _of_integers(np.invert),
    "sign": _of_integers(np.sign),
    "div": _div,
    "rem": _rem,
    "integer_pow": _integer_pow,
    "shift_left": _shift(np.left_shift),
    "shift_right_logical": _shift(np.right_shift, "u"),
    "shift_right_arithmetic": _shift(np.right_shift, "i"),
    "convert_element_type": _convert,
    "clamp": _clamp,
    "select_n": _select_n,
    "broadcast_in_dim": _of_shape(_broadcast),
    "reshape": _of_shape(_reshape),
    "squeeze": _of_shape(lambda x, dimensions: np.squeeze(x, tuple(dimensions))),
    "transpose": _of_shape(lambda x, permutation: np.transpose(x, permutation)),
    "rev": _of_shape(lambda x, dimensions: np.flip(x, tuple(dimensions))),
    "slice": _of_shape(_slice),
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "concatenate": lambda equation, *values: [np.concatenate(values, axis=equation.params["dimension"])],
    "stack": lambda equation, *values: [np.stack(values, axis=equation.params["axis"])],
    "split": _split,
    "unstack": _unstack,
    "tile": _of_shape(lambda x, reps: np.tile(x, tuple(reps))),
    "pad": _pad,
    "iota": _iota,
    "iota_2x32_shape": _iota_2x32_shape,
    "bitcast_convert_type": _bitcast,
    "gather": _gather,
    "reduce_sum": _reduce(np.sum, "iu"),
    "reduce_max": _reduce(np.max, "biuf"),
    "reduce_min": _reduce(np.min, "biuf"),
    "reduce_and": _reduce(np.all, "b"),
    "reduce_or": _reduce(np.any, "b"),
    "argmax": _argument(np.argmax),
    "argmin": _argument(np.argmin),
    "cumsum": _cumsum,
    "sort": _sort,
    "threefry2x32": _threefry,
}
"""An operation's name and what it does: its equation, with its parameters, and its arguments to its results."""

ROUNDED = frozenset({"add", "sub", "mul", "div", "square", "integer_pow"})
"""Operations that round floats: XLA may take two of them in one step, which rounds once."""

CALCULATED = ROUNDED | {"max", "min", "sign", "floor", "ceil", "eq", "ne", "lt", "le", "gt", "ge", "clamp", "sort"}
CALCULATED |= {"argmax", "argmin", "reduce_max", "reduce_min", "convert_element_type"}
"""Operations that look at floats, to which the smallest ones may be zero; the others carry them from here to there."""

EXTREMES = frozenset({"max", "min", "clamp", "reduce_max", "reduce_min"})
"""Operations of which nobody says whether the result is -0 or 0, where both are given."""
