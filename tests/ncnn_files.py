"""Files in ncnn's form, written as its tools write them, for tests of how they are read."""

import struct
from pathlib import Path

import numpy as np

HALF, SINGLE = 0x01306B47, 0


class Model:
    """Layers one by one; a blob that is read several times gets a Split, as ncnn wants it."""

    def __init__(self, seed=0, tag=HALF, spread=0.3):
        self.layers, self.random, self.tag, self.spread = [("Input", "data", [], ["data"], "")], None, tag, spread
        self.random, self.content, self.values = np.random.default_rng(seed), b"", []

    def layer(self, kind, inputs, settings=""):
        name = f"{kind.lower()}_{len(self.layers)}"
        self.layers.append((kind, name, list(inputs), [name], settings))
        return name

    def _numbers(self, count):
        return (self.random.standard_normal(count) * self.spread).astype(np.float16).astype(np.float32)

    def conv(self, blob, before, after, more=""):
        weights, bias = self._numbers(9 * before * after), self._numbers(after)
        form = "<f2" if self.tag == HALF else "<f4"
        body = weights.astype(form).tobytes()
        self.content += struct.pack("<I", self.tag) + body + bytes(-len(body) % 4) + bias.astype("<f4").tobytes()
        self.values += [weights.reshape(after, before, 3, 3), bias]
        return self.layer("Convolution", [blob], f"0={after} 1=3 4=1 5=1 6={weights.size}{more}")

    def prelu(self, blob, width):
        self.values.append(self._numbers(width))
        self.content += self.values[-1].astype("<f4").tobytes()
        return self.layer("PReLU", [blob], f"0={width}")

    def text(self):
        uses = {}
        for _, _, inputs, _, _ in self.layers:
            for blob in inputs:
                uses[blob] = uses.get(blob, 0) + 1
        lines, left = [], {}
        for kind, name, inputs, outputs, settings in self.layers:
            inputs = [left[blob].pop() if blob in left else blob for blob in inputs]
            lines.append(
                f"{kind:<24} {name:<24} {len(inputs)} {len(outputs)} {' '.join([*inputs, *outputs])} {settings}"
            )
            for blob in outputs:
                if uses.get(blob, 0) > 1:
                    left[blob] = [f"{blob}_split_{i}" for i in range(uses[blob])]
                    lines.append(f"Split split_{blob} 1 {uses[blob]} {blob} {' '.join(left[blob])}")
        return "\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines]) + "\n"

    def write(self, path: Path) -> Path:
        path.write_bytes(self.content)
        path.with_suffix(".param").write_text(self.text())
        return path


LEAKY = " 9=2 -23310=1,2.000000e-01"


def compact(channels=3, width=4, depth=2, factor=4, scale=4, **how):
    """SRVGGNetCompact."""
    model = Model(**how)
    x = "data"
    for i in range(depth + 1):
        x = model.prelu(model.conv(x, width if i else channels, width), width)
    x = model.layer("PixelShuffle", [model.conv(x, width, channels * factor**2)], f"0={factor}")
    near = model.layer("Interp", ["data"], f"0=1 1={factor:e} 2={factor:e}")
    x = model.layer("BinaryOp", [x, near])
    if scale != factor:
        model.layer("Interp", [x], f"0=3 1={scale / factor:e} 2={scale / factor:e}")
    return model


def dense(channels=3, width=4, blocks=2, growth=3, active=LEAKY, **how):
    """RRDBNet at four times the size."""
    model = Model(**how)

    def conv(blob, before, after, acts=True):
        made = model.conv(blob, before, after, active if acts else "")
        return model.layer("ReLU", [made], "0=0.2") if acts and not active else made

    first = x = conv("data", channels, width, acts=False)
    for _ in range(blocks):
        start = x
        for _ in range(3):
            seen = [x]
            for i in range(4):
                joined = model.layer("Concat", seen) if i else x
                seen.append(conv(joined, width + i * growth, growth))
            last = conv(model.layer("Concat", seen), width + 4 * growth, width, acts=False)
            x = model.layer("Eltwise", [last, x], "0=1 -23301=2,2.000000e-01,1.000000e+00")
        x = model.layer("Eltwise", [x, start], "0=1 -23301=2,2.000000e-01,1.000000e+00")
    x = model.layer("BinaryOp", [first, conv(x, width, width, acts=False)])
    for _ in range(2):
        x = conv(model.layer("Interp", [x], "0=1 1=2.000000e+00 2=2.000000e+00"), width, width)
    conv(conv(x, width, width), width, channels, acts=False)
    return model
