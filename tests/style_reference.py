"""The networks of the StyleGAN family once more, straight down and slowly, from tensors with their official names.

One sample and one kernel at a time, zeros put between samples by hand, no factor moved to another place: what the
papers say and nothing else, to be compared with `organza.models.stylegan2` and `stylegan3`.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROOT2 = math.sqrt(2)
FIR = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
FIR2 = torch.outer(FIR, FIR) / 64
Tensors = dict[str, Tensor]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def shaken(network: nn.Module, size: float = 0.5) -> nn.Module:
    """In float64, with no parameter and no noise at a special value."""
    network.double()
    with torch.no_grad():
        for number, (name, parameter) in enumerate(network.named_parameters()):
            rate = 100 if ".fc" in name and "mapping" in name else 1
            parameter.add_(rate * size * random(*parameter.shape, seed=number))
        for number, (name, buffer) in enumerate(network.named_buffers()):
            if name.endswith("noise_const"):
                buffer.copy_(random(*buffer.shape, seed=999 + number))
    return network


def upfirdn(x: Tensor, f: Tensor, up: int = 1, down: int = 1, pad=((0, 0), (0, 0)), gain: float = 1.0) -> Tensor:
    """Zeros behind each sample, padding (negative: crop), true convolution with f [k, l], every `down`-th sample."""
    batch, channels, height, width = x.shape
    spread = torch.zeros(batch, channels, height * up, width * up, dtype=x.dtype)
    spread[:, :, ::up, ::up] = x
    (top, bottom), (left, right) = pad
    spread = F.pad(spread, (left, right, top, bottom))
    kernel = (f * gain).to(x.dtype).flip(0, 1)[None, None]
    found = F.conv2d(spread.flatten(0, 1)[:, None], kernel)  # each channel for itself
    return found.unflatten(0, (batch, channels))[:, :, 0, ::down, ::down]


def square(before: int, after: int) -> tuple:
    return (before, after), (before, after)


def fir_up(x: Tensor) -> Tensor:
    return upfirdn(x, FIR2, up=2, pad=square(2, 1), gain=4)


def fir_down(x: Tensor) -> Tensor:
    return upfirdn(x, FIR2, down=2, pad=square(1, 1))


def leaky(x: Tensor) -> Tensor:
    return torch.where(x < 0, 0.2 * x, x)


def bounded(x: Tensor, limit: float | None) -> Tensor:
    return x if limit is None else torch.clamp(x, -limit, limit)


def conv(x: Tensor, kernel: Tensor, up: bool = False, down: bool = False) -> Tensor:
    """x [B, I, h, w] and a stored kernel [O, I, k, k], with the low-pass filter where the size changes."""
    size = kernel.shape[2]
    if up and size == 1:
        return fir_up(F.conv2d(x, kernel))
    if up:  # the stored kernel itself is written behind each sample: a true convolution with it
        spread = torch.zeros(*x.shape[:2], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1, dtype=x.dtype)
        spread[:, :, ::2, ::2] = x
        wide = F.conv2d(F.pad(spread, (2, 2, 2, 2)), kernel.flip(2, 3))
        return upfirdn(wide, FIR2, pad=square(1, 1), gain=4)
    if down and size == 1:
        return F.conv2d(fir_down(x), kernel)
    if down:
        return F.conv2d(upfirdn(x, FIR2, pad=square(2, 2)), kernel, stride=2)
    return F.conv2d(F.pad(x, (size // 2,) * 4), kernel)


def linear(x: Tensor, t: Tensors, name: str, rate: float = 1.0) -> Tensor:
    weight = t[f"{name}.weight"] * (rate / math.sqrt(t[f"{name}.weight"].shape[1]))
    return x @ weight.T + t[f"{name}.bias"] * rate


def normalised(x: Tensor) -> Tensor:
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def mapping(t: Tensors, name: str, z: Tensor | None, labels: Tensor | None) -> Tensor:
    parts = [] if z is None else [normalised(z)]
    if f"{name}.embed.weight" in t:
        one_hot = torch.eye(t[f"{name}.embed.weight"].shape[1], dtype=torch.float64)[labels]
        parts.append(normalised(linear(one_hot, t, f"{name}.embed")))
    x, number = torch.cat(parts, 1), 0
    while f"{name}.fc{number}.weight" in t:
        x = leaky(linear(x, t, f"{name}.fc{number}", rate=0.01)) * ROOT2
        number += 1
    return x


def modulated(x: Tensor, t: Tensors, name: str, w: Tensor, up=False, demodulate=True, pad=None) -> Tensor:
    """A kernel of its own for each sample (arXiv:1912.04958, eq. 1 and 3)."""
    weight, styles, found = t[f"{name}.weight"], linear(w, t, f"{name}.affine"), []
    if not demodulate:
        styles = styles / math.sqrt(weight[0].numel())
    for sample, style in zip(x, styles, strict=True):
        kernel = weight * style[None, :, None, None]
        if demodulate:
            kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        found.append(conv(sample[None], kernel, up) if pad is None else F.conv2d(sample[None], kernel, padding=pad))
    return torch.cat(found)


# StyleGAN2


def styled(x: Tensor, t: Tensors, name: str, w: Tensor, noise, up=False, gain=1.0, clamp=None) -> Tensor:
    x = modulated(x, t, name, w, up)
    picture = {"const": t[f"{name}.noise_const"], "none": None}.get(noise) if isinstance(noise, str) else noise
    if picture is not None:
        x = x + picture * t[f"{name}.noise_strength"]
    x = leaky(x + t[f"{name}.bias"][:, None, None]) * ROOT2 * gain
    return bounded(x, None if clamp is None else clamp * gain)


def synthesis2(t: Tensors, blocks: list[str], ws: Tensor, arch: str, noise, clamp=None) -> Tensor:
    """Codes [B, L, w_dim] -> images; `noise` is "const", "none" or one picture for each noisy layer."""
    pictures = iter([noise] * 99 if isinstance(noise, str) else noise)
    image, x = None, t[f"synthesis.{blocks[0]}.const"][None].repeat(len(ws), 1, 1, 1)
    for number, block in enumerate(blocks):
        name, at = f"synthesis.{block}", max(2 * number - 1, 0)
        if number == 0:
            x = styled(x, t, f"{name}.conv1", ws[:, 0], next(pictures), clamp=clamp)
        else:
            gain, before = math.sqrt(0.5) if arch == "resnet" else 1.0, x
            x = styled(x, t, f"{name}.conv0", ws[:, at], next(pictures), up=True, clamp=clamp)
            x = styled(x, t, f"{name}.conv1", ws[:, at + 1], next(pictures), gain=gain, clamp=clamp)
            if arch == "resnet":
                weight = t[f"{name}.skip.weight"]
                x = x + conv(before, weight / math.sqrt(weight.shape[1]), up=True) * gain
        if image is not None:
            image = fir_up(image)
        if arch == "skip" or block == blocks[-1]:
            of_picture = ws[:, at + (1 if number == 0 else 2)]
            own = modulated(x, t, f"{name}.torgb", of_picture, demodulate=False)
            own = bounded(own + t[f"{name}.torgb.bias"][:, None, None], clamp)
            image = own if image is None else image + own
    return image


def equalised(x: Tensor, t: Tensors, name: str, down=False, active=True, gain=1.0, clamp=None) -> Tensor:
    weight = t[f"{name}.weight"]
    x = conv(x, weight / math.sqrt(weight[0].numel()), down=down)
    x = x + t[f"{name}.bias"][:, None, None] if f"{name}.bias" in t else x
    x = leaky(x) * ROOT2 * gain if active else x * gain
    return bounded(x, None if clamp is None else clamp * gain)


def deviation(x: Tensor, group: int) -> Tensor:
    """One more channel; members of a group are B / group apart."""
    batch, planes = len(x), []
    group = min(group, batch)
    for sample in range(batch):
        members = torch.stack([x[i] for i in range(sample % (batch // group), batch, batch // group)])
        planes.append((members.var(0, correction=0) + 1e-8).sqrt().mean().expand(1, 1, *x.shape[2:]))
    return torch.cat([x, torch.cat(planes)], 1)


def logits2(t: Tensors, blocks: list[str], image: Tensor, labels, arch: str, group: int, clamp=None) -> Tensor:
    """Images -> logits [B]; `blocks` from the largest to the smallest."""
    x, own = None, {"clamp": clamp}
    for block in blocks[:-1]:
        if f"{block}.fromrgb.weight" in t:
            seen = equalised(image, t, f"{block}.fromrgb", **own)
            x = seen if x is None else x + seen
        image = fir_down(image) if arch == "skip" else image
        gain = math.sqrt(0.5) if arch == "resnet" else 1.0
        y = equalised(equalised(x, t, f"{block}.conv0", **own), t, f"{block}.conv1", down=True, gain=gain, **own)
        x = y + equalised(x, t, f"{block}.skip", down=True, active=False, gain=gain) if arch == "resnet" else y
    last = blocks[-1]
    x = x + equalised(image, t, f"{last}.fromrgb", **own) if arch == "skip" else x
    x = equalised(deviation(x, group), t, f"{last}.conv", **own)
    x = linear(leaky(linear(x.flatten(1), t, f"{last}.fc")) * ROOT2, t, f"{last}.out")
    if labels is None:
        return x[:, 0]
    return (x * mapping(t, "mapping", None, labels)).sum(1) / math.sqrt(x.shape[1])


# StyleGAN3


def bands(side: int, layers: int, critical: int, margin: int) -> list[dict]:
    """The design of a square picture of a power of two (arXiv:2106.12423, section 3.2, appendix C.1)."""
    found = []
    for number in range(layers + 1):
        way = min(number / (layers - critical), 1)
        cutoff = 2 * (side / 4) ** way
        stop = 2**2.1 * (side / 2 * 2**0.3 / 2**2.1) ** way
        rate = 2 ** math.ceil(math.log2(min(2 * stop, side)))
        size = side if number >= layers - 1 else rate + 2 * margin
        found.append({"cutoff": cutoff, "half": max(stop, rate / 2) - cutoff, "rate": rate, "size": size})
    return found


def waves(t: Tensors, w: Tensor, band: dict, transform: Tensor) -> Tensor:
    found = []
    for affine in linear(w, t, "synthesis.input.affine"):
        a, b, x, y = (affine / affine[:2].norm()).tolist()
        turn = torch.tensor([[a, -b, 0], [b, a, 0], [0, 0, 1]], dtype=torch.float64)
        move = torch.tensor([[1, 0, -x], [0, 1, -y], [0, 0, 1]], dtype=torch.float64)
        matrix = turn @ move @ transform
        phases = t["synthesis.input.phases"] + t["synthesis.input.freqs"] @ matrix[:2, 2]
        freqs = t["synthesis.input.freqs"] @ matrix[:2, :2]
        loudness = 1 - (freqs.norm(dim=1) - band["cutoff"]) / (band["rate"] / 2 - band["cutoff"])
        places = (torch.arange(band["size"], dtype=torch.float64) + 0.5) / band["rate"]
        places = places - band["size"] / band["rate"] / 2
        grid = places[None, :, None] * freqs[:, 0] + places[:, None, None] * freqs[:, 1]  # [y, x, C]
        drawn = torch.sin(2 * math.pi * (grid + phases)) * loudness.clamp(0, 1)
        weight = t["synthesis.input.weight"]
        found.append((drawn @ weight.T / math.sqrt(len(weight))).permute(2, 0, 1))
    return torch.stack(found)


def two_dimensional(f: Tensor | None) -> Tensor:
    return torch.ones(1, 1) if f is None else torch.outer(f, f) if f.dim() == 1 else f


def filtered(x, bias, up_filter, down_filter, up, down, pads, slope=0.2, gain=ROOT2, clamp=None) -> Tensor:
    """Bias, enlarged, activated, clamped, shrunk (appendix D.1)."""
    x = x + bias[:, None, None]
    x = upfirdn(x, two_dimensional(up_filter), up=up, pad=pads, gain=up**2)
    x = bounded(torch.where(x < 0, slope * x, x) * gain, clamp)
    return upfirdn(x, two_dimensional(down_filter), down=down)


def synthesis3(t, names, ws, design, kernel, taps=6, clamp=256.0, scale=0.25, transform=None) -> Tensor:
    """Codes [B, L, w_dim] -> images."""
    transform = torch.eye(3, dtype=torch.float64) if transform is None else transform
    x = waves(t, ws[:, 0], design[0], transform)
    for number, name in enumerate(names):
        key, last = f"synthesis.{name}", number == len(names) - 1
        before, band, k = design[max(number - 1, 0)], design[number], 1 if last else kernel
        x = modulated(x, t, key, ws[:, number + 1], demodulate=not last, pad=k - 1)
        x = x / t[f"{key}.magnitude_ema"].sqrt()
        fine = max(before["rate"], band["rate"]) * (1 if last else 2)
        up, down = fine // before["rate"], fine // band["rate"]
        up_taps, down_taps = (1 if last or step == 1 else taps * step for step in (up, down))
        total = (band["size"] - 1) * down + 1 - (before["size"] + k - 1) * up + up_taps + down_taps - 2
        low = (total + up) // 2
        slope, gain = (1.0, 1.0) if last else (0.2, ROOT2)
        up_filter, down_filter = t.get(f"{key}.up_filter"), t.get(f"{key}.down_filter")
        x = filtered(
            x, t[f"{key}.bias"], up_filter, down_filter, up, down, square(low, total - low), slope, gain, clamp
        )
    return x * scale
