"""PyTorch's part of `candidate_steps.py`, which runs it with a Python that has PyTorch: one candidate at a time.

python candidate_steps_torch.py PROBLEM.npz THREADS
"""

import json
import math
import resource
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


class Block(nn.Module):
    """ReLU (but for the stem), convolution, batch-norm."""

    def __init__(self, given, name, stride=1, activate=True):
        super().__init__()
        kernel = given[f"{name}/kernel"]
        size, _, inputs, outputs = kernel.shape
        self.convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.convolution.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        self.normalize = nn.BatchNorm2d(outputs)
        self.activate = activate

    def forward(self, images):
        """Returns `[B, C', H', W']`."""
        return self.normalize(self.convolution(functional.relu(images) if self.activate else images))


class Cell(nn.Module):
    """Nodes that nothing reaches are zero and cost nothing."""

    def __init__(self, given, name, arch):
        super().__init__()
        self.arch = arch
        sizes = {2: "one", 3: "three"}
        self.blocks = nn.ModuleDict(
            {str(e): Block(given, f"{name}/edge{e}/{sizes[c]}") for e, c in enumerate(arch) if c in sizes}
        )

    def forward(self, images):
        """Returns the last node."""
        nodes = [images]
        for target in (1, 2, 3):
            terms = [
                self.operation(e, nodes[source])
                for e, (source, end) in enumerate(EDGES)
                if end == target and self.arch[e] and nodes[source] is not None
            ]
            nodes.append(sum(terms[1:], terms[0]) if terms else None)
        return torch.zeros_like(images) if nodes[-1] is None else nodes[-1]

    def operation(self, edge, images):
        """Returns one edge's output."""
        if self.arch[edge] == 1:
            return images
        if self.arch[edge] == 4:
            return functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
        return self.blocks[str(edge)](images)


class Reduction(nn.Module):
    """A residual block of stride 2."""

    def __init__(self, given, name):
        super().__init__()
        self.first, self.second = Block(given, f"{name}/first", 2), Block(given, f"{name}/second")
        kernel = given[f"{name}/shortcut"]
        self.shortcut = nn.Conv2d(*kernel.shape, 1, bias=False)
        self.shortcut.weight.data = torch.tensor(kernel.T.copy())[:, :, None, None]

    def forward(self, images):
        """Returns an image of half the size."""
        return self.second(self.first(images)) + self.shortcut(functional.avg_pool2d(images, 2))


class Network(nn.Module):
    """The network of one architecture."""

    def __init__(self, given, arch, num_cells):
        super().__init__()
        layers = [Block(given, "stem", activate=False)]
        for number in range(3 * num_cells):
            if number and number % num_cells == 0:
                layers.append(Reduction(given, f"reduction{number // num_cells - 1}"))
            layers.append(Cell(given, f"cell{number}", arch))
        kernel = given["head/kernel"]
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(kernel.shape[0]), nn.ReLU())
        self.head = nn.Linear(*kernel.shape)
        self.head.weight.data = torch.tensor(kernel.T.copy())
        self.head.bias.data = torch.tensor(given["head/bias"])

    def forward(self, images):
        """Returns logits."""
        return self.head(self.layers(images).mean((2, 3)))


def losses(problem, recipe):
    """Trains every candidate and returns the mean of each one's losses."""
    images = torch.tensor(problem["images"].transpose(0, 3, 1, 2).copy())
    labels = torch.tensor(problem["labels"]).long()
    every = []
    for k, arch in enumerate(problem["archs"].tolist()):
        given = {name: array[k] for name, array in problem.items() if "/" in name}
        network = Network(given, arch, recipe["cells"])
        optimizer = torch.optim.SGD(
            network.parameters(),
            lr=recipe["learning_rate"],
            momentum=recipe["momentum"],
            weight_decay=recipe["weight_decay"],
            nesterov=True,
        )
        batches, mine = torch.tensor(problem["batches"][k]).long(), []
        for number, batch in enumerate(batches):
            optimizer.param_groups[0]["lr"] = (
                recipe["learning_rate"] * (1 + math.cos(math.pi * number / len(batches))) / 2
            )
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            mine.append(loss.detach())
        every.append(float(torch.stack(mine).mean()))
    return every


def main():
    """Answers each line of the standard input with one run's figures, as JSON."""
    torch.set_num_threads(int(sys.argv[2]))
    with np.load(sys.argv[1]) as file:
        problem = dict(file)
    recipe = json.loads(str(problem.pop("recipe")))
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"losses": losses(problem, recipe), "compile_s": 0.0, "compile_cpu_s": 0.0}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        losses(problem, recipe)
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": peak, "base_mb": base}), flush=True)


if __name__ == "__main__":
    main()
