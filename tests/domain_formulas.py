"""MUNIT and UNIT written down straight, from a state dict, for tests."""

import torch
from torch.nn import functional as F


def count(module):
    return sum(p.numel() for p in module.parameters())


def conv(x, state, name, stride=1, norm="none", act=F.relu):
    weight = state[name + ".conv.weight"]
    pad = (weight.shape[2] - 1) // 2
    x = F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), weight, state[name + ".conv.bias"], stride)
    if norm == "instance":
        x = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    if norm == "layer":
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.var((1, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        gain, bias = state[name + ".norm.gamma"], state[name + ".norm.beta"]
        x = x * gain.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)
    return act(x)


def content_of(x, state, name, blocks=2):
    for i, stride in enumerate((1, 2, 2)):
        x = conv(x, state, f"{name}.model.{i}", stride, "instance")
    for i in range(blocks):
        block = f"{name}.model.3.model.{i}.model"
        y = conv(x, state, block + ".0", norm="instance")
        x = x + conv(y, state, block + ".1", norm="instance", act=lambda t: t)
    return x


def drawn(x, state, name, moments=None):
    k = x.shape[1]
    for i in range(2):
        y = x
        for j in range(2):
            y = conv(y, state, f"{name}.model.0.model.{i}.model.{j}", norm="instance", act=lambda t: t)
            if moments is not None:
                at = (2 * i + j) * 2 * k
                mean, std = moments[:, at : at + k, None, None], moments[:, at + k : at + 2 * k, None, None]
                y = std * y + mean
            y = y if j else F.relu(y)
        x = x + y
    for i in (2, 4):
        x = conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3), state, f"{name}.model.{i}", norm="layer")
    return conv(x, state, f"{name}.model.5", act=torch.tanh)


def moments_of(style, state, name):
    for i in range(3):
        style = style @ state[f"{name}.model.{i}.fc.weight"].T + state[f"{name}.model.{i}.fc.bias"]
        style = style if i == 2 else F.relu(style)
    return style
