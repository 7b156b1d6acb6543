"""`organza VERB …`: one file for each verb; each parses, calls the public API and renders.

Nothing heavy is imported before a verb runs: the overview and the version come at once.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Sequence

import organza
from organza.interruption import imports_first

VERBS: dict[str, tuple[str, str]] = {
    "train": ("organza.cli.train", "train a GAN on your data"),
    "sample": ("organza.cli.sample", "draw samples from a trained GAN"),
    "interpolate": ("organza.cli.interpolate", "a film from one sample to the next"),
    "mix": ("organza.cli.mix", "some layers of one sample in another"),
    "walk": ("organza.cli.walk", "a film of a random walk through the samples"),
    "translate": ("organza.cli.translate", "pictures of one kind into another"),
    "upscale": ("organza.cli.upscale", "enlarge pictures and films"),
    "inpaint": ("organza.cli.inpaint", "fill holes of pictures and films"),
    "colorize": ("organza.cli.colorize", "grey pictures and films in colours"),
    "evaluate": ("organza.cli.evaluate", "scores with intervals, beside real images"),
    "project": ("organza.cli.project", "find the code of a picture"),
    "edit": ("organza.cli.edit", "move samples along directions"),
    "layers": ("organza.cli.layers", "see what each layer makes of a sample"),
    "export": ("organza.cli.export", "one file for ONNX or torch.export"),
    "recipes": ("organza.cli.recipes", "list the GANs, or show every field of one"),
    "data": ("organza.cli.data", "check, preview or convert data"),
    "convert": ("organza.cli.convert", "turn weights of other projects into a model"),
    "report": ("organza.cli.report", "write the page of a run anew"),
    "doctor": ("organza.cli.doctor", "is this machine ready?"),
}

MISTAKE, PIPE_CLOSED, INTERRUPTED = 2, 141, 130  # exit codes

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb. A mistake becomes one message on stderr and exit code 2; ORGANZA_DEBUG=1 shows the traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            with imports_first():
                _dispatch(words)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone, as `head` does
        _forget_stdout()
        raise SystemExit(PIPE_CLOSED) from None
    except KeyboardInterrupt as told:
        print("; ".join(filter(None, ("\norganza: interrupted", str(told)))), file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except Exception as problem:
        message = explanation(problem)
        if message is None or os.environ.get("ORGANZA_DEBUG", "0") not in ("", "0"):
            raise
        print(f"organza: {message}", file=sys.stderr)
        raise SystemExit(MISTAKE) from None


def explanation(problem: Exception) -> str | None:
    """What to tell the user; None for what is no mistake of theirs but a defect of ours."""
    if isinstance(problem, OSError):
        return _about_files(problem)
    if isinstance(problem, MemoryError):
        return str(problem) or "out of memory"
    if isinstance(problem, ValueError) or type(problem).__name__ in ("BrokenError", "OutOfMemoryError"):
        return str(problem)  # those two are torch's and the trainer's, which are not imported for this
    return None


def _about_files(problem: OSError) -> str:
    text = str(problem) if problem.strerror is None else problem.strerror
    place = f": {problem.filename}" if problem.filename is not None else ""
    if problem.errno in _DISK_FULL or "No space left" in text or "File too large" in text:
        return f"the disk is full ({text}{place}); free some space or choose another folder. What is saved is whole"
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"not allowed to read or write{place} ({text}); choose another folder, such as --out ~/runs/x"
    return text + place


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
    elif words[0] in ("-V", "--version"):
        print(f"organza {organza.__version__}")
    elif words[0] in VERBS:
        importlib.import_module(VERBS[words[0]][0]).main(words[1:])
    else:
        from organza.config import ConfigError, closest

        raise ConfigError(f"unknown verb '{words[0]}'{closest(words[0], VERBS)} (organza --help explains them)")


def _overview() -> str:
    verbs = "\n".join(f"  {name:<12} {about}" for name, (_, about) in VERBS.items())
    return (
        "Organza: train, judge, understand, steer and ship every kind of GAN.\n\n"
        f"usage: organza VERB [OPTIONS]\n\n{verbs}\n\n"
        "  organza train                       a first GAN: dcgan on handwritten digits\n"
        "  organza train --data my/photos      on your own images\n"
        "  organza VERB --help                 the options of a verb\n"
        "  organza --version                   the version"
    )


def _forget_stdout() -> None:
    """Let the interpreter flush what is left into nothing when it ends."""
    with contextlib.suppress(OSError, ValueError):  # a stdout without a file, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
