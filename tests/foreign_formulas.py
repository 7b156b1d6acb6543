"""The published formulas, straight down in float64, for comparison: nothing of organza is used here.

StyleGAN2 (arXiv:1912.04958), StyleGAN3 (arXiv:2106.12423), BigGAN (arXiv:1809.11096), R3GAN (arXiv:2501.05441) and LaMa
(arXiv:2109.07161), on tensors under the names of their official files, R3GAN's as remembered.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import firwin, kaiser_atten, kaiser_beta
from scipy.special import j1


def doubles(tensors):
    return {name: tensor.double() for name, tensor in tensors.items()}


# resampling


def zeros_between(x, up):
    n, c, h, w = x.shape
    out = torch.zeros(n, c, h * up, w * up, dtype=x.dtype)
    out[:, :, ::up, ::up] = x
    return out


def upfirdn(x, f, up=1, down=1, pads=(0, 0, 0, 0), gain=1.0):
    """Zeros after each sample, padding (left, right, top, bottom), true convolution, decimation."""
    x = F.pad(zeros_between(x, up), pads)
    parts = (f[:, None], f[None]) if f.dim() == 1 else (f,)  # one axis after the other, or both
    for part in parts:
        kernel = part.flip(0, 1).expand(x.shape[1], 1, *part.shape)
        x = F.conv2d(x, kernel, groups=x.shape[1])
    return x[:, :, ::down, ::down] * gain


def transposed(x, kernel, groups):
    """A transposed convolution of stride 2, by zeros between the samples; kernel [O, I, k, k] for each group."""
    x = zeros_between(x, 2)[:, :, :-1, :-1]
    k = kernel.shape[-1]
    return F.conv2d(F.pad(x, (k - 1,) * 4), kernel.flip(-2, -1), groups=groups)


# layers


def fc(x, t, name, rate=1.0, active=False):
    x = x @ (t[f"{name}.weight"] * rate / math.sqrt(x.shape[1])).T + t[f"{name}.bias"] * rate
    return F.leaky_relu(x, 0.2) * math.sqrt(2) if active else x


def normalized(x):
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def own_kernels(x, weight, styles, demod, up=False, f=None, padding=1):
    """Each sample with a kernel of its own, by a grouped convolution."""
    n, o = len(x), len(weight)
    kernel = weight[None] * styles[:, None, :, None, None]
    if demod:
        kernel = kernel * (kernel.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    flat, kernel = x.reshape(1, -1, *x.shape[2:]), kernel.reshape(n * o, *weight.shape[1:])
    if up:
        y = transposed(flat, kernel, n)
        y = y.reshape(n, o, *y.shape[2:])
        return upfirdn(y, f, pads=(1, 1, 1, 1), gain=4)
    y = F.conv2d(flat, kernel, padding=padding, groups=n)
    return y.reshape(n, o, *y.shape[2:])


def clamped(x, limit):
    return x if limit is None else x.clamp(-limit, limit)


# StyleGAN2


def mapping(t, z, c, rate=0.01, prefix="mapping"):
    parts = [] if z is None else [normalized(z)]
    if c is not None:
        parts.append(normalized(fc(c, t, f"{prefix}.embed")))
    x = torch.cat(parts, 1)
    number = 0
    while f"{prefix}.fc{number}.weight" in t:
        x = fc(x, t, f"{prefix}.fc{number}", rate, active=True)
        number += 1
    return x


def codes(t, z, c, count, psi=1.0, cutoff=None, rate=0.01):
    ws = mapping(t, z, c, rate)[:, None].repeat(1, count, 1)
    end = count if cutoff is None else cutoff
    ws[:, :end] = t["mapping.w_avg"] + psi * (ws[:, :end] - t["mapping.w_avg"])
    return ws


def synthesis2(t, ws, res, arch="skip", noise="const", clamp=None):
    x = picture = None
    at, layer, r = 0, 0, 4
    pictures = iter(noise) if isinstance(noise, list) else None
    while r <= res:
        b = f"synthesis.b{r}"
        f = t[f"{b}.conv1.resample_filter"]
        before = x
        names = ["conv1"] if r == 4 else ["conv0", "conv1"]
        x = t[f"{b}.const"].repeat(len(ws), 1, 1, 1) if r == 4 else x
        for number, name in enumerate(names):
            half = math.sqrt(0.5) if arch == "resnet" and r > 4 and name == "conv1" else 1.0
            styles = fc(ws[:, at + number], t, f"{b}.{name}.affine")
            x = own_kernels(x, t[f"{b}.{name}.weight"], styles, True, name == "conv0", f)
            if pictures is not None:
                x = x + next(pictures) * t[f"{b}.{name}.noise_strength"]
            elif noise == "const":
                x = x + t[f"{b}.{name}.noise_const"] * t[f"{b}.{name}.noise_strength"]
            x = F.leaky_relu(x + t[f"{b}.{name}.bias"][:, None, None], 0.2) * math.sqrt(2) * half
            x = clamped(x, None if clamp is None else clamp * half)
            layer += 1
        if arch == "resnet" and r > 4:
            w = t[f"{b}.skip.weight"]
            y = F.conv2d(before, w / math.sqrt(w.shape[1]))
            x = x + upfirdn(y, f, up=2, pads=(2, 1, 2, 1), gain=4) * math.sqrt(0.5)
        at += len(names)
        if picture is not None:
            picture = upfirdn(picture, f, up=2, pads=(2, 1, 2, 1), gain=4)
        if f"{b}.torgb.weight" in t:
            w = t[f"{b}.torgb.weight"]
            styles = fc(ws[:, at], t, f"{b}.torgb.affine") / math.sqrt(w.shape[1])
            y = own_kernels(x, w, styles, False, padding=0) + t[f"{b}.torgb.bias"][:, None, None]
            y = clamped(y, clamp)
            picture = y if picture is None else picture + y
        r *= 2
    return picture


def equal_conv(x, t, name, down=False, active=True, gain=1.0, clamp=None):
    w, f = t[f"{name}.weight"], t["filter"]
    k = w.shape[-1]
    w = w / math.sqrt(w.shape[1] * k * k)
    if down and k == 1:
        x = F.conv2d(upfirdn(x, f, down=2, pads=(1, 1, 1, 1)), w)
    elif down:
        x = F.conv2d(upfirdn(x, f, pads=(2, 2, 2, 2)), w, stride=2)
    else:
        x = F.conv2d(x, w, padding=k // 2)
    if f"{name}.bias" in t:
        x = x + t[f"{name}.bias"][:, None, None]
    x = F.leaky_relu(x, 0.2) * math.sqrt(2) if active else x
    return clamped(x * gain, None if clamp is None else clamp * gain)


def deviation(x, group):
    """The mean over everything of the deviation in each group, whose members stand N / group apart."""
    g = min(group, len(x))
    y = x.reshape(g, len(x) // g, *x.shape[1:])
    y = ((y - y.mean(0)).square().mean(0) + 1e-8).sqrt().mean((1, 2, 3))
    y = y.repeat(g)[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, y], 1)


def discriminator2(t, x, c=None, arch="resnet", group=4, clamp=None):
    r, picture, features = x.shape[-1], x, None
    t = t | {"filter": t[f"b{r}.conv0.resample_filter"]}
    half = math.sqrt(0.5)
    while r > 4:
        b = f"b{r}"
        if f"{b}.fromrgb.weight" in t:
            seen = equal_conv(picture, t, f"{b}.fromrgb", clamp=clamp)
            features = seen if features is None else features + seen
            if arch == "skip":
                picture = upfirdn(picture, t["filter"], down=2, pads=(1, 1, 1, 1))
        gain = half if arch == "resnet" else 1.0
        y = equal_conv(features, t, f"{b}.conv0", clamp=clamp)
        y = equal_conv(y, t, f"{b}.conv1", down=True, gain=gain, clamp=clamp)
        if arch == "resnet":
            y = y + equal_conv(features, t, f"{b}.skip", down=True, active=False, gain=gain)
        features, r = y, r // 2
    if arch == "skip":
        features = features + equal_conv(picture, t, "b4.fromrgb", clamp=clamp)
    y = equal_conv(deviation(features, group), t, "b4.conv", clamp=clamp)
    y = fc(fc(y.flatten(1), t, "b4.fc", active=True), t, "b4.out")
    if c is None:
        return y[:, 0]
    told = mapping(t, None, c)
    return (y * told).sum(1) / math.sqrt(told.shape[1])


# StyleGAN3


def plan3(res, base, most, channels, layers=14, critical=2, cutoff0=2.0, stopband0=2**2.1, last=2**0.3, margin=10):
    """For each layer (cutoff, half-width, rate, size, channels)."""
    found = []
    for i in range(layers + 1):
        e = min(i / (layers - critical), 1)
        fc_ = cutoff0 * (res / 2 / cutoff0) ** e
        ft = stopband0 * (res / 2 * last / stopband0) ** e
        s = 2 ** math.ceil(math.log2(min(2 * ft, res)))
        size = res if i >= layers - 1 else s + 2 * margin
        wide = channels if i == layers else int(np.rint(min(base / 2 / fc_, most)))
        found.append((fc_, max(ft, s / 2) - fc_, s, size, wide))
    return found


def low_pass3(taps, cutoff, half_width, rate, radial=False):
    if taps == 1:
        return None
    if not radial:
        return torch.from_numpy(firwin(taps, cutoff=cutoff, width=2 * half_width, fs=rate))
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    r = np.hypot(*np.meshgrid(x, x))
    window = np.kaiser(taps, kaiser_beta(kaiser_atten(taps, 2 * half_width / (rate / 2))))
    f = j1(2 * cutoff * np.pi * r) / (np.pi * r) * np.outer(window, window)
    return torch.from_numpy(f / f.sum())


def filters3(bands, taps=6, radial=False, critical=2):
    """(up filter, down filter, up, down) of each layer."""
    found = []
    for i, (cutoff, half, rate, *_) in enumerate(bands):
        before, last = bands[max(i - 1, 0)], i == len(bands) - 1
        fine = max(before[2], rate) * (1 if last else 2)
        up, down = fine // before[2], fine // rate
        n_up, n_down = (taps * s if s > 1 and not last else 1 for s in (up, down))
        is_radial = radial and i < len(bands) - 1 - critical
        found.append((low_pass3(n_up, before[0], before[1], fine), low_pass3(n_down, cutoff, half, fine, is_radial),
                      up, down))  # fmt: skip
    return found


def waves(t, w, band, transform=None):
    cutoff, _, rate, size, channels = band
    m = fc(w, t, "synthesis.input.affine")
    m = m / m[:, :2].norm(dim=1, keepdim=True)
    out = []
    for c, s, x, y in m.tolist():
        turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)
        move = torch.tensor([[1, 0, -x], [0, 1, -y], [0, 0, 1]], dtype=torch.float64)
        whole = turn @ move @ t["synthesis.input.transform"]
        freqs, phases = t["synthesis.input.freqs"], t["synthesis.input.phases"]
        phases = phases + freqs @ whole[:2, 2]
        freqs = freqs @ whole[:2, :2]
        loud = (1 - (freqs.norm(dim=1) - cutoff) / (rate / 2 - cutoff)).clamp(0, 1)
        axis = ((torch.arange(size, dtype=torch.float64) + 0.5) / size * 2 - 1) * 0.5 * size / rate
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2)
        values = torch.sin(2 * math.pi * (grid @ freqs.T + phases)) * loud
        out.append((values @ t["synthesis.input.weight"].T / math.sqrt(channels)).permute(2, 0, 1))
    return torch.stack(out)


def synthesis3(t, ws, bands, radial=False, scale=0.25, clamp=256.0, critical=2):
    x = waves(t, ws[:, 0], bands[0])
    for i, (band, (fu, fd, up, down)) in enumerate(zip(bands, filters3(bands, 6, radial, critical), strict=True)):
        name, last = f"synthesis.L{i}_{band[3]}_{band[4]}", i == len(bands) - 1
        w, s = t[f"{name}.weight"], fc(ws[:, i + 1], t, f"{name}.affine")
        k = w.shape[-1]
        if last:
            s = s / math.sqrt(w.shape[1])
        else:
            w = w * w.square().mean((1, 2, 3), keepdim=True).rsqrt()
            s = s * s.square().mean().rsqrt()
        y = own_kernels(x, w, s, not last, padding=k - 1) * t[f"{name}.magnitude_ema"].rsqrt()
        y = y + t[f"{name}.bias"][:, None, None]
        n_up, n_down = (1 if f is None else f.shape[0] for f in (fu, fd))
        total = (band[3] - 1) * down + 1 - (x.shape[-1] + k - 1) * up + n_up + n_down - 2
        lo = (total + up) // 2
        one = torch.ones(1, dtype=torch.float64)
        y = upfirdn(y, one if fu is None else fu, up=up, pads=(lo, total - lo) * 2, gain=up * up)
        y = y if last else F.leaky_relu(y, 0.2) * math.sqrt(2)
        x = upfirdn(clamped(y, clamp), one if fd is None else fd, down=down)
    return x * scale


# BigGAN


def normed(t, name):
    """W / sigma, sigma by one power iteration from the stored u."""
    w = t[f"{name}.weight"]
    matrix, u = w.reshape(len(w), -1), t[f"{name}.u0"]
    v = u @ matrix
    v = v / v.norm()
    u = v @ matrix.T
    u = u / u.norm()
    return w / (v @ matrix.T @ u.T).squeeze()


def sn_conv(x, t, name, padding):
    return F.conv2d(x, normed(t, name), t.get(f"{name}.bias"), padding=padding)


def class_norm(x, y, t, name):
    gain, bias = 1 + y @ normed(t, f"{name}.gain").T, y @ normed(t, f"{name}.bias").T
    x = (x - t[f"{name}.stored_mean"][:, None, None]) / (t[f"{name}.stored_var"][:, None, None] + 1e-5).sqrt()
    return x * gain[:, :, None, None] + bias[:, :, None, None]


def attention(x, t, name):
    n, _, h, w = x.shape
    theta, phi, g = (sn_conv(x, t, f"{name}.{part}", 0) for part in ("theta", "phi", "g"))
    phi, g = F.max_pool2d(phi, 2).flatten(2), F.max_pool2d(g, 2).flatten(2)
    beta = (theta.flatten(2).transpose(1, 2) @ phi).softmax(-1)
    o = sn_conv((g @ beta.transpose(1, 2)).reshape(n, -1, h, w), t, f"{name}.o", 0)
    return t[f"{name}.gamma"] * o + x


def twice(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def big_generator(t, z, label, blocks):
    chunk = z.shape[1] // (blocks + 1)
    parts, y = z.split(chunk, 1), t["shared.weight"][label]
    x = parts[0] @ normed(t, "linear").T + t["linear.bias"]
    x = x.view(len(z), -1, 4, 4)
    for i in range(blocks):
        b, told = f"blocks.{i}.0", torch.cat([y, parts[i + 1]], 1)
        h = twice(class_norm(x, told, t, f"{b}.bn1").relu())
        h = sn_conv(h, t, f"{b}.conv1", 1)
        h = sn_conv(class_norm(h, told, t, f"{b}.bn2").relu(), t, f"{b}.conv2", 1)
        x = h + sn_conv(twice(x), t, f"{b}.conv_sc", 0)
        x = attention(x, t, f"blocks.{i}.1") if f"blocks.{i}.1.gamma" in t else x
    return big_output(x, t)


def big_output(x, t):
    x = (x - t["output_layer.0.stored_mean"][:, None, None]) / (
        t["output_layer.0.stored_var"][:, None, None] + 1e-5
    ).sqrt()
    x = x * t["output_layer.0.gain"][:, None, None] + t["output_layer.0.bias"][:, None, None]
    return sn_conv(x.relu(), t, "output_layer.2", 1).tanh()


def deep_generator(t, z, label, stages, depth=2):
    y = torch.cat([t["shared.weight"][label], z], 1)
    x = (y @ normed(t, "linear").T + t["linear.bias"]).view(len(z), -1, 4, 4)
    for i in range(stages * depth):
        b, last = f"blocks.{i}.0", i % depth == depth - 1
        h = sn_conv(class_norm(x, y, t, f"{b}.bn1").relu(), t, f"{b}.conv1", 0)
        h = class_norm(h, y, t, f"{b}.bn2").relu()
        x = x[:, : len(t[f"{b}.conv4.weight"])]
        h, x = (twice(h), twice(x)) if last else (h, x)
        h = sn_conv(h, t, f"{b}.conv2", 1)
        h = sn_conv(class_norm(h, y, t, f"{b}.bn3").relu(), t, f"{b}.conv3", 1)
        x = x + sn_conv(class_norm(h, y, t, f"{b}.bn4").relu(), t, f"{b}.conv4", 0)
        x = attention(x, t, f"blocks.{i}.1") if f"blocks.{i}.1.gamma" in t else x
    return big_output(x, t)


def big_discriminator(t, x, label):
    i = 0
    while f"blocks.{i}.0.conv1.weight" in t:
        b = f"blocks.{i}.0"
        half = f"{b}.conv_sc.weight" in t
        h = sn_conv(x.relu() if i else x, t, f"{b}.conv1", 1)
        h = sn_conv(h.relu(), t, f"{b}.conv2", 1)
        short = sn_conv(x, t, f"{b}.conv_sc", 0) if half else x
        x = F.avg_pool2d(h, 2) + F.avg_pool2d(short, 2) if half else h + short
        x = attention(x, t, f"blocks.{i}.1") if f"blocks.{i}.1.gamma" in t else x
        i += 1
    return big_logits(x, t, label)


def deep_discriminator(t, x, label, depth=2):
    x, i = sn_conv(x, t, "input_conv", 1), 0
    while f"blocks.{i}.0.conv1.weight" in t:
        b = f"blocks.{i}.0"
        h = sn_conv(x.relu(), t, f"{b}.conv1", 0)
        h = sn_conv(h.relu(), t, f"{b}.conv2", 1)
        h = sn_conv(h.relu(), t, f"{b}.conv3", 1).relu()
        if i % depth == 0:
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        h = sn_conv(h, t, f"{b}.conv4", 0)
        if f"{b}.conv_sc.weight" in t:
            x = torch.cat([x, sn_conv(x, t, f"{b}.conv_sc", 0)], 1)
        x = x + h
        x = attention(x, t, f"blocks.{i}.1") if f"blocks.{i}.1.gamma" in t else x
        i += 1
    return big_logits(x, t, label)


def big_logits(x, t, label):
    h = x.relu().sum((2, 3))
    out = h @ normed(t, "linear").T + t["linear.bias"]
    return out[:, 0] + (normed(t, "embed")[label] * h).sum(1)


# R3GAN

SLOW = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])).double() / 64


def r3_blocks(x, t, stage):
    j = 0
    while (block := f"{stage}.Layers.{j}") + ".NonLinearity1.Bias" in t:
        biases = [t[f"{block}.NonLinearity{k}.Bias"].view(1, -1, 1, 1) for k in (1, 2)]
        kernels = [t[f"{block}.LinearLayer{k}.Layer.weight"] for k in (1, 2, 3)]
        y = F.leaky_relu(F.conv2d(x, kernels[0]) + biases[0], 0.2)
        groups = y.shape[1] // kernels[1].shape[1]
        y = F.leaky_relu(F.conv2d(y, kernels[1], padding=1, groups=groups) + biases[1], 0.2)
        x, j = x + F.conv2d(y, kernels[2]), j + 1
    return x


def r3_joint(x, t, stage):
    kernel = t.get(f"{stage}.TransitionLayer.LinearLayer.Layer.weight")
    return x if kernel is None else F.conv2d(x, kernel)


def r3_generator(t, z, label, stages):
    if "Model.EmbeddingLayer.weight" in t:
        z = torch.cat([z, t["Model.EmbeddingLayer.weight"].T[label]], 1)
    first = "Model.MainLayers.0.TransitionLayer"
    x = t[f"{first}.Basis"] * (z @ t[f"{first}.LinearLayer.weight"].T)[:, :, None, None]
    x = r3_blocks(x, t, "Model.MainLayers.0")
    for i in range(1, stages):
        stage = f"Model.MainLayers.{i}"
        x = upfirdn(r3_joint(x, t, stage), SLOW, up=2, pads=(2, 1, 2, 1), gain=4)
        x = r3_blocks(x, t, stage)
    return F.conv2d(x, t["Model.AggregationLayer.Layer.weight"])


def r3_discriminator(t, x, label, stages):
    x = F.conv2d(x, t["Model.ExtractionLayer.Layer.weight"])
    for i in range(stages):
        stage = f"Model.MainLayers.{i}"
        x = r3_blocks(x, t, stage)
        if i < stages - 1:
            x = r3_joint(upfirdn(x, SLOW, down=2, pads=(1, 1, 1, 1)), t, stage)
    x = (x * t[f"{stage}.TransitionLayer.Basis.weight"][:, 0]).sum((2, 3))
    x = x @ t[f"{stage}.TransitionLayer.LinearLayer.weight"].T
    return x[:, 0] if label is None else (x * t["Model.EmbeddingLayer.weight"].T[label]).sum(1)


# LaMa


def moved(x, t, name):
    """Batch norm by its stored statistics, then ReLU."""
    mean, var, gain, bias = (t[f"{name}.{n}"][:, None, None] for n in ("running_mean", "running_var", "weight", "bias"))
    return ((x - mean) / (var + 1e-5).sqrt() * gain + bias).clamp(min=0)


def mirrored(x, t, name, pad, stride=1):
    return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), t[f"{name}.weight"], t.get(f"{name}.bias"), stride)


def spectrum(x, t, name):
    """Waves by the definition of the transform; of each channel the real part, then the imaginary one."""
    h, w = x.shape[2:]
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in (h, w))
    down = torch.exp(-2j * torch.pi * rows[:, None] * rows / h)
    across = torch.exp(-2j * torch.pi * columns[:, None] * torch.arange(w // 2 + 1) / w)
    waves = down @ x.to(torch.complex128) @ across / math.sqrt(h * w)
    parts = torch.stack([waves.real, waves.imag], 2).flatten(1, 2)
    parts = moved(torch.einsum("kc,bchw->bkhw", t[f"{name}.conv_layer.weight"][:, :, 0, 0], parts), t, f"{name}.bn")
    return torch.fft.irfft2(torch.complex(parts[:, 0::2], parts[:, 1::2]), s=(h, w), norm="ortho")


def fourier_layer(local, whole, t, name):
    """Local features from both by 3x3, global ones from the local by 3x3 and from themselves by their spectrum."""
    f = f"{name}.ffc"
    inner = moved(F.conv2d(whole, t[f"{f}.convg2g.conv1.0.weight"]), t, f"{f}.convg2g.conv1.1")
    seen = F.conv2d(inner + spectrum(inner, t, f"{f}.convg2g.fu"), t[f"{f}.convg2g.conv2.weight"])
    a = mirrored(local, t, f"{f}.convl2l", 1) + mirrored(whole, t, f"{f}.convg2l", 1)
    return moved(a, t, f"{name}.bn_l"), moved(mirrored(local, t, f"{f}.convl2g", 1) + seen, t, f"{name}.bn_g")


def lama_generator(t, picture, mask, blocks):
    """Pictures [B, 3, H, W] in [0, 1], masks [B, 1, H, W] of ones in the hole -> pictures, filled."""
    x = torch.cat([picture * (1 - mask), mask], 1)
    x = moved(mirrored(x, t, "model.1.ffc.convl2l", 3), t, "model.1.bn_l")
    for i in (2, 3):
        x = moved(mirrored(x, t, f"model.{i}.ffc.convl2l", 1, 2), t, f"model.{i}.bn_l")
    local, whole = (moved(mirrored(x, t, f"model.4.ffc.convl2{p}", 1, 2), t, f"model.4.bn_{p}") for p in "lg")
    for i in range(5, 5 + blocks):
        a, b = fourier_layer(*fourier_layer(local, whole, t, f"model.{i}.conv1"), t, f"model.{i}.conv2")
        local, whole = local + a, whole + b
    x = torch.cat([local, whole], 1)
    for i in range(6 + blocks, 15 + blocks, 3):
        kernel = t[f"model.{i}.weight"].transpose(0, 1)  # of the correlation that a transposed convolution undoes
        x = F.pad(zeros_between(x, 2), (1, 1, 1, 1))
        x = moved(F.conv2d(x, kernel.flip(2, 3), t[f"model.{i}.bias"]), t, f"model.{i + 1}")
    made = mirrored(x, t, f"model.{16 + blocks}", 3).sigmoid()
    return mask * made + (1 - mask) * picture


def near(found, wanted, tolerance=1e-5):
    """Within the tolerance of the largest number there."""
    assert found.shape == wanted.shape
    assert wanted.abs().max() > 0.01
    assert (found.double() - wanted).abs().max() <= tolerance * max(1.0, float(wanted.abs().max()))
