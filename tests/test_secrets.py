"""Secrets of urls and of the environment stay out of all that is written and shown."""

import threading
from collections import Counter
from functools import partial
from http.server import ThreadingHTTPServer
from importlib.util import find_spec

import lance
import pytest
from footage import video
from test_sources import Handler

from vbuild.cli.main import run
from vbuild.errors import VbuildError
from vbuild.secrets import display_names, masked

SECRETS = ("hunter2pass", "s1gnature99", "envsecret77")


class Signed(Handler):
    """Serves whatever the query is."""

    def reply(self, *, body):
        self.path = self.path.partition("?")[0]
        super().reply(body=body)


def test_only_what_tells_the_file_is_left_of_a_url():
    """A user, a password and the values of a query go; what is masked stays as it is; like names are told apart."""
    said = masked("cannot read https://u:p@h/a.mp4?id=7&X-Amz-Signature=abc: gone")
    assert said == "cannot read https://***@h/a.mp4?id=7&X-Amz-Signature=***: gone"
    assert masked(said) == said
    assert display_names(["http://h/a?k=1", "http://h/a?k=2"]) == ["http://h/a?k=***", "http://h/a?k=***#2"]


@pytest.mark.skipif(find_spec("aiohttp") is None, reason="fsspec wants aiohttp for http")
def test_no_secret_is_in_the_store_the_output_or_what_is_said(tmp_path, monkeypatch, capfd):
    """A build, with files that fail, an explanation and a plan leave none of the secrets anywhere."""
    folder = tmp_path / "served"
    folder.mkdir()
    video(folder / "a.mp4", seconds=1.0, fps=8, size=(64, 48), seed=1)
    (folder / "bad.mp4").write_bytes(b"no video")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Signed, folder, Counter()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    work = tmp_path / "work"
    (work / "conf" / "dataset").mkdir(parents=True)
    listed = tmp_path / "l.csv"
    base = f"http://me:hunter2pass@127.0.0.1:{server.server_port}"
    rows = [f"{base}/{n}.mp4?X-Amz-Signature=s1gnature99,{base}/{n}.png?sig=s1gnature99" for n in ("a", "bad", "gone")]
    listed.write_text("\n".join(["url,thumb", *rows]))
    (tmp_path / "mine_secret.py").write_text(
        "from dataclasses import dataclass\nfrom vbuild import Stage\n\n\n@dataclass(frozen=True, kw_only=True)\n"
        "class Ask(Stage):\n    token: str\n    reads = {'probe': ('width',)}\n    writes = {'ok': 'bool'}\n"
        "    version = 1\n    phase = 'measure'\n    scope = 'clip'\n\n"
        "    def run(self, clips):\n        for _ in clips:\n            raise ValueError(f'refused {self.token}')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MY_TOKEN", "envsecret77")
    (work / "conf" / "dataset" / "mine.yaml").write_text(
        "# @package _global_\n"
        f"source: {{path: [{listed}]}}\n"
        "stages:\n  ask: {_target_: mine_secret.Ask, token: '${oc.env:MY_TOKEN}'}\n"
    )
    monkeypatch.chdir(work)
    words = ["+dataset=mine", f"store={tmp_path / 'store'}", "executor.workers=0"]
    monkeypatch.setattr("sys.argv", ["vbuild"])
    run([*words, f"+source.note={base}", "--cfg", "job", "--resolve"])
    for verb in ([], ["plan", "--json"], ["explain", "--json"], ["explain", "--video", "a.mp4?X-Amz-Signature=***"]):
        try:
            run([*verb[:1], *words, *verb[1:]])
        except VbuildError as error:
            print(error)
    said = "".join(capfd.readouterr())
    assert "***" in said
    found = [said.encode()]
    found += [p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file()]
    found += [
        str(lance.dataset(str(p)).to_table().to_pylist()).encode()
        for p in (tmp_path / "store").rglob("*.lance")
        if p.is_dir()
    ]
    server.shutdown()
    server.server_close()
    videos = lance.dataset(str(tmp_path / "store/datasets/mine/videos.lance")).to_table().to_pylist()
    assert [row["status"] == "failed" for row in videos] == [False, True, True]
    assert [row["thumb"][-8:] for row in videos] == [".png?sig=***"[-8:]] * 3
    for secret in SECRETS:
        assert not [data[:200] for data in found if secret.encode() in data], secret
