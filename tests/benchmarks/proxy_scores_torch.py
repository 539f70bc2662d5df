"""PyTorch's part of `proxy_scores.py`, which runs it with a Python that has PyTorch: one network after another.

python proxy_scores_torch.py PROXY CELLS BATCH
"""

import json
import resource
import sys
import time

import numpy as np
import torch
from candidate_steps_torch import Network, functional
from torch import nn

CHANNELS, CLASSES = 16, 10


def shapes(arch):
    """Returns empty arrays of the shapes of a network of one cell a stage, by the names of weights."""

    def block(name, size, inputs, outputs):
        return {f"{name}/kernel": np.zeros((size, size, inputs, outputs), np.float32)}

    found = block("stem", 3, 3, CHANNELS)
    for stage in range(3):
        width = CHANNELS * 2**stage
        if stage:
            name = f"reduction{stage - 1}"
            found |= block(f"{name}/first", 3, width // 2, width) | block(f"{name}/second", 3, width, width)
            found[f"{name}/shortcut"] = np.zeros((width // 2, width), np.float32)
        for edge, choice in enumerate(arch):
            if choice in (2, 3):
                name = f"cell{stage}/edge{edge}/{'one' if choice == 2 else 'three'}"
                found |= block(name, 1 if choice == 2 else 3, width, width)
    return found | {
        "head/kernel": np.zeros((4 * CHANNELS, CLASSES), np.float32),
        "head/bias": np.zeros(CLASSES, np.float32),
    }


def make(arch):
    """Returns a network with PyTorch's own start."""
    network = Network(shapes(arch), arch, 1)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()
    return network


def weights(network):
    """Returns the weights of convolutions and linear layers."""
    return [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def synflow(network, images, labels):
    """Returns synaptic flow, in float64 as released."""
    for block in network.modules():
        if hasattr(block, "normalize"):
            block.normalize = nn.Identity()
    network.layers = nn.Sequential(*(m for m in network.layers if not isinstance(m, nn.BatchNorm2d)))
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    network(torch.ones_like(images[:1]).double()).sum().backward()
    return sum(float((w.detach() * w.grad).abs().sum()) for w in weights(network) if w.grad is not None)


def grad_norm(network, images, labels):
    """Returns the sum of the layers' norms."""
    functional.cross_entropy(network(images), labels).backward()
    return sum(float(w.grad.norm()) for w in weights(network) if w.grad is not None)


def jacov(network, images, labels):
    """Returns the spread of the images' gradients."""
    images.requires_grad_(True)
    network(images).sum().backward()
    values = np.linalg.eigvalsh(np.corrcoef(images.grad.reshape(len(images), -1).numpy())) + 1e-5
    return -np.sum(np.log(values) + 1 / values)


def nwot(network, images, labels):
    """Returns the logarithm of the determinant of how many ReLUs agree."""
    kernel, relu = torch.zeros(len(images), len(images)), functional.relu

    def watched(value, *more, **named):
        nonlocal kernel
        opened = (value > 0).float().reshape(len(value), -1)
        kernel = kernel + opened @ opened.T + (1 - opened) @ (1 - opened).T
        return relu(value, *more, **named)

    functional.relu = watched
    try:
        with torch.no_grad():
            network(images)
    finally:
        functional.relu = relu
    return np.linalg.slogdet(kernel.numpy())[1]


def main():
    """Answers each line of the standard input, a number of cells, with the CPU seconds of one, as JSON."""
    torch.set_num_threads(1)
    score, cells, batch = {f.__name__: f for f in (synflow, grad_norm, jacov, nwot)}[sys.argv[1]], *sys.argv[2:]
    archs, generator = json.loads(cells), torch.Generator().manual_seed(0)
    images = torch.randn((int(batch), 3, 32, 32), generator=generator)
    labels = torch.arange(int(batch)) % CLASSES

    def scored(arch):
        try:
            with np.errstate(all="ignore"):
                return score(make(arch), images.clone(), labels)
        except np.linalg.LinAlgError:  # of a cell without a path
            return float("nan")

    scored(archs[0])
    print(json.dumps({"trace": 0.0, "compile": 0.0}), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        for arch in archs[: int(line)]:
            scored(arch)
        print(json.dumps({"cpu": (time.process_time() - start) / int(line)}), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}), flush=True)


if __name__ == "__main__":
    main()
