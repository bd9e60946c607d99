"""A server that speaks as much of the hub's protocol as listing and fetching a repository needs."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c0ffee0123456789abcdef0123456789abcdef01"


@contextmanager
def serving(repos):
    """The address of a hub with repositories: name → folder, or None for one that is gated. Ends with the context."""
    asked = []

    class Answering(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET(body=False)

        def do_GET(self, body=True):
            asked.append(self.path)
            parts = self.path.partition("?")[0].strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self.told("/".join(parts[2:4]), body)
            elif parts[2:3] == ["resolve"]:
                self.file(repos.get("/".join(parts[:2])), "/".join(parts[4:]), body)
            else:
                self.answer(404, b"", body)

        def told(self, name, body):
            if name not in repos:
                self.answer(404, b"{}", body, **{"X-Error-Code": "RepoNotFound"})
                return
            folder = repos[name]
            if folder is None and "/tree/" in self.path:
                self.answer(403, b"{}", body, **{"X-Error-Code": "GatedRepo"})
                return
            files = sorted(f for f in folder.rglob("*") if f.is_file()) if folder else []
            siblings = [{"rfilename": f.relative_to(folder).as_posix(), "size": f.stat().st_size} for f in files]
            if "/tree/" in self.path:
                tree = [{"type": "file", "path": s["rfilename"], "size": s["size"], "oid": "0" * 40} for s in siblings]
                self.answer(200, json.dumps(tree).encode(), body, **{"Content-Type": "application/json"})
                return
            said = {
                "id": name, "sha": COMMIT, "gated": False if folder else "manual", "private": False, "tags": [],
                "siblings": siblings, "cardData": {"license": "apache-2.0"},
            }  # fmt: skip
            self.answer(200, json.dumps(said).encode(), body, **{"Content-Type": "application/json"})

        def file(self, folder, name, body):
            if folder is None or not (folder / name).is_file():
                self.answer(403 if folder is None else 404, b"", body, **{"X-Error-Code": "GatedRepo"})
                return
            data = (folder / name).read_bytes()
            self.answer(200, data, body, ETag=f'"{hashlib.sha1(data).hexdigest()}"', **{"X-Repo-Commit": COMMIT})

        def answer(self, code, data, body, **headers):
            self.send_response(code)
            for header, value in ({"Content-Length": str(len(data))} | headers).items():
                self.send_header(header, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
