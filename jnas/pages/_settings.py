"""The part of a report that says how to repeat a study: its command, its configuration, the versions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jnas.pages._html import Html, element, section, table

_ELSEWHERE = ("command", "notes", "sentences")  # on the page


def settings_section(
    configs: Sequence[Mapping[str, Any]], versions: Sequence[Mapping[str, str]], names: Sequence[str], suffix: str
) -> Html:
    """Returns configuration and versions of every study, side by side, what differs in bold.

    Args:
      configs: Of each study.
      versions: Of each study.
      names: What each study is called; an empty name where there is one alone.
      suffix: Of the section's id.
    """
    head = ["setting", *(f"study {name}" if name else "value" for name in names)]
    commands = [config.get("command") for config in configs]
    shown = [
        element("pre", element("code", f"{name}: {command}" if name else str(command)), tabindex="0")
        for name, command in zip(names, commands, strict=True)
        if command
    ]
    return section(
        "How to repeat this",
        element(
            "p",
            "The same command with the same versions gives the same numbers, even if it is stopped on the way:"
            if shown
            else "The same configuration with the same versions gives the same numbers.",
        ),
        shown,
        table(head, _settings(list(map(_by_row, configs))), caption="Configuration"),
        table(head, _settings(versions), caption="Versions and machine"),
        id=f"configuration{suffix}",
    )


def _by_row(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration in which the arguments that each row was made with are an entry of their own, at the end.

    They are `{row: {argument: value, or {field: value}}}` under `made_with`.
    """
    told = {
        row: {name: value for name, value in given.items() if (name, value) != ("name", row)}
        for row, given in config.get("made_with", {}).items()
    }
    own = {f"{row}, made with": ", ".join(_arguments(given)) for row, given in told.items()}
    return {**{key: value for key, value in config.items() if key != "made_with"}, **own}


def _arguments(told: Mapping[str, Any], place: str = "") -> Iterator[str]:
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from _arguments(value, f"{place}{name}.")
        else:
            yield f"{place}{name}={'none' if value is None else value_text(value)}"


def _settings(mappings: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for key in dict.fromkeys(key for mapping in mappings for key in mapping if key not in _ELSEWHERE):
        values = [value_text(mapping[key]) if key in mapping else "–" for mapping in mappings]
        differs = len(set(values)) > 1
        rows.append([key, *(element("strong", v) if differs else v for v in values)])
    return rows


def value_text(value: Any) -> str:
    """Returns a setting as text: numbers and words as they are, lists with commas, all else as JSON."""
    if value is None or value == "":
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(v, str | int | float) for v in value):
        return ", ".join(map(value_text, value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)
