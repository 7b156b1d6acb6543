"""How frames become H.264 that every player shows in its colours."""

from __future__ import annotations

from typing import Any

import numpy as np

Pixels = np.ndarray[Any, Any]
BT709 = "bt709"  # told in the file: without it players guess the matrix from the size


def even(frame: Pixels) -> Pixels:
    """[H, W, C] with the last row or column once more where a side is odd: 4:2:0 has even sides alone."""
    height, width, _ = frame.shape
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")


def coded(quality: int) -> list[str]:
    """What ffmpeg is told of the film that it writes; `quality` is x264's, 0 (exact) to 51."""
    return [
        "-vf", f"scale=out_color_matrix={BT709}:out_range=tv", "-c:v", "libx264", "-crf", f"{quality}",
        "-pix_fmt", "yuv420p", "-colorspace", BT709, "-color_primaries", BT709, "-color_trc", BT709,
        "-movflags", "+faststart",
    ]  # fmt: skip
