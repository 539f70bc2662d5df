"""The frame of a study's page: what was done, what was found, links to the sections, how to repeat it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jnas.pages._html import Html, element, page
from jnas.pages._parts import named
from jnas.pages._plots import Mark
from jnas.pages._settings import settings_section


def study_page(
    title: str,
    task: str,
    notes: Html | None,
    findings: Sequence[Html | None],
    sections: Mapping[tuple[str, str], Html | None],
    config: Mapping[str, Any],
    versions: Mapping[str, str],
) -> str:
    """Returns the page of one study.

    Args:
      title: Of the page.
      task: What was done, in sentences.
      notes: What a reader must know of the numbers.
      findings: What was found, in sentences, and what else stands before the sections.
      sections: Each by its id and the text of the link to it; None is left out. There are none as long as nothing has
        finished.
      config: The study's configuration.
      versions: With which it ran.
    """
    head = [element("header", element("h1", title)), element("p", task, class_="lead"), notes, *findings]
    return page(title, [*head, *chapter(sections, [settings_section([config], [versions], [""], "")])])


def chapter(sections: Mapping[tuple[str, str], Html | None], settings: Sequence[Html], suffix: str = "") -> list[Any]:
    """Returns links to sections, these, and how to repeat the work.

    Args:
      sections: As in `study_page`.
      settings: What says how to repeat it, from `settings_section`.
      suffix: Of all ids, where a page has several chapters.
    """
    shown = {place: content for place, content in sections.items() if content is not None}
    if not shown:
        return [*settings]
    links = [*shown, ("configuration", "How to repeat this")]
    items = [element("li", element("a", text, href=f"#{name}{suffix}")) for name, text in links]
    return [element("nav", element("ul", items), aria_label="Contents"), *shown.values(), *settings]


def legend(entries: Iterable[tuple[int | Mark, str]]) -> Html:
    """Returns which line is whose, from each one's look (or number) and name."""
    items = [element("li", named(look, label)) for look, label in entries]
    return element("ul", items, class_="legend", aria_label="Legend")
