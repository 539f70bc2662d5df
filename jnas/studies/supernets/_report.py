"""The report of weight-sharing searches: one page that opens without a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jnas import spaces
from jnas.core._vocabulary import Space
from jnas.io._text import counted, listed
from jnas.pages._frame import legend, study_page
from jnas.pages._html import Html, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import card, mean_cell, mean_words, named, note_box, p_text, panels
from jnas.pages._plots import mark
from jnas.spaces._registry import absent_choice
from jnas.statistics._comparison import one_sample_p
from jnas.statistics._intervals import Floats
from jnas.studies._compared import known_space
from jnas.studies._over_seeds import OverSeeds, best_rows, few_words
from jnas.studies.supernets._other_ends import other_ends_section
from jnas.studies.supernets._plots import EpochCurves, epoch_panel
from jnas.studies.supernets._ranking_sections import random_search_section, ranking_section
from jnas.studies.supernets._regret_section import regret_section
from jnas.studies.supernets._results import INFOS, MethodResult, SupernetStudy, diverged, of_text, sizes_words
from jnas.studies.supernets._scratch_section import from_scratch_section
from jnas.studies.supernets._summary import (
    diverged_text,
    entropy,
    final_columns_of,
    finite_moments,
    judged_column,
    median_rank,
    reference_spread,
    reference_values,
    skip_connections,
)
from jnas.studies.supernets._weights_sections import training_time_section, weights_section
from jnas.tables._metric import metric_of
from jnas.training.networks._families import FAMILIES


def supernet_report(study: SupernetStudy) -> str:
    """Returns the page; the same results give the same page, but for the times that they took."""
    title, config = f"Weight-sharing searches on {study.config['dataset']}", study.config
    told = [str(note) for note in config["notes"]] if config["table_name"] is not None else []
    notes = note_box(told, "About the table's numbers")
    findings: list[Any] = [element("p", "No method has finished yet, so there is nothing to show.", class_="note")]
    sections: dict[tuple[str, str], Html | None] = {}
    if study.methods:
        findings = [_findings(study), note_box([lost] if (lost := diverged_text(study)) else [], "Not counted")]
        sections = {
            ("results", "What the searches found"): _results_section(study),
            ("epochs", "After each epoch"): _curves_section(study),
            ("regret", "Anytime regret"): regret_section(study),
            ("random", "Against random search"): random_search_section(study),
            ("collapse", "What they prefer"): _collapse_section(study),
            ("ends", "By another end"): other_ends_section(study),
            ("weights", "What shared weights know"): weights_section(study),
            ("ranking", "The ranking of the pool"): ranking_section(study),
            ("scratch", "Trained from scratch"): from_scratch_section(study),
            ("cells", "The derived cells"): _cells_section(study, known_space(study.space)),
            ("times", "What it took"): training_time_section(study),
        }
    return study_page(title, _task(study), notes, findings, sections, config, study.versions)


# In words.


def _task(study: SupernetStudy) -> str:
    config = study.config
    sizes, of_what = " and ".join(sizes_words(config)), of_text(config)
    shape = "({}x{}) ".format(*config["image_shape"][:2]) if "image_shape" in config else ""
    family = FAMILIES.rows.get(config.get("space", ""))
    where = " in each stage" if family is None else f" {family.cells_counted}"
    where = "" if "text" in config else where
    part = f" (sub-space {config['operations'].upper()})" if "operations" in config else ""
    lengths = sorted(set(config["epochs"].values()))
    epochs = (
        counted(lengths[0], "epoch") if len(lengths) == 1 else listed([f"{n} {e}" for n, e in config["epochs"].items()])
    )
    judge = (
        f" A method's cell is judged by {config['table_name']}, of which the searches saw nothing."
        if study.targets
        else " There was no table to judge the cells that were found."
    )
    return (
        f"{counted(len(config['methods']), 'method')} trained supernets"
        f"{f' of {sizes}{where}' if sizes else ''}{part} on {config['train_images']:,} training {of_what} of "
        f"{config['dataset']} {shape}and learned the architecture from {config['split_images']:,} {of_what} "
        f"of its {config['split']} split, {counted(config['num_seeds'], 'seed')} each in one program. Epochs over the "
        f"training {'text' if 'text' in config else of_what}: {epochs}.{judge}"
    )


def _findings(study: SupernetStudy) -> Html | None:
    main = judged_column(study)
    if main < 0:
        return None
    found = [(result.name, final_columns_of(result)[main]) for result in study.methods]
    known = [(name, c) for name, c in found if np.isfinite(c.mean)]
    if not known:
        return None
    random, metric = reference_values(study, "random cell"), metric_of(study.config)
    best, column = max(known, key=lambda pair: metric.sign * pair[1].mean)
    others = [(name, c) for name, c in known if name != best]  # of the best one it is said with its test
    worse = [name for name, c in others if random is not None and metric.sign * (c.mean - random[main]) < 0]
    named = "" if metric.is_percent else f"a {metric.name} of "
    text: list[Any] = [
        f"On {study.targets[main].label}, the cells of ",
        element("strong", best),
        f" are worth {named}{column.mean:.2f}{metric.mark} on average over {_spread_words(column)}. ",
    ]
    if random is not None:
        finals = next(result.values[main, :, -1] for result in study.methods if result.name == best)
        text.append(_against_random(study, best, np.asarray(finals, np.float64), main))
    if worse:
        side = "below" if metric.higher_is_better else "worse than"
        text.append(
            f"By the mean of its seeds, {listed(worse)} is {side} a random cell. "
            if len(worse) == 1
            else f"By the means of their seeds, {listed(worse)} are {side} a random cell. "
        )
    collapsed = _collapsed(study)
    if collapsed:
        text.append(f"Cells of which two thirds of the edges or more are skip connections: {listed(collapsed)}.")
    return element("p", text, class_="finding")


def _spread_words(column: OverSeeds) -> str:
    """Returns over how many seeds a mean is, and how they scatter."""
    found = int(column.found)
    deviation = "" if np.isnan(column.std) else f" (standard deviation {column.std:.2f})"
    return f"{counted(found, 'seed')}{deviation}"


def _against_random(study: SupernetStudy, name: str, finals: Floats, main: int) -> str:
    """Returns how a method's cells lie to one drawn at random and to the best of several, with what seeds can tell."""
    random, metric = reference_values(study, "random cell"), metric_of(study.config)
    finals = finals[np.isfinite(finals)]
    gap = float(finals.mean() - random[main])
    text = (
        f"That is {abs(gap):.2f} points {'above' if gap >= 0 else 'below'} a cell drawn at random "
        f"({random[main]:.2f}{metric.mark})"
    )
    p = one_sample_p(finals, float(random[main]))
    if p is None:
        text += ", but one seed cannot tell them apart"
    elif p >= 0.05:
        text += f", but {counted(len(finals), 'seed')} cannot tell them apart (t test, p\u00a0{p_text(p)})"
    text += ". "
    ahead = [
        (reference.name.removeprefix("random search, ").removesuffix(" cells"), float(reference.values[main]))
        for reference in study.references
        if reference.name.startswith("random search, ")
        and metric.sign * (float(reference.values[main]) - finals.mean()) > 0
    ]
    if ahead:
        count, value = ahead[0]
        text += f"The best of {count} random cells by validation is better than {name}: {value:.2f}{metric.mark}. "
    return text


def _collapsed(study: SupernetStudy) -> list[str]:
    """Returns the methods that end with cells of which two thirds of the edges or more are skip connections."""
    told = []
    for result in study.methods:
        skips = skip_connections(study, result)
        if skips is None:
            continue
        count = int((3 * skips[:, -1] >= 2 * result.record.archs.shape[-1]).sum())
        if count:
            told.append(f"{result.name} in {count} of {counted(len(skips), 'seed')}")
    return told


# Tables.


def _results_section(study: SupernetStudy) -> Html:
    found = [final_columns_of(result) for result in study.methods]
    metric = metric_of(study.config)
    best = best_rows(metric.sign * np.asarray([[column.mean for column in row] for row in found], np.float64))
    skips = [skip_connections(study, result) for result in study.methods]
    has_skips = any(s is not None for s in skips)
    main = study.targets[judged_column(study)].label if study.targets else ""
    rows = [
        [
            element("div", named(mark(k), result.name), element("small", _length(study, result))),
            *(
                mean_cell(
                    column.mean, column.low, column.high, std=column.std, forms=(".2f", ".2f"), strong=best[c] == k
                )
                for c, column in enumerate(found[k])
            ),
            *([median_rank(result, "–")] if study.targets else []),
            *([] if (own := skips[k]) is None else [mean_words(finite_moments(own[:, -1])[0], form=".1f")]),
            mean_words(finite_moments(entropy(study, result)[:, -1])[0], form=".3f"),
        ]
        for k, result in enumerate(study.methods)
    ]
    for reference in study.references:
        cells = map(mean_words, reference.values, reference_spread(study, reference))
        rows.append([reference.name, *cells, *["–"] * (1 + has_skips + 1)])
    head = ["method", *(t.label for t in study.targets), *(["rank"] if study.targets else [])]
    head += [*(["skips"] if has_skips else []), "entropy"]
    there = "" if absent_choice(spaces.from_config(study.space)) is None else " that is there"
    decided = "choices of a node" if "text" in study.config else "operations of an edge"
    how = f"{metric.first_upper}{metric.words.removeprefix(metric.name)}"
    skipped = "the mean number of edges that are skip connections, and " if has_skips else ""
    caption = (
        f"{how}, by the table, of the cells that the searches ended with: mean ± standard deviation over "
        "seeds (of a sample), the best of each column bold. Of a random cell: mean and deviation over all cells of the "
        f"table; random search takes the best of so many random cells by the table's validation {metric.name}, exact "
        f"expectations. Rank: median over seeds among the table's cells by {main}, 1 is the best. Then "
        f"{skipped}the mean entropy of the probabilities that a search "
        f"gives to the {decided}{there}, as a share of that of equal ones. Methods differ in epochs "
        "and batches where they were published with others; small print tells."
        f"{few_words(study.config['num_seeds'], 'seed')}"
        if study.targets
        else f"{(skipped + 'the mean').capitalize()} entropy of the probabilities that a "
        f"search gives to the {decided}{there}, as a share of that of equal ones."
    )
    return section(
        "What the searches found",
        html_table(head, rows, class_="numbers"),
        element("p", caption, class_="caption"),
        id="results",
    )


def _length(study: SupernetStudy, result: MethodResult) -> str:
    config = study.config
    changed = config["settings"].get(result.name, {})
    told = [counted(config["epochs"][result.name], "epoch"), f"batches of {config['batch_size'][result.name]}"]
    return ", ".join([*told, *(f"{name} {value}" for name, value in changed.items())])


# Pictures.


def _legend(study: SupernetStudy) -> Html:
    return legend((k, result.name) for k, result in enumerate(study.methods))


def _drawn(study: SupernetStudy, values: Sequence[Any]) -> list[EpochCurves]:
    return [
        EpochCurves(result.name, mark(k), result.record.looked, np.asarray(value, np.float64))
        for k, (result, value) in enumerate(zip(study.methods, values, strict=True))
    ]


def _curves_section(study: SupernetStudy) -> Html | None:
    """Returns what the cells are worth that searches would return after each epoch: like Figures 7 and 8."""
    if not study.targets:
        return None
    optimum, random = reference_values(study, "optimum"), reference_values(study, "random cell")
    main, boxes, metric = judged_column(study), [], metric_of(study.config)
    shown = [c for c, t in enumerate(study.targets) if t.dataset == study.targets[main].dataset] or [main]
    for c in shown[:3]:
        target = study.targets[c]
        levels = [float(r[c]) for r in (optimum, random) if r is not None and np.isfinite(r[c])]
        lines = _drawn(study, [result.values[c] for result in study.methods])
        title = f"{metric.first_upper} on {target.label} of the derived cell against epochs"
        boxes.append((target.label, epoch_panel(lines, label=metric.axis, title=title, levels=levels)))
    ends = ("upper", "lower") if metric.higher_is_better else ("lower", "upper")
    caption = (
        "What the table says of the cell that a search would have returned after so many epochs, the counterpart of "
        "Figures 7 and 8 of the paper of NAS-Bench-201. Thick lines are means over seeds, thin ones single seeds; "
        f"the {ends[0]} dashes are the optimum of the table, the {ends[1]} ones the mean over all its cells."
    )
    return section("After each epoch", panels(boxes, caption, _legend(study), "panels wide"), id="epochs")


def _collapse_section(study: SupernetStudy) -> Html:
    boxes = []
    skips = [skip_connections(study, result) for result in study.methods]
    if all(s is not None for s in skips):
        lines = _drawn(study, skips)
        title = "Number of skip connections in the derived cell against epochs"
        boxes.append(("Skip connections in the derived cell", epoch_panel(lines, label="edges", title=title)))
    lines = _drawn(study, [entropy(study, result) for result in study.methods])
    is_text, metric = "text" in study.config, metric_of(study.config)
    decided = "choices" if is_text else "operations"
    title = f"Entropy of the {decided}' probabilities against epochs"
    boxes.append((f"Entropy of the {decided}", epoch_panel(lines, label="share of the largest", title=title)))
    eigenvalues = [result.record.eigenvalues for result in study.methods]
    if any(np.isfinite(e).any() for e in eigenvalues):
        lines = _drawn(study, eigenvalues)
        title = "Largest eigenvalue of the validation loss's Hessian against epochs"
        panel = epoch_panel(lines, label="eigenvalue", title=title, logarithmic=True)
        boxes.append(("Largest eigenvalue of the Hessian in α", panel))
    for name in ("train_accuracy", "validation_accuracy"):
        place = INFOS.index(name)
        seen = _drawn(study, [result.record.info[:, :, place] for result in study.methods])
        lines = [each._replace(epochs=np.arange(1, each.values.shape[1] + 1, dtype=np.int32)) for each in seen]
        if any(np.isfinite(line.values).any() for line in lines):
            words = name.replace("_", " ").replace("accuracy", metric.name)
            # Perplexities of the first steps, or of a search that is about to diverge, have no bounds.
            title = f"The supernet's {words} against epochs"
            panel = epoch_panel(lines, label=metric.axis, title=title, logarithmic=is_text)
            boxes.append((f"The supernet's {words}", panel))
    caption = (
        "Thick lines are means over seeds, thin ones single seeds. A search that gives every operation the same "
        "probability has entropy 1; a cell of nothing but skip connections is how DARTS is known to fail. An "
        "eigenvalue that grows foretells it (Zela et al., 2020). Accuracies of the supernet are means over the steps "
        "of an epoch, with augmented images, of whatever a method runs: the mixture, or architectures that it draws."
        if not is_text
        else "Thick lines are means over seeds, thin ones single seeds. A search that gives every choice the same "
        f"probability has entropy 1. {metric.plural.capitalize()} of the supernet are means over the steps of an "
        "epoch, with what training leaves out, of whatever a method runs: the mixture, or architectures that it draws."
    )
    return section("What they prefer", panels(boxes, caption, _legend(study), "panels wide"), id="collapse")


def _cells_section(study: SupernetStudy, space: Space | None) -> Html:
    cards, metric = [], metric_of(study.config)
    for k, result in enumerate(study.methods):
        found: dict[bytes, list[int]] = {}
        for seed in np.flatnonzero(~diverged(result.record)[:, -1]).tolist():
            found.setdefault(result.record.archs[seed, -1].tobytes(), []).append(seed)
        for seeds in found.values():
            arch = result.record.archs[seeds[0], -1].astype(np.int32)
            own = result.values[:, seeds[0], -1]
            values = [(t.label, metric.text(float(v))) for t, v in zip(study.targets, own, strict=True)]
            whose = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {listed([str(s) for s in seeds])}"
            cards.append(card(space, arch, [(k, result.name, whose)], values))
    text = "What each search ended with; cells that several seeds of a method came to are drawn once."
    return section("The derived cells", element("p", text), element("div", cards, class_="cards"), id="cells")
