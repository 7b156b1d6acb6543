import functools
import http.server
import os
import threading

os.environ["OMP_NUM_THREADS"] = "1"  # subprocesses inherit it; equality bit by bit needs one number of threads
os.environ["MKL_NUM_THREADS"] = "1"

import pytest
import torch

from organza.training import plan

torch.set_num_threads(1)
ESTIMATE = plan.peak_memory


@pytest.fixture(scope="session", autouse=True)
def quick_plan():
    """The plan's estimate of memory takes most of the time of a run of a few steps; it has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "peak_memory", lambda config, store: 1_000_000)
        yield


@pytest.fixture
def whole_plan(monkeypatch):
    """Plans as users get them."""
    monkeypatch.setattr(plan, "peak_memory", ESTIMATE)


class Listener:
    """Remembers what it was told."""

    def __init__(self):
        self.steps, self.notes = [], []

    def step(self, what, done, total):
        self.steps.append((what, done, total))

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def listener():
    return Listener()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; what is called cut.bin ends too early."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.endswith("cut.bin"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"only this")
        else:
            super().do_GET()


@pytest.fixture
def server(tmp_path):
    """A folder and the address at which it is served."""
    (tmp_path / "www").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield tmp_path / "www", f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()
