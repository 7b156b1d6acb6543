"""Publishing with the hub's own client, on a small server in the place of the hub that writes down what it is asked."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest
import torch
from export_helpers import tiny

import organza
from organza.config import Model
from organza.hub.translator import Translator
from organza.models import translator

constants = pytest.importorskip("huggingface_hub.constants", reason="the extra hub is not installed")
FACTS = {"data": {"source": "my camera", "people": "none"}}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TRAINING = {"images": 7000, "seconds": 61.0, "hardware": "a laptop", "data": {
    "name": "cats", "count": 90, "licence": "CC BY 4.0", "fingerprint": "51311e2a", "shape": [1, 16, 16]}}  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    """Creates repositories, says how each file is to be sent, and takes commits; but for the repository `closed`."""

    def log_message(self, *_) -> None:
        pass

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b"".join(self._chunks())
        hub: FakeHub = self.server  # type: ignore[assignment]
        hub.asked.append((self.path, self.headers.get("Authorization"), body))
        answer: dict = {"url": f"{hub.url}/ann/cats"}
        if "/preupload/" in self.path:
            answer = {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                                for file in json.loads(body)["files"]]}  # fmt: skip
        elif "/commit/" in self.path:
            answer = {"commitUrl": f"{hub.url}/ann/cats/commit/{COMMIT}", "commitOid": COMMIT}
        closed = b'"closed"' in body
        told = json.dumps({"error": "you may not write here"} if closed else answer).encode()
        self.send_response(403 if closed else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def _chunks(self):
        for _ in count():
            size = int(self.rfile.readline() or b"0", 16)
            yield self.rfile.read(size)
            self.rfile.readline()
            if not size:
                return


class FakeHub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.url, self.asked = f"http://127.0.0.1:{self.server_address[1]}", []


@pytest.fixture
def hub(monkeypatch):
    server = FakeHub()
    for name, value in (("HF_TOKEN", "hf_secret"), ("NO_PROXY", "*")):
        monkeypatch.setenv(name, value)
    for name, value in (("ENDPOINT", server.url), ("HF_HUB_OFFLINE", False), ("HF_HUB_DISABLE_XET", True)):
        monkeypatch.setattr(constants, name, value)  # which the client reads from HF_ENDPOINT, … when it is imported
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def published(hub, folder):
    """What the commit is called, and its files, which are put into a folder."""
    commit = next(body for path, _, body in hub.asked if path.startswith("/api/models/ann/cats/commit/main"))
    lines = [json.loads(line) for line in commit.splitlines()]
    files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return lines[0]["value"]["summary"], files


def test_a_repository_is_made_and_gets_the_whole_folder(hub, tmp_path):
    gan = tiny("dcgan", training=TRAINING)
    assert gan.push_to_hub("ann/cats", licence="MIT", facts=FACTS) == f"{hub.url}/ann/cats/commit/{COMMIT}"
    with pytest.raises(OSError, match=r"hf:ann/closed was not published: .*403") as refusal:
        gan.push_to_hub("ann/closed", licence="MIT", facts=FACTS)
    assert "hf_secret" not in str(refusal.value)
    assert {key for _, key, _ in hub.asked} == {"Bearer hf_secret"}
    made = json.loads(next(body for path, _, body in hub.asked if path == "/api/repos/create"))
    assert (made["name"], made["organization"]) == ("cats", "ann")
    assert made.get("visibility", "private" if made.get("private") else "public") == "private"
    summary, files = published(hub, tmp_path / "back")
    assert summary == "dcgan GAN"
    assert set(files) == {"README.md", "config.json", "model.safetensors", "samples/grid.png"}
    assert b"license: mit" in files["README.md"]
    assert b"ann/cats" in files["README.md"]
    assert torch.equal(organza.load(tmp_path / "back").sample(3), gan.sample(3))


def test_a_translator_is_published_as_a_gan_is(hub, tmp_path):
    model, source, shape = Model(name="srvgg", options={"width": 4, "depth": 1}), (3, 8, 8), (3, 16, 16)
    network = translator(model, source, shape).eval().requires_grad_(False)
    found = Translator(network, model, source, shape, recipe="real-esrgan", training=TRAINING)
    assert found.push_to_hub("ann/cats", licence="MIT", facts=FACTS) == f"{hub.url}/ann/cats/commit/{COMMIT}"
    summary, files = published(hub, tmp_path / "back")
    assert summary == "real-esrgan translator"
    assert set(files) == {"README.md", "config.json", "model.safetensors"}
    assert b"pipeline_tag: image-to-image" in files["README.md"]
    assert b"organza upscale PICTURES --model hf:ann/cats" in files["README.md"]
    images = torch.rand(2, 3, 8, 12) * 2 - 1
    assert torch.equal(Translator.from_pretrained(tmp_path / "back").translate(images), found.translate(images))
