"""PyTorch's part of `shared_cells.py`, which runs it with a Python that has PyTorch.

python shared_cells_torch.py PROBLEM.npz WORK THREADS
"""

import json
import resource
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

RATE, MOMENTUM, DECAY, CLIP = 0.025, 0.9, 3e-4, 5.0


class Block(nn.Module):
    """A convolution of as many input channels as come, batch-norm with the batch's statistics, ReLU, the first few."""

    def __init__(self, kernel, scale, shift):
        super().__init__()
        self.kernel = nn.Parameter(torch.tensor(kernel).contiguous())
        self.scale, self.shift = nn.Parameter(torch.tensor(scale)), nn.Parameter(torch.tensor(shift))

    def forward(self, images, channels=None):
        """Returns `[B, channels, H, W]`."""
        kernel = self.kernel[:, : images.shape[1]]
        out = functional.conv2d(images, kernel, padding=kernel.shape[-1] // 2)
        return functional.relu(functional.batch_norm(out, None, None, self.scale, self.shift, True))[:, :channels]


def square(kernel):
    """A kernel `[C', 9 C]` or `[C', 9, C]` as PyTorch has it."""
    return kernel.reshape(len(kernel), 3, 3, -1).transpose(0, 3, 1, 2)


class Module(nn.Module):
    """All cells."""

    def __init__(self, given, prefix):
        super().__init__()
        vertices = {name: given[f"{prefix}.vertices.{name}"] for name in ("one", "three", "scale", "shift")}
        count = len(vertices["one"])
        norms = [(vertices["scale"][v, :, 0], vertices["shift"][v, :, 0]) for v in range(count)]
        self.three = nn.ModuleList(
            Block(square(vertices["three"][v]), norms[v][0][0], norms[v][1][0]) for v in range(count)
        )
        self.one = nn.ModuleList(
            Block(vertices["one"][v][:, :, None, None], norms[v][0][1], norms[v][1][1]) for v in range(count)
        )
        names = ("kernel", "scale", "shift")
        inputs = [given[f"{prefix}.inputs.{name}"] for name in names]
        self.inputs = nn.ModuleList(
            Block(inputs[0][v][:, :, None, None], *(x[v] for x in inputs[1:])) for v in range(count)
        )
        kernel, *norm = (given[f"{prefix}.output.{name}"] for name in names)
        self.output = Block(kernel[:, :, None, None], *norm)

    def forward(self, images, matrix, operations, channels):
        """Returns what one cell gives."""
        nodes = {}
        for v in range(1, 6):
            width = int(channels[v])
            parts = [nodes[u][:, :width] for u in range(1, v) if matrix[u, v]]
            if matrix[0, v]:
                parts.append(self.inputs[v - 1](images, width))
            if not parts:
                continue
            total = sum(parts[1:], parts[0])
            if operations[v - 1] == 2:
                nodes[v] = functional.max_pool2d(total, 3, 1, 1)
            else:
                nodes[v] = (self.three if operations[v - 1] == 0 else self.one)[v - 1](total, width)
        joined = [nodes[u] for u in range(1, 6) if matrix[u, 6]]
        out = torch.cat(joined, 1) if joined else 0
        return out + self.output(images) if matrix[0, 6] else out


class Network(nn.Module):
    """The supernet."""

    def __init__(self, given):
        super().__init__()
        stem = [given[f"parameters.stem.{name}"] for name in ("kernel", "scale", "shift")]
        self.stem, self.in_stack = Block(square(stem[0]), *stem[1:]), int(given["modules"])
        self.parts = nn.ModuleList(Module(given, f"parameters.modules[{i}]") for i in range(3 * self.in_stack))
        self.kernel = nn.Parameter(torch.tensor(given["parameters.head.kernel"]))
        self.bias = nn.Parameter(torch.tensor(given["parameters.head.bias"]))

    def forward(self, images, matrix, operations, channels):
        """Returns logits."""
        images = self.stem(images)
        for number, part in enumerate(self.parts):
            if number and number % self.in_stack == 0:
                images = functional.max_pool2d(images, 2)
            images = part(images, matrix, operations, channels[number // self.in_stack])
        return images.mean((2, 3)) @ self.kernel.T + self.bias


def run(given, work):
    """Returns a number for each cell, and what it took."""
    network = Network(given)
    prefix = "" if work == "spos" else "scored_"
    images = torch.tensor(given[f"{prefix}images"]).permute(0, 1, 4, 2, 3).contiguous()
    labels = torch.tensor(given[f"{prefix}labels"]).long()
    cells = list(zip(given["matrices"], given["operations"], given["channels"], strict=True))
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    found, wall, cpu = [], time.perf_counter(), time.process_time()
    for number, cell in enumerate(cells):
        if work == "scoring":
            with torch.no_grad():
                right = sum(int((network(x, *cell).argmax(1) == y).sum()) for x, y in zip(images, labels, strict=True))
            found.append(right / labels.numel())
            continue
        # Parameters that a cell has no use for decay all the same, and keep their momentum.
        optimizer.zero_grad(set_to_none=False)
        loss = functional.cross_entropy(network(images[number], *cell), labels[number])
        loss.backward()
        for parameter in network.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        found.append(float(loss.detach()))
    return found, {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def main():
    """Answers each line of the standard input with one run's figures, as JSON."""
    work = sys.argv[2]
    torch.set_num_threads(int(sys.argv[3]))
    with np.load(sys.argv[1]) as file:
        given = dict(file)
    print(json.dumps({"losses": run(given, work)[0], "compile_s": 0.0, "compile_cpu_s": 0.0}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(run(given, work)[1]), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


if __name__ == "__main__":
    main()
