"""DARTS: the operations of each edge mixed by a softmax, and the mixture learned by gradient descent."""

from typing import Any, Literal

from jnas.core._vocabulary import Decisions, Key, Supernet, WeightSharingSearcher, decisions_of
from jnas.searchers._recorded import recorded
from jnas.searchers.weight_sharing._architecture_parameters import (
    Adam,
    AlphaState,
    EdgeWeights,
    Reachable,
    alpha_functions,
    begin_preferences,
    partial_channels,
    preferences_of,
    with_preferences,
)
from jnas.searchers.weight_sharing._shared_weights import Sgd, check_schedule
from jnas.searchers.weight_sharing._split import Split, check_few_shot
from jnas.searchers.weight_sharing.mixtures._adaptive import Adaptation, begin_adaptation, check_adaptation
from jnas.searchers.weight_sharing.mixtures._early_stopping import EarlyStopping, begin_watch, check_early_stopping
from jnas.searchers.weight_sharing.mixtures._few_shot import split_search
from jnas.searchers.weight_sharing.mixtures._perturbation import Perturbation, check_perturbation
from jnas.searchers.weight_sharing.mixtures._projection import (
    Projection,
    check_projection,
    check_selectable,
    derive_by_perturbation,
)
from jnas.searchers.weight_sharing.mixtures._steps import (
    Order,
    Rules,
    check_kept,
    check_words,
    make_step,
    tuned_rules,
    warm_up_epochs,
    weights_in,
)
from jnas.searchers.weight_sharing.mixtures._unrolled import SecondOrder
from jnas.searchers.weight_sharing.mixtures._weights import MixingName, make_mixing, skips_of

ChooseBy = Literal["magnitude", "perturbation"]


@recorded
def darts(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 50,
    order: Order = "first",
    second: SecondOrder = "exact",
    sgd: Sgd = Sgd(),  # noqa: B008 (immutable)
    adam: Adam = Adam(),  # noqa: B008
    init_scale: Any = 1e-3,
    unroll_rate: Any = None,
    reachable: Reachable = "whole",
    partial: int = 1,
    edge_weights: EdgeWeights = "equal",
    warm_up: float = 0.0,
    unroll_clip: Any = None,
    mixing: MixingName = "softmax",
    penalty: Any = None,
    perturbation: Perturbation = Perturbation(),  # noqa: B008
    auxiliary_skip: Any = None,
    stopping: EarlyStopping = EarlyStopping(),  # noqa: B008
    kept: tuple[int, ...] = (),
    choose_by: ChooseBy = "magnitude",
    projection: Projection = Projection(),  # noqa: B008
    adapting: Adaptation = Adaptation(),  # noqa: B008
    split: Split = Split(),  # noqa: B008
) -> WeightSharingSearcher:
    """Returns DARTS, with the published hyper-parameters of NAS-Bench-201's comparison; or what came after it.

    The later methods are arguments, which may be given together; each by itself, with its published settings, has a
    name (`make_weight_sharing`): PC-DARTS (`partial`, `edge_weights`, `warm_up`), DrNAS (`mixing='dirichlet'`), SDARTS
    (`perturbation`), DARTS- (`auxiliary_skip`), RobustDARTS's early stopping (`stopping`) and
    adaptive regularization (`adapting`), FairDARTS (`mixing='sigmoid'`), P-DARTS's stages (`kept`), DARTS-PT
    (`choose_by='perturbation'`). Few-shot search is the argument `split` alone.

    First order (DARTS-V1): the weights make a step on the training batch, then alpha one on the validation batch.
    Second order (DARTS-V2): alpha first, by the gradient of the validation loss at
    `w' = w - rate * (momentum * m + gradient + weight_decay * w)`, the weights after a step as a function of alpha;
    then the weights.

    Batch-norm uses the statistics of each batch. Running estimates are taken from the weights' steps alone; the
    published scripts also move them in the passes of the architecture's step and of the finite difference.

    Args:
      supernet: What is trained.
      steps_per_epoch: Steps that go through the training images once; the learning rate follows it.
      epochs: Of the whole search. Published with 50 and batches of 64.
      order: `'first'` or `'second'`.
      second: How the second-order term is computed: `'exact'`, by one product of the Hessian and a vector, forward over
        reverse; or `'finite_difference'`, by two more gradients, as published. The two agree where the loss is smooth.
        A network of ReLUs is not: over the published distance of 0.01 many of them switch, and in a small network their
        jumps, not the curvature, are what the difference measures.
      sgd: How the weights are trained.
      adam: How alpha is.
      init_scale: Standard deviation of the first alpha.
      unroll_rate: The learning rate of `w'`, by default that of the weights; 0 makes the second order's gradient that
        of the first.
      reachable: `'whole'`: what reaches every architecture; on NAS-Bench-101 a softmax over whether each edge is there,
        and over the operations of each vertex. `'released'`, there: as the evaluation of search phases mixes, one
        predecessor or none for each vertex and all vertices at the output, which expresses few cells
        (`jnas.spaces.reachable_cells`).
      partial: In how many parts the channels of an edge are, of which one goes through the operations and the others
        pass; where the supernet has such edges (`Supernet.partial`).
      edge_weights: `'equal'`, or `'learned'`: the edges into a node are weighed by a softmax, whose logits are rows of
        alpha after those of the operations; two edges into each node are derived by the products of both.
      warm_up: The share of the epochs, the first ones (of each stage), in which the weights alone are trained; 15 of 50
        as PC-DARTS was published.
      unroll_clip: Largest norm of the gradient in the step to `w'`, or None; on Penn Treebank published with 0.25.
      mixing: How alpha becomes the weights of the mixture: by a `'softmax'`; by a draw of `'dirichlet'`, one for each
        step of the weights and one for each of alpha, of concentrations `elu(alpha) + 1`, with pathwise gradients; or
        by a `'sigmoid'` of each number, `none` excepted, which is never chosen then.
      penalty: How much of the rule's penalty is added to the loss that alpha follows: the divergence of Dirichlet's
        distributions from flat ones (the published default is `adam.weight_decay` in its place), or minus the mean
        squared distance of sigmoids from a half (FairDARTS's zero-one loss, published with 10). None for nothing.
      perturbation: How the weights of the mixture are moved before each step of the shared weights.
      auxiliary_skip: The weight of a skip connection beside the operations of each edge that has one among them, in the
        first epoch; it falls to 0 epoch by epoch. Where a skip halves the image it is that edge's own (as released it
        has weights of its own). None for none; 1 as published.
      stopping: Whether a search is stopped, and goes back, where the largest eigenvalue of the Hessian of the
        validation loss in alpha grows; it is measured on the last batch of an epoch. What has stopped stays as it was,
        with the alpha that it went back to.
      kept: How many operations each edge keeps in each stage after the first, those of the largest alpha; stages are
        as long as one another. The network stays as it is (as published it becomes deeper or wider, and P-DARTS begins
        its weights anew and has dropout on skips).
      choose_by: By the `'magnitude'` of alpha, or by `'perturbation'`: the operation stays without which the trained
        supernet is worst (`select_by_perturbation`). Looks before the last epoch are by magnitude.
      projection: How the supernet is tuned between the decisions of the latter.
      adapting: Whether a search goes on where `stopping` would stop it: from the weights, alpha and optimizers of the
        epoch that it goes back to, with a larger decay of the shared weights. As published the epochs between are made
        once more; here the search has as many as any other, its learning rate falls on, and checkpoints before the one
        gone back to last are not kept. Those that are stay in memory: of the published rule seven, each with the
        weights of the supernet, their momentum, and alpha with its optimizer. Not with `kept`: a search would
        go back to operations that a stage has dropped.
      split: Whether the supernet becomes one for each operation of an edge, and when. These take turns, a step each,
        each with an alpha of its own; the mixture of the best validation metric is the one that is derived from. As
        published each is trained as long as a search by itself. Not with `stopping`, `kept` or a selection by
        perturbation.

    Returns:
      A searcher that derives what the supernet's `discretize` makes of alpha; on NAS-Bench-201 the operation of the
      largest alpha on each edge, `none` included. With `reachable='released'`, the most frequent of 1,000 draws.

    Raises:
      TypeError: `steps_per_epoch` or `epochs` is not a Python int.
      ValueError: An argument is out of range, or the supernet has no released decisions, partial edges, edges to weigh
        or skip connections, or is none that a selection by perturbation decides on.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 2.3, Equations 5 to 8, and
        Algorithm 1; in "NAS-Bench-201", Dong and Yang, 2020, Section 4.
      "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", Xu et al., 2020, Section 3.
      "DrNAS: Dirichlet Neural Architecture Search", Chen et al., 2021, Sections 3.1 and 3.2.
      "Stabilizing Differentiable Architecture Search via Perturbation-based Regularization", Chen and Hsieh, 2020.
      "DARTS-: Robustly Stepping out of Performance Collapse Without Indicators", Chu et al., 2021, Equation 6.
      "Understanding and Robustifying Differentiable Architecture Search", Zela et al., 2020, Sections 4 (early
        stopping) and 5 (adaptive regularization), and its released code.
      "Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture Search", Chu et al., 2020, Section 4.
      "Progressive Differentiable Architecture Search", Chen et al., 2019, Section 3.2.
      "Rethinking Architecture Selection in Differentiable NAS", Wang et al., 2021, Section 5.
      "Few-shot Neural Architecture Search", Zhao et al., 2021, Section 3.
    """
    stages = 1 + len(check_kept(kept, edge_weights))
    if kept and isinstance(adapting, Adaptation) and adapting.factor:
        raise ValueError(
            "adapting is given, and with kept a search would go back to operations that a stage has dropped; give one "
            "of both"
        )
    check_words(order=(order, Order), second=(second, SecondOrder), choose_by=(choose_by, ChooseBy))
    schedule = check_schedule(steps_per_epoch, epochs)
    if check_few_shot(split, supernet).edge is not None:
        _check_splittable(stopping, kept, choose_by)
    trained = partial_channels(supernet, partial)
    preferences = preferences_of(trained, reachable, edge_weights)
    mixed = with_preferences(trained, preferences)
    decisions = preferences.decisions
    rules = Rules(
        supernet=mixed,
        schedule=schedule,
        mixing=make_mixing(mixing, decisions, penalty, _none_of(trained, decisions)),
        sgd=sgd,
        adam=adam,
        order=order,
        second=second,
        unroll_rate=unroll_rate,
        unroll_clip=unroll_clip,
        waits=warm_up_epochs(warm_up, epochs, stages),
        kept=kept,
        skips=None if auxiliary_skip is None else skips_of(decisions),
        auxiliary_skip=auxiliary_skip,
        perturbation=check_perturbation(perturbation),
        stopping=check_early_stopping(stopping, epochs),
        adapting=check_adaptation(adapting, stopping, sgd.weight_decay),
    )

    def init(key: Key) -> AlphaState:
        state = begin_preferences(key, mixed, preferences, init_scale, adam)
        if stopping.every and adapting.factor:
            held = state.weights, state.alpha, state.optimizer
            return state._replace(stop=begin_adaptation(held, sgd.weight_decay, stopping, epochs))
        return state._replace(stop=begin_watch(state.alpha, stopping, epochs)) if stopping.every else state

    searcher = WeightSharingSearcher(
        init,
        make_step(rules),
        *alpha_functions(supernet, preferences, rules.mixing.logits, rules.mixing.derived),
        _name(rules, partial, choose_by),
        mixed=mixed,
        supernet=None if trained is supernet else trained,
        mixture_weights=None if mixing == "softmax" and auxiliary_skip is None else weights_in(rules),
        tuned=make_step(tuned_rules(rules)),
    )
    if split.edge is not None:
        return split_search(searcher, supernet, split, schedule)
    if choose_by == "magnitude":
        return searcher
    check_selectable(searcher, supernet)
    ends = schedule.steps_per_epoch * epochs
    return searcher._replace(
        derive=derive_by_perturbation(searcher, supernet, ends, check_projection(projection)),
    )


def _check_splittable(stopping: EarlyStopping, kept: tuple[int, ...], choose_by: str) -> None:
    """Raises a `ValueError` where a search does what parts that take turns do not do."""
    given = ("stopping" * (stopping.every > 0), "kept" * bool(kept), "choose_by" * (choose_by != "magnitude"))
    if any(given):
        raise ValueError(f"split is given, and {next(filter(None, given))} is of one supernet alone; give one of both")


def _none_of(supernet: Supernet, learned: Decisions) -> int | None:
    """Returns the choice that stands for no edge, where the edges into a node are compared with one another."""
    if supernet.reading is not None:
        return learned.names[0].index("none")
    return decisions_of(supernet).absent


def _name(rules: Rules, partial: int, choose_by: ChooseBy) -> str:
    """Returns what literature calls a search by such rules; of several, the first that it has."""
    moved = {"random": "sdarts-rs", "adversarial": "sdarts-adv"}
    names = (
        (choose_by == "perturbation", "darts-pt"),
        (rules.mixing.draws, "drnas"),
        (rules.skips is not None, "darts-minus"),
        (rules.perturbation.kind in moved, moved.get(rules.perturbation.kind, "")),
        (bool(rules.adapting.factor), "darts-ada"),
        (rules.stopping.every > 0, "darts-es"),
        (rules.mixing.independent, "fair-darts"),
        (bool(rules.kept), "p-darts"),
        (partial > 1, "pc-darts"),
        (rules.order == "first", "darts-v1"),
    )
    return next((name for holds, name in names if holds), "darts-v2")
