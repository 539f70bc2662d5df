"""A kind of study that jnas does not have: how well cheap scores of architectures order them, over draws of these."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jnas.core._folder import FolderKind, read_part
from jnas.io._archive import write_archive
from jnas.io._text import counted, csv_text, number_cell
from jnas.statistics import spearman_correlation
from jnas.studies import _engine
from jnas.studies._keys import seed_keys
from jnas.tables._digest import table_digest

FOLDER = FolderKind("toy-proxies", 1, "a study of proxies", "toy", "proxies", "the correlations of a proxy")


class Plan(NamedTuple):
    """A study before it starts."""

    proxies: dict[str, Any]  # a score [B] of architectures [B, E], by name
    table: Any
    config: dict[str, Any]


class ProxyStudy(NamedTuple):
    """What a study comes to."""

    config: dict[str, Any]
    versions: dict[str, str]
    correlations: dict[str, np.ndarray]  # Spearman's, [S], by proxy


def proxy_study(proxies, table, *, dataset, epochs, num_archs=20, num_seeds=5, root_seed=0, out=None, log=None):
    """Returns the rank correlations of proxies with a table's accuracies, each seed on architectures of its own."""
    config = {
        "proxies": list(proxies),
        "dataset": dataset,
        "epochs": epochs,
        "num_archs": num_archs,
        "num_seeds": num_seeds,
        "root_seed": root_seed,
        "table_name": table.header.name,
        "table_sha256": table_digest(table),
    }
    return _engine.carry_out(KIND, Plan(proxies, table, config), out, log)


def estimate(work):
    """Returns how long what is left will take."""
    seconds = dict.fromkeys(work.left, 0.1)
    return _engine.Estimate(seconds, 1.0, _engine.estimate_text(sum(seconds.values()), tuple(work.left)))


def correlate(plan, name):
    """Returns the correlations `[S]` of a proxy."""
    config, space = plan.config, plan.table.space
    found = []
    for key in seed_keys(config["root_seed"], "architectures", config["num_seeds"]):
        archs = jax.vmap(space.sample)(jax.random.split(key, config["num_archs"]))
        where = {"dataset": config["dataset"], "split": "validation", "epochs": config["epochs"]}
        truth = plan.table.accuracy(archs, **where, seed="mean")
        found.append(spearman_correlation(truth, plan.proxies[name](archs), nan_policy="omit"))
    return np.asarray(found, np.float64)


def run(work, name, identity):
    """Returns the correlations of a proxy, with a bar that goes on."""
    work.bar.say(name)
    found = work.do(correlate, work.plan, name)
    work.bar.advance(work.estimate.seconds[name])
    return found


def load(path, name, identity, config):
    """Returns the correlations in a file."""
    found = read_part(path, identity, FOLDER, {"correlations": "f S"}, {"S": config["num_seeds"]})
    return found.arrays["correlations"]


def summary(study):
    """Returns a row for each proxy."""
    rows = [[name, len(v), number_cell(v.mean(), ".4f")] for name, v in study.correlations.items()]
    return csv_text(("proxy", "seeds", "spearman"), rows)


def page(study):
    """Returns the page."""
    from jnas.pages._frame import study_page
    from jnas.pages._html import section, table

    rows = [[name, f"{v.mean():.3f}"] for name, v in study.correlations.items()]
    sections = {("results", "How well they order"): section("How well they order", table(["", ""], rows), id="results")}
    title, task = (
        "Proxies",
        f"{', '.join(study.config['proxies'])} ordered architectures of {study.config['table_name']}.",
    )
    return study_page(title, task, None, [], sections if rows else {}, study.config, study.versions)


KIND = _engine.Kind(
    folder=FOLDER,
    results=ProxyStudy,
    headline=lambda plan: f"{counted(len(plan.proxies), 'proxy score')} x {counted(plan.config['num_seeds'], 'seed')}",
    parts=lambda config: config["proxies"],
    file_name=lambda name: f"{name}.npz",
    identity=lambda work, name: {"proxy": name},
    estimate=estimate,
    run=run,
    save=lambda path, found, identity: write_archive(path, identity, {"correlations": found}),
    load=load,
    collect=lambda said, found, folder, plan: ProxyStudy(said["config"], said["versions"], found),
    outputs={"summary.csv": summary, "report.html": page},
)
