import errno
import subprocess
import sys
import types

import pytest

from organza.cli import VERBS, explanation, main
from organza.config import ConfigError


def python(code: str, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)


@pytest.mark.parametrize("word", [None, "--help", "--version"])
def test_the_overview_and_the_version_come_at_once(word):
    code = (
        "import sys, time\nfrom organza.cli import main\n"
        f"main({[word] if word else []})\n"
        "assert not {'torch', 'tyro', 'rich', 'numpy'} & set(sys.modules), sys.modules.keys()\n"
        "assert time.process_time() < 0.4, time.process_time()"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert ("organza 0." if word == "--version" else "usage: organza VERB") in done.stdout


def test_the_help_of_no_verb_needs_torch():
    code = (
        "import sys\nfrom organza.cli import VERBS, main\n"
        "for verb in VERBS:\n"
        "    try: main([verb, '--help'])\n"
        "    except SystemExit as end: assert not end.code, end.code\n"
        "    assert 'torch' not in sys.modules, verb\n"
        "main(['recipes']); main(['recipes', 'r3gan']); main(['recipes', 'dcgan', '--json'])\n"
        "for words in (['train', 'dcgn'], ['train', '--imagse', '5'], ['train', '--batch', 'x'], ['doctor', 'x']):\n"
        "    try: main(words)\n"
        "    except SystemExit as end: assert end.code == 2, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert "organza recipes RECIPE" in done.stdout
    for recipe in ("dcgan", "r3gan"):
        assert recipe in done.stdout


def test_the_overview_names_every_verb(organza):
    said = organza()
    assert said.code == 0
    assert all(f"  {verb} " in said.out for verb in VERBS)


def test_a_mistake_is_one_line_on_stderr_and_exit_code_2():
    done = subprocess.run([sys.executable, "-m", "organza", "trian"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "organza: unknown verb 'trian'; did you mean 'train'? (organza --help explains them)\n"


def test_a_closed_pipe_is_quiet():
    done = subprocess.Popen(
        [sys.executable, "-m", "organza", "recipes", "r3gan", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert done.stdout
    assert done.stderr
    done.stdout.close()
    assert done.stderr.read() == b""
    done.stderr.close()
    assert done.wait() == 141


@pytest.fixture
def verb(monkeypatch):
    """A verb that raises."""

    def make(problem: BaseException):
        module = types.ModuleType("a_verb_that_raises")

        def run(argv):
            raise problem

        module.main = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "a_verb_that_raises", module)
        monkeypatch.setitem(VERBS, "raise", ("a_verb_that_raises", ""))

    return make


def test_ctrl_c_ends_with_130(organza, verb):
    verb(KeyboardInterrupt())
    said = organza("raise")
    assert (said.code, said.err) == (130, "\norganza: interrupted\n")


def test_a_traceback_is_there_for_who_wants_it(verb, monkeypatch):
    verb(ConfigError("no"))
    monkeypatch.setenv("ORGANZA_DEBUG", "1")
    with pytest.raises(ConfigError):
        main(["raise"])


def test_our_own_defects_are_not_hidden(verb):
    verb(KeyError("defect"))
    with pytest.raises(KeyError):
        main(["raise"])


def test_every_mistake_is_explained():
    from organza.training.guard import BrokenError

    assert explanation(FileNotFoundError("no run in x; type y")) == "no run in x; type y"
    assert explanation(FileNotFoundError(errno.ENOENT, "No such file or directory", "a")) == (
        "No such file or directory: a"
    )
    assert "disk is full" in str(explanation(OSError(errno.ENOSPC, "No space left on device", "a")))
    assert "disk is full" in str(explanation(OSError("I/O error: No space left on device (os error 28)")))
    assert "not allowed" in str(explanation(PermissionError(errno.EACCES, "Permission denied", "/root")))
    assert explanation(MemoryError("type --batch 8")) == "type --batch 8"
    assert explanation(MemoryError()) == "out of memory"
    assert explanation(BrokenError("after 3 rollbacks")) == "after 3 rollbacks"
    assert explanation(RuntimeError("defect")) is None
