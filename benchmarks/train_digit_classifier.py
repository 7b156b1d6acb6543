"""Train the digit classifier that is embedded in `organza.metrics.digits` (about three minutes on two cores).

python benchmarks/train_digit_classifier.py src/organza/metrics/digits.safetensors
"""

from __future__ import annotations

import sys

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from organza.data import open_dataset
from organza.metrics.digits import DigitClassifier

EPOCHS, BATCH = 8, 128


def main(path: str) -> None:
    """Adam with a one-cycle rate and shifts of up to two pixels, then weights in half precision to `path`."""
    torch.manual_seed(0)
    train, test = open_dataset("mnist"), open_dataset("mnist", split="test")
    network = DigitClassifier()
    steps = EPOCHS * len(train) // BATCH
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(steps):
        index = torch.randint(len(train), (BATCH,))
        images, labels = train.images[index], train.labels[index]
        shift = torch.randint(-2, 3, (2,)).tolist()
        loss = F.cross_entropy(network(images.roll(shift, (2, 3))), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    network.half().float()
    with torch.no_grad():
        hits = sum(
            int((network(images).argmax(1) == labels).sum())
            for images, labels in zip(test.images.split(500), test.labels.split(500), strict=True)
        )
    print(f"test accuracy {hits / len(test):.4f}")
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, path)


if __name__ == "__main__":
    main(sys.argv[1])
