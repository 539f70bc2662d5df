"""FairNAS: architectures that have each operation once at every decision make one step of the weights together."""

from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Batch, Examples, Key, StepInfo, Supernet, WeightSharingSearcher, decisions_of
from jnas.io._text import not_one_of
from jnas.searchers._recorded import recorded
from jnas.searchers.weight_sharing._candidates import Selection
from jnas.searchers.weight_sharing._rsps import RspsState, rsps, uniform_archs
from jnas.searchers.weight_sharing._shared_weights import (
    Measured,
    Sgd,
    WeightsState,
    arch_gradients,
    as_architecture,
    check_schedule,
    learning_rate,
    paced,
    step_info,
    step_weights,
    unmeasured,
)
from jnas.searchers.weight_sharing._spos import EVALUATED_SELECTION, EVALUATED_SGD
from jnas.spaces._registry import partition_of

Topologies = Literal["one", "partition"]


@recorded
def fairnas(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 200,
    sgd: Sgd = EVALUATED_SGD,
    selection: Selection = EVALUATED_SELECTION,
    topologies: Topologies = "one",
) -> WeightSharingSearcher:
    """Returns FairNAS's strict fairness, with the published hyper-parameters of the evaluation of search phases.

    Each step draws an architecture uniformly, whose choices of operations are then put aside: each decision's
    operations are permuted, independently of the others', and one architecture after another takes the next of each.
    So with three operations three architectures have each of them once at every vertex. Their gradients on the training
    batch are summed (not averaged), clipped together, and make one step. What a step tells is the mean of the three. At
    the end uniform architectures are compared as in `spos`.

    A decision with fewer operations than another begins again with its first. Where not every edge is there, as on
    DARTS's space, edges that the drawn architecture lacks stay so, and operations of the others are permuted.

    With `topologies='partition'`, known as `topo_fairnas`, a batch makes several such steps, one after another, with
    topologies of which each vertex is in exactly one: each that fits the vertices that are left is as likely. (The
    released code also draws those without a vertex.) It is as before in a space whose architectures are no graphs.

    Published with batches of 256.

    Args:
      supernet: What is trained; `Decisions.operations` says which decisions choose an operation.
      steps_per_epoch: Steps that go through the training images once; the learning rate follows it.
      epochs: Of the whole search.
      sgd: How the weights are trained.
      selection: How candidates are compared.
      topologies: Of a batch: `'one'`, or a `'partition'` of the vertices.

    Raises:
      TypeError: `steps_per_epoch` or `epochs` is not a Python int, or `selection` is no `Selection`.
      ValueError: An argument is out of range.

    References:
      "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search", Chu et al., 2019, Section
        3 and Algorithm 1; in "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020.
    """
    if topologies not in get_args(Topologies):
        raise ValueError(not_one_of("topologies", topologies, get_args(Topologies)))
    schedule = check_schedule(steps_per_epoch, epochs)
    usual = rsps(supernet, steps_per_epoch=steps_per_epoch, epochs=epochs, sgd=sgd, selection=selection)

    def step(state: RspsState, batch: Batch) -> tuple[RspsState, StepInfo]:
        key, arch_key, order_key = jax.random.split(state.key, 3)
        archs = fair_archs(order_key, supernet, uniform_archs(arch_key, supernet, 1)[0])
        rate = learning_rate(sgd, schedule, state.step)
        trained, measured = train_together(supernet, state.weights, archs, batch.train, rate, sgd)
        return RspsState(key, state.step + 1, trained), step_info(batch, measured)

    def step_of_each(state: RspsState, batch: Batch) -> tuple[RspsState, StepInfo]:
        assert partition is not None
        key, topology_key, order_key = jax.random.split(state.key, 3)
        archs, there = partition(topology_key)
        rate = learning_rate(sgd, schedule, state.step)

        def train(weights: WeightsState, each: tuple[Array, Array, Key]) -> tuple[WeightsState, Measured]:
            arch, is_there, key = each
            together = lambda state: train_together(  # noqa: E731
                supernet, state, fair_archs(key, supernet, arch), batch.train, rate, sgd
            )
            nothing = unmeasured(batch.train)._replace(loss=jnp.float32(0), metric=jnp.float32(0))
            found: tuple[WeightsState, Measured] = jax.lax.cond(
                is_there, together, lambda state: (state, nothing), weights
            )
            return found

        keys = jax.random.split(order_key, len(archs))
        trained, measured = jax.lax.scan(train, state.weights, (archs, there, keys))
        loss, metric = (jnp.sum(each) / jnp.sum(there) for each in measured[:2])
        means = Measured(loss, metric, _last(measured))
        return RspsState(key, state.step + 1, trained), step_info(batch, means)

    if topologies == "one":
        return usual._replace(step=step, name="fairnas")
    partition = partition_of(supernet.space)
    return usual._replace(step=step if partition is None else step_of_each, name="topo_fairnas")


def fair_archs(key: Key, supernet: Supernet, arch: Array) -> Array:
    """Returns architectures int32 `[M, E]` that have each operation once at every decision, and else are alike.

    Args:
      key: Of the permutations.
      supernet: Says which decisions choose operations, and which there are; `M` is the largest number of them.
      arch: int32 `[E]`, valid: the choices that are no operations, and the edges that are not there.
    """
    decisions = decisions_of(supernet)
    absent = decisions.absent
    if absent is not None:  # no operation to be permuted
        decisions = decisions._replace(mask=decisions.mask & (np.arange(decisions.shape[1]) != absent))
    chosen = np.ones(len(decisions.mask), bool) if decisions.operations is None else decisions.operations
    noise = jnp.where(decisions.mask, jax.random.uniform(key, decisions.shape, jnp.float32), jnp.inf)
    number = jax.lax.broadcasted_iota(jnp.int32, decisions.shape, 1)
    _, orders = jax.lax.sort_key_val(noise, number, dimension=1)  # [E, K], choices that there are first
    places = np.arange(decisions.counts[chosen].max())[:, None] % decisions.counts[None]
    operations = jnp.take_along_axis(orders, places.T.astype(np.int32), axis=1).T
    archs = jnp.where(chosen[None], operations, arch[None])
    if absent is not None:
        return jnp.where(arch[None] == absent, arch[None], archs)
    return jax.vmap(lambda each: as_architecture(supernet, each))(archs)


def train_together(
    supernet: Supernet, state: WeightsState, archs: Array, examples: Examples, rate: Any, settings: Sgd
) -> tuple[WeightsState, Measured]:
    """Returns the weights after one step by the sum of the gradients of architectures int32 `[M, E]`.

    And the means of what was measured. Running estimates take in one architecture after the other.
    """
    parameters = state.shared.parameters
    shape = jax.tree.map(jnp.shape, examples.inputs)

    def add(carry: tuple[Any, Any], arch: Array) -> tuple[tuple[Any, Any], Measured]:
        total, statistics = carry
        gradients, (measured, used) = arch_gradients(supernet, parameters, arch, examples)
        statistics = supernet.running(statistics, used, settings.batch_norm_momentum, shape, arch=arch)
        return (jax.tree.map(jnp.add, total, gradients), statistics), measured

    nothing = jax.tree.map(jnp.zeros_like, parameters)
    (gradients, statistics), measured = jax.lax.scan(add, (nothing, state.shared.statistics), archs)
    means = Measured(jnp.mean(measured.loss), jnp.mean(measured.metric), _last(measured))
    rate = paced(supernet.task, rate, examples)
    return step_weights(state, gradients, statistics, rate, settings), means


def _last(measured: Measured) -> Any:
    """Returns the state after a window that the last of several architectures came to."""
    return jax.tree.map(lambda each: each[-1], measured.carried)
