"""The text of genotypes, `Genotype(name=[('operation', 0), ...], ...)`: one call, whose arguments are lists."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

MOST_LISTED = 67  # of a range; more than any cell has, so that checks of its length say what is wrong
_MOST_CHARACTERS = 20_000


def call_fields(text: str, names: Sequence[str], example: str) -> Mapping[str, ast.expr]:
    """Returns the arguments of the one call of `Genotype` that a text consists of, a name before it or not.

    Args:
      text: Python.
      names: Of all arguments; each has to be there once, by place or by name.
      example: What messages give as an example of such a text.

    Raises:
      ValueError: The text is not of that form.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters, expected at most {_MOST_CHARACTERS:,}")
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"this is malformed, expected a text like {example}") from None
    call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr | ast.Assign) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype":
        raise ValueError(f"this is no genotype, expected a text like {example}")
    fields = dict(zip(names, call.args, strict=False))
    fields |= {str(keyword.arg): keyword.value for keyword in call.keywords}
    if len(call.args) + len(call.keywords) != len(names) or set(fields) != set(names):
        wrong = [f"{name} is missing" for name in names if name not in fields]
        wrong += [f"{name!r} is not known" for name in fields if name not in names]
        raise ValueError(
            f"{', '.join(wrong) or 'a part is there twice'}, expected {', '.join(names)}, each once, as in {example}"
        )
    return fields


class _Unread:
    """What is none of the values that a genotype has; messages show its text."""

    def __init__(self, tree: ast.expr) -> None:
        self._tree = tree

    def __repr__(self) -> str:
        return ast.unparse(self._tree)


def value_of(tree: ast.expr) -> Any:
    """Returns what a list, a tuple, a constant, or a range of constants says; anything else as it stands."""
    if isinstance(tree, ast.List | ast.Tuple):
        return tuple(map(value_of, tree.elts))
    if isinstance(tree, ast.Constant):
        return tree.value
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
        bounds = tuple(map(value_of, tree.args))
        if tree.func.id == "range" and 1 <= len(bounds) <= 2 and all(type(b) is int for b in bounds):
            return tuple(range(*bounds)[:MOST_LISTED])
        if tree.func.id in ("list", "tuple") and len(bounds) == 1 and isinstance(bounds[0], tuple):
            return bounds[0]
    return _Unread(tree)
