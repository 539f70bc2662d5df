"""PyTorch's part of `recurrent_steps.py`, which runs it with a Python that has PyTorch: language models, plainly.

python recurrent_steps_torch.py UNITS BATCH STEPS WORDS CELLS_AS_JSON
"""

import json
import resource
import sys
import time

import torch
from torch import nn

ACTIVATIONS = (torch.tanh, torch.relu, torch.sigmoid, lambda x: x)


class LanguageModel(nn.Module):
    """A recurrent cell between an embedding and the same as decoder."""

    def __init__(self, units, words, arch):
        super().__init__()
        self.cell = list(zip(arch[0::2], arch[1::2], strict=True))
        self.words = nn.Parameter(torch.empty(words, units).uniform_(-0.04, 0.04))
        self.bias = nn.Parameter(torch.zeros(words))
        self.initial = nn.Parameter(torch.empty(2 * units, 2 * units).uniform_(-0.04, 0.04))
        self.nodes = nn.ParameterList(torch.empty(units, 2 * units).uniform_(-0.04, 0.04) for _ in self.cell)

    def step(self, inputs, hidden):
        """Returns the next hidden state."""
        gate, candidate = (torch.cat([inputs, hidden], 1) @ self.initial).chunk(2, 1)
        states = [hidden + gate.sigmoid() * (candidate.tanh() - hidden)]
        for (number, operation), weights in zip(self.cell, self.nodes, strict=True):
            read = states[number]
            gate, candidate = (read @ weights).chunk(2, 1)
            states.append(read + gate.sigmoid() * (ACTIVATIONS[operation](candidate) - read))
        return torch.stack(states[1:]).mean(0)

    def forward(self, tokens, targets, hidden):
        """Returns the mean cross-entropy of a window."""
        outputs = []
        for inputs in nn.functional.embedding(tokens, self.words):
            hidden = self.step(inputs, hidden)
            outputs.append(hidden)
        logits = torch.stack(outputs).flatten(0, 1) @ self.words.T + self.bias
        return nn.functional.cross_entropy(logits, targets.flatten())


def main():
    """Answers each line of the input, a number of steps, with the CPU seconds of one, the mean over the cells."""
    units, batch, steps, words = map(int, sys.argv[1:5])
    torch.set_num_threads(1)
    models = [LanguageModel(units, words, arch) for arch in json.loads(sys.argv[5])]
    optimizers = [torch.optim.SGD(model.parameters(), 20.0) for model in models]
    tokens = torch.randint(0, words, (steps + 1, batch))
    hidden = torch.zeros(batch, units)

    def step(model, optimizer):
        optimizer.zero_grad()
        model(tokens[:-1], tokens[1:], hidden).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()

    step(models[0], optimizers[0])
    print(json.dumps({"trace": 0.0, "compile": 0.0}), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        for _ in range(int(line)):
            for model, optimizer in zip(models, optimizers, strict=True):
                step(model, optimizer)
        print(json.dumps({"cpu": (time.process_time() - start) / int(line) / len(models)}), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}), flush=True)


if __name__ == "__main__":
    main()
