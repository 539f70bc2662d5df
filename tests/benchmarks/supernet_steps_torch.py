"""PyTorch's part of `supernet_steps.py`, which runs it with a Python that has PyTorch.

python supernet_steps_torch.py PROBLEM.npz METHOD THREADS
"""

import json
import resource
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


class Block(nn.Module):
    """ReLU (but for the stem), convolution, batch-norm with the batch's statistics."""

    def __init__(self, kernel, stride=1, activate=True):
        super().__init__()
        outputs, size = kernel.shape[0], kernel.shape[2]
        self.convolution = nn.Conv2d(kernel.shape[1], outputs, size, stride, size // 2, bias=False)
        self.convolution.weight.data = kernel
        self.normalize = nn.BatchNorm2d(outputs, affine=False, track_running_stats=False)
        self.activate = activate

    def forward(self, images):
        """Returns `[B, C', H', W']`."""
        return self.normalize(self.convolution(functional.relu(images) if self.activate else images))


class Edge(nn.Module):
    """Five operations."""

    def __init__(self, one, three):
        super().__init__()
        self.one, self.three = Block(one), Block(three)

    def operation(self, number, images):
        """Returns what one of them gives."""
        if number == 0:
            return torch.zeros_like(images)
        if number == 1:
            return images
        if number == 4:
            return functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
        return (self.one if number == 2 else self.three)(images)

    def forward(self, images, weights, choice, method):
        """Returns their mixture, or one of them with or without its weight."""
        if method == "darts-v1":
            return sum(weights[k] * self.operation(k, images) for k in range(5))
        out = self.operation(choice, images)
        if method == "gdas":
            out = weights[choice] * out + sum(weights[k] for k in range(5) if k != choice)
        return out


class Reduction(nn.Module):
    """A residual block of stride 2."""

    def __init__(self, first, second, shortcut):
        super().__init__()
        self.first, self.second = Block(first, 2), Block(second)
        self.shortcut = nn.Conv2d(shortcut.shape[1], shortcut.shape[0], 1, bias=False)
        self.shortcut.weight.data = shortcut

    def forward(self, images):
        """Returns an image of half the size."""
        return self.second(self.first(images)) + self.shortcut(functional.avg_pool2d(images, 2))


class Supernet(nn.Module):
    """The network."""

    def __init__(self, given):
        super().__init__()

        def kernel(name, *index):
            array = given["parameters" + name][index] if index else given["parameters" + name]
            taps = 3 if name.endswith((".stem", ".first", ".second", ".three")) else 1
            array = array.reshape(array.shape[0], taps, taps, -1).transpose(0, 3, 1, 2)
            return torch.tensor(array.copy())

        num_cells = int(given["cells"])
        self.stem = Block(kernel(".stem"), activate=False)
        self.cells = nn.ModuleList(
            nn.ModuleList(
                Edge(*(kernel(f".cells[{stage}].{size}", cell, edge) for size in ("one", "three")))
                for edge in range(len(EDGES))
            )
            for stage in range(3)
            for cell in range(num_cells)
        )
        self.reductions = nn.ModuleList(
            Reduction(*(kernel(f".reductions[{k}].{name}") for name in ("first", "second", "shortcut")))
            for k in range(2)
        )
        weight, bias = given["parameters.head.kernel"], given["parameters.head.bias"]
        self.last = nn.BatchNorm2d(weight.shape[1], affine=False, track_running_stats=False)
        self.head = nn.Linear(weight.shape[1], weight.shape[0])
        self.head.weight.data, self.head.bias.data = torch.tensor(weight), torch.tensor(bias)
        self.per_stage = num_cells

    def forward(self, images, weights, arch, method):
        """Returns logits."""
        images = self.stem(images)
        for number, cell in enumerate(self.cells):
            if number and number % self.per_stage == 0:
                images = self.reductions[number // self.per_stage - 1](images)
            nodes = [images]
            for target in (1, 2, 3):
                terms = [
                    cell[e](nodes[source], weights[e], arch[e], method)
                    for e, (source, end) in enumerate(EDGES)
                    if end == target
                ]
                nodes.append(sum(terms[1:], terms[0]))
            images = nodes[-1]
        return self.head(functional.relu(self.last(images)).mean((2, 3)))


def run(given, method):
    """Makes five steps from the start and returns their losses."""
    sgd, adam = (json.loads(str(given[name])) for name in ("sgd", "adam"))
    network, alpha = Supernet(given), nn.Parameter(torch.tensor(given["alpha"]))
    weights_optimizer = torch.optim.SGD(
        network.parameters(),
        lr=sgd["learning_rate"],
        momentum=sgd["momentum"],
        weight_decay=sgd["weight_decay"],
        nesterov=True,
    )
    alpha_optimizer = torch.optim.Adam(
        [alpha], lr=adam["learning_rate"], betas=(adam["b1"], adam["b2"]), weight_decay=adam["weight_decay"]
    )
    images = torch.tensor(given["images"]).permute(0, 1, 2, 5, 3, 4).contiguous()
    labels = torch.tensor(given["labels"]).long()

    def backward(number, which):
        arch = given["archs"][number].tolist()
        weights = torch.softmax(alpha, -1)
        if method == "gdas":
            weights = (functional.one_hot(torch.tensor(arch), 5) - weights).detach() + weights
        logits = network(images[number, which], weights, arch, method)
        weights_optimizer.zero_grad()
        alpha_optimizer.zero_grad()
        loss = functional.cross_entropy(logits, labels[number, which])
        loss.backward()
        return float(loss.detach())

    losses, wall, cpu = [], time.perf_counter(), time.process_time()
    for number in range(len(images)):
        losses.append(backward(number, 0))
        nn.utils.clip_grad_norm_(network.parameters(), sgd["clip"])
        weights_optimizer.step()
        if method != "rsps":
            backward(number, 1)
            alpha_optimizer.step()
    return losses, {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def main():
    """Answers each line of the standard input with one run's figures, as JSON."""
    method = sys.argv[2]
    torch.set_num_threads(int(sys.argv[3]))
    with np.load(sys.argv[1]) as file:
        given = dict(file)
    print(json.dumps({"losses": run(given, method)[0], "compile_s": 0.0, "compile_cpu_s": 0.0}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(run(given, method)[1]), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


if __name__ == "__main__":
    main()
