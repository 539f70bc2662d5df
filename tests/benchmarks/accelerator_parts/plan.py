"""The parts, their shares of the time, and their sizes. Free of JAX: the process that keeps the time has none."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Part(NamedTuple):
    """Some tasks of one kind, and what they may take of the time that is left when they begin."""

    name: str
    title: str  # in the table of results
    module: str  # of `accelerator_parts`; its `tasks(context, name)` returns them
    share: float  # beside those of the parts that follow; what one leaves over is for these


PARTS = (
    Part("check-training", "Training agrees with the CPU", "check_networks", 10),
    Part("check-supernets", "Weight sharing agrees with the CPU", "check_networks", 11),
    Part("check-predictors", "Predictors agree with the CPU", "check_searches", 5),
    Part("check-searchers", "Searches agree with the CPU", "check_searches", 6),
    Part("check-study", "A study agrees with the CPU", "check_searches", 2),
    Part("training", "Candidates an hour, NAS-Bench-201's 12-epoch recipe on CIFAR-10", "measure_training", 27),
    Part("supernets", "Weight-sharing searches at the published size", "measure_supernets", 22),
    Part("studies", "The default study", "measure_studies", 9),
    Part("bananas", "BANANAS", "measure_studies", 9),
)


class Sizes(NamedTuple):
    """How large everything is."""

    name: str
    toy: bool  # stand-ins for networks and supernets, which compile in a second
    channels: int  # of the networks and supernets that are measured
    cells: int  # in each stage
    side: int  # of their images, in pixels
    batch: int  # of training
    steps: int  # of training in a timed call, for one batch of evaluation: about as 50,000 are to 10,000 images
    candidates: tuple[int, ...]  # K
    supernet_images: int  # in a timed epoch of a supernet
    supernet_seeds: tuple[int, ...]
    study_seeds: tuple[int, ...]
    study_evaluations: int
    bananas_seeds: tuple[int, ...]
    bananas_evaluations: int
    studied: int | None = None  # searchers of a study; None for all
    most: int | None = None  # rows of a part


SIZES = {
    "published": Sizes(
        "published", False, 16, 5, 32, 256, 5, (1, 8, 32, 128), 512, (1, 4, 8), (500, 10_000), 100, (500,), 150
    ),
    "reduced": Sizes("reduced", False, 4, 1, 16, 32, 5, (1, 4), 128, (1, 2), (20, 40), 50, (4,), 40),
    "small": Sizes("small", True, 2, 1, 8, 16, 5, (1, 2), 128, (1, 2), (4,), 12, (2,), 20, 1, 2),
}
"""By name: `published` for accelerators; `reduced` has real networks on CPUs; `small` keeps the check itself alive."""


class Task(NamedTuple):
    """One comparison or measurement.

    What `prepare` does (tracing, compiling; of a comparison everything) may go on beside the preparation of others;
    `measure` has the device to itself. What it returns stands in a row of the results, under `status` whether it is
    `ok` or `differs`.
    """

    name: str
    prepare: Callable[[], Any]
    measure: Callable[[Any, Callable[[], float]], dict[str, Any]]  # of that, and a function: seconds left


def comparison(name: str, compare: Callable[[], dict[str, Any]]) -> Task:
    """Returns the task of a comparison, all of which is preparation."""
    return Task(name, compare, lambda found, left: found)


def verdict(difference: float, tolerance: float, **more: Any) -> dict[str, Any]:
    """Returns what a comparison came to; NaN differs."""
    status = "ok" if difference <= tolerance else "differs"
    return {"status": status, "difference": difference, "tolerance": tolerance, **more}
