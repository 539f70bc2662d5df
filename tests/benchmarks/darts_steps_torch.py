"""PyTorch's part of `darts_steps.py`, which runs it with a Python that has PyTorch: the networks in a plain form.

python darts_steps_torch.py ROW CHANNELS CELLS BATCH SIZE CELLS_AS_JSON
"""

import json
import resource
import sys
import time

import torch
from torch import nn

OPERATIONS = ("max_pool", "avg_pool", "skip", "sep_3", "sep_5", "dil_3", "dil_5", "none")


def norm(channels, affine):
    """Returns a batch-norm."""
    return nn.BatchNorm2d(channels, affine=affine)


def depthwise(channels, size, stride, dilation, affine):
    """Returns ReLU, depthwise and 1x1 convolution, batch-norm."""
    border = dilation * (size // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, size, stride, border, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        norm(channels, affine),
    )


class Halved(nn.Module):
    """Half of the channels from every other pixel, half from those one further down."""

    def __init__(self, inputs, outputs, affine):
        super().__init__()
        self.one = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.two = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.norm = norm(outputs, affine)

    def forward(self, images):
        """Returns `[B, C', H / 2, W / 2]`."""
        images = torch.relu(images)
        return self.norm(torch.cat([self.one(images), self.two(images[:, :, 1:, 1:])], 1))


class Zero(nn.Module):
    """Nothing, of half the size where the stride is 2."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, images):
        """Returns zeros."""
        return images[:, :, :: self.stride, :: self.stride] * 0.0


def operation(number, channels, stride, search):
    """Returns one of the operations; in the search network pools have a batch-norm, and none learns a scale."""
    affine = not search
    if number in (0, 1):
        pool = nn.AvgPool2d(3, stride, 1, count_include_pad=False) if number else nn.MaxPool2d(3, stride, 1)
        return nn.Sequential(pool, norm(channels, False)) if search else pool
    if number == 2:
        return nn.Identity() if stride == 1 else Halved(channels, channels, affine)
    if number == 7:
        return Zero(stride)
    size = 3 if number in (3, 5) else 5
    if number in (3, 4):
        rounds = [depthwise(channels, size, step, 1, affine) for step in (stride, 1)]
        return nn.Sequential(*rounds)
    return depthwise(channels, size, stride, 2, affine)


class Mixed(nn.Module):
    """All operations on an edge."""

    def __init__(self, channels, stride):
        super().__init__()
        self.operations = nn.ModuleList([operation(number, channels, stride, True) for number in range(8)])

    def forward(self, images, weights):
        """Returns their sum by weights."""
        return sum(weight * each(images) for weight, each in zip(weights, self.operations, strict=True))


class Cell(nn.Module):
    """A cell of one architecture, or of the search."""

    def __init__(self, wiring, inputs, channels, reduction, after_reduction):
        super().__init__()
        search = wiring is None
        self.wiring, self.search = wiring, search
        before = nn.Sequential(nn.ReLU(), nn.Conv2d(inputs[0], channels, 1, bias=False), norm(channels, not search))
        self.first = Halved(inputs[0], channels, not search) if after_reduction else before
        self.second = nn.Sequential(
            nn.ReLU(), nn.Conv2d(inputs[1], channels, 1, bias=False), norm(channels, not search)
        )
        self.edges = nn.ModuleList()
        for node in range(4):
            for state, choice in [(s, None) for s in range(2 + node)] if search else wiring[node]:
                stride = 2 if reduction and state < 2 else 1
                each = Mixed(channels, stride) if search else operation(choice, channels, stride, False)
                self.edges.append(each)

    def forward(self, before, last, weights):
        """Returns the nodes, concatenated."""
        states, number = [self.first(before), self.second(last)], 0
        for node in range(4):
            incoming = []
            for state in range(2 + node) if self.search else [state for state, _ in self.wiring[node]]:
                edge = self.edges[number]
                incoming.append(edge(states[state], weights[number]) if self.search else edge(states[state]))
                number += 1
            states.append(sum(incoming))
        return torch.cat(states[2:], 1)


class Network(nn.Module):
    """Stem, cells, head."""

    def __init__(self, wirings, channels, cells):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * channels, 3, padding=1, bias=False), norm(3 * channels, True))
        inputs, self.cells, reduced = (3 * channels, 3 * channels), nn.ModuleList(), False
        self.reductions = [number in (cells // 3, 2 * cells // 3) for number in range(cells)]
        for reduction in self.reductions:
            channels *= 2 if reduction else 1
            wiring = None if wirings is None else wirings[int(reduction)]
            self.cells.append(Cell(wiring, inputs, channels, reduction, reduced))
            inputs, reduced = (inputs[1], 4 * channels), reduction
        self.head = nn.Linear(inputs[1], 10)

    def forward(self, images, weights):
        """Returns logits."""
        before = last = self.stem(images)
        for cell, reduction in zip(self.cells, self.reductions, strict=True):
            before, last = last, cell(before, last, None if weights is None else weights[int(reduction)])
        return self.head(last.mean((2, 3)))


def main():
    """Answers each line of the input with the CPU seconds of so many steps."""
    row, wirings = sys.argv[1], json.loads(sys.argv[6])
    channels, cells, batch, size = map(int, sys.argv[2:6])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    search = row == "search"
    network = Network(None if search else wirings, channels, cells)
    optimizer = torch.optim.SGD(network.parameters(), 0.025, 0.9, weight_decay=3e-4)
    images, labels = torch.randn(batch, 3, size, size), torch.arange(batch) % 10
    weights = torch.full((2, 14, 8), 1 / 8) if search else None

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images, weights), labels)
        loss.backward()
        if search:
            nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()
        return loss.item()

    print(json.dumps({"parameters": sum(p.numel() for p in network.parameters()), "loss": step()}), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        for _ in range(int(line)):
            step()
        print(json.dumps({"cpu": (time.process_time() - start) / int(line)}), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}), flush=True)


if __name__ == "__main__":
    main()
