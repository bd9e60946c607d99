"""A server, in a process of its own, that speaks OpenAI's protocol and misbehaves as it is told."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class State:
    """What the server was told, and what it was asked."""

    def __init__(self):
        self.lock = threading.Lock()
        self.told = []
        """How the next requests are answered, one each; the last, after `*`, all that follow. POISON is always 500."""
        self.seen = []
        self.open = 0
        self.network = None
        self.vectors = None


STATE = State()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/seen":
            self.reply(200, {"seen": STATE.seen})
        else:
            self.reply(200, {"object": "list", "data": [{"id": "tiny", "object": "model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tell":
            STATE.told, STATE.seen = body["told"], []
            self.reply(200, {})
            return
        with STATE.lock:
            STATE.open += 1
            STATE.seen.append(
                {"path": self.path, "body": body, "auth": self.headers.get("Authorization"), "at": time.time(),
                 "open": STATE.open}
            )  # fmt: skip
            how = STATE.told[0].lstrip("*") if STATE.told else "ok"
            if STATE.told and not STATE.told[0].startswith("*"):
                STATE.told.pop(0)
        try:
            self.behave("500" if "POISON" in json.dumps(body) else how, body)
        finally:
            with STATE.lock:
                STATE.open -= 1

    def behave(self, how, body):
        word, _, value = how.partition(" ")
        if word == "slow":
            time.sleep(float(value))
            word = "ok"
        if word == "drop":
            self.close_connection = True
            self.connection.close()
        elif word == "garbage":
            self.raw(200, b"<html>who are you?</html>")
        elif word == "other":
            self.reply(200, {"hello": 1})
        elif word == "filtered":
            self.reply(400, {"error": {"message": "not that", "code": "content_filter"}})
        elif word.isdigit():
            headers = {"Retry-After": value} if value else {}
            self.reply(int(word), {"error": {"message": f"no: {how}", "type": "told"}}, headers)
        elif self.path.endswith("/embeddings"):
            self.reply(200, embeddings(body))
        else:
            self.reply(200, completion(body, word, value))

    def reply(self, status, data, headers=None):
        self.raw(status, json.dumps(data).encode(), headers)

    def raw(self, status, data, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def completion(body, how, value):
    """An answer that follows from the question alone, or as it was told."""
    text = value if how == "say" else said(body)
    ended = {"length": "length", "filter": "content_filter"}.get(how, "stop")
    return {
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": ended}],
        "usage": {"prompt_tokens": 10, "completion_tokens": len(text.split()), "total_tokens": 10 + len(text.split())},
    }


def said(body):
    content = body["messages"][-1]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    if STATE.network is not None:
        return by_network(pictures, parts[-1]["text"], body)
    if schema := body.get("response_format", {}).get("json_schema", {}).get("schema"):
        return json.dumps({name: f"some {name}" for name in schema["properties"]})
    videos = sum(part["type"] == "video_url" for part in parts)
    mark = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()[:6]
    return f"{len(pictures)} pictures, {videos} videos, {mark}"


def by_network(pictures, text, body):
    import cv2
    import numpy as np

    from vbuild.models.messages import Prompt, Sampling, Video

    data = [np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8) for url in pictures]
    frames = np.stack([cv2.imdecode(one, cv2.IMREAD_COLOR)[..., ::-1] for one in data])
    times = np.arange(len(frames)) / 2
    with STATE.lock:
        (answer,) = STATE.network.answers(
            [Prompt(text, Video(frames, times, len(frames) / 2))], Sampling(max_tokens=body["max_tokens"])
        )
    return answer.text


def embeddings(body):
    """Vectors of what is sent, the last first; by the model if it is one of embeddings, or by rule."""
    if "messages" in body:
        content = body["messages"][-1]["content"]
        parts = [[part["image_url"]["url"] for part in content if part["type"] == "image_url"]]
    else:
        given = body["input"] if isinstance(body["input"], list) else [body["input"]]
        parts = [[one["image"]] if "image" in one else one["text"] if isinstance(one, dict) else one for one in given]
    vectors = STATE.vectors(parts) if STATE.vectors else list(map(hashed, parts))
    rows = [vector[: body.get("dimensions", len(vector))] for vector in vectors]
    data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "model": body["model"], "data": data[::-1], "usage": usage}


def hashed(part):
    return [byte / 255 - 0.5 for byte in hashlib.sha256(json.dumps(part).encode()).digest()[:8]]


def embedder(folder):
    """What makes vectors by a tiny model of transformers: of a list of pictures their mean's, or of a text."""
    import cv2
    import numpy as np
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    looks, words = AutoImageProcessor.from_pretrained(folder, backend="pil"), AutoTokenizer.from_pretrained(folder)

    def vector(part):
        if isinstance(part, str):
            tokens = words(part, padding="max_length", max_length=16, truncation=True, return_tensors="pt")
            given = {name: tokens[name] for name in ("input_ids", "attention_mask")}
            return model.get_text_features(**given).pooler_output[0].tolist()
        data = [np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8) for url in part]
        pictures = [cv2.imdecode(one, cv2.IMREAD_COLOR)[..., ::-1].copy() for one in data]
        pixels = looks(images=pictures, return_tensors="pt")["pixel_values"]
        return model.get_image_features(pixel_values=pixels).pooler_output.mean(0).tolist()

    def vectors(parts):
        with STATE.lock, torch.inference_mode():
            return list(map(vector, parts))

    return vectors


class Served:
    """A server that runs, and what may be told to it."""

    def __init__(self, port):
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"

    def tell(self, *told):
        """How the next requests are answered; forgets what was asked before."""
        self._call("/tell", {"told": told})

    def seen(self):
        """What was asked since."""
        return self._call("/seen")["seen"]

    def _call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.root + path, data)) as response:
            return json.loads(response.read())


@contextmanager
def served(model=None):
    """A server, for as long as it is used; it speaks by a model of a folder, or by rule."""
    root = Path(__file__).parents[1]
    words = [sys.executable, __file__, *([str(model)] if model else [])]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths})
    try:
        yield Served(int(re.findall(r"\d+", process.stdout.readline())[0]))
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    if len(sys.argv) > 1 and '"clip"' in (Path(sys.argv[1]) / "config.json").read_text():
        STATE.vectors = embedder(sys.argv[1])
    elif len(sys.argv) > 1:
        from vbuild.models.vlm import Network

        STATE.network = Network(sys.argv[1], dtype="float32", device="cpu")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()
