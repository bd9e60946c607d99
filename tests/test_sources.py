"""Where videos come from: folders, patterns, lists, archives, and what is far away."""

import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zlib
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pyarrow as pa
import pytest
from footage import video
from made import Tone
from project import Project, ran
from pyarrow import parquet

from vbuild import uris
from vbuild.config import Source
from vbuild.engine import build
from vbuild.errors import SourceError
from vbuild.source import identify, list_videos
from vbuild.store.files import Files


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two small videos of 1 s."""
    folder = tmp_path_factory.mktemp("clips")
    return [video(folder / f"{n}.mp4", seconds=1.0, fps=8, size=(64, 48), seed=n) for n in range(2)]


def empty(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(*path, **more):
    return [uri.rpartition("/")[2] for uri in list_videos(Source(path=tuple(map(str, path)), **more)).uris]


def test_patterns_let_in_and_leave_out(tmp_path):
    """Patterns are for the whole path or the name; what is left out is out, whatever lets it in."""
    empty(tmp_path / "cats" / "a.mp4", tmp_path / "cats" / "b.mp4", tmp_path / "dogs" / "a.mp4")
    assert names(tmp_path, include=("a.*",)) == ["a.mp4", "a.mp4"]
    assert names(tmp_path, include=("*/cats/*",)) == ["a.mp4", "b.mp4"]
    assert names(tmp_path, include=("*/cats/*",), exclude=("b.mp4",)) == ["a.mp4"]
    assert names(tmp_path, exclude=("*/cats/*",), limit=5) == ["a.mp4"]
    with pytest.raises(SourceError, match="no video in it"):
        names(tmp_path, include=("c*",))


def test_the_limit_counts_what_the_patterns_leave(tmp_path):
    """The first videos of those that are wanted."""
    empty(*(tmp_path / f"{n}.mp4" for n in "abcd"))
    assert names(tmp_path, exclude=("a.mp4",), limit=2) == ["b.mp4", "c.mp4"]


ROWS = [{"path": "a.mp4", "who": "ann", "take": 1}, {"path": "sub/b.mp4", "who": None, "take": 2}]


def put_list(folder, name):
    path = folder / name
    table = pa.Table.from_pylist(ROWS)
    match path.suffix:
        case ".csv":
            path.write_text("who,path,take\nann,a.mp4,1\n,sub/b.mp4,2\n")
        case ".json":
            path.write_text(json.dumps(ROWS))
        case ".jsonl":
            path.write_text("\n".join(map(json.dumps, ROWS)) + "\n")
        case ".parquet":
            parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("name", ["l.csv", "l.json", "l.jsonl", "l.parquet"])
def test_a_list_brings_its_columns(tmp_path, name):
    """Paths start at the list's folder; the other columns come along with their types."""
    empty(tmp_path / "a.mp4", tmp_path / "sub" / "b.mp4")
    files = list_videos(Source(path=(str(put_list(tmp_path, name)),)))
    assert files.uris == [str(tmp_path / "a.mp4"), str(tmp_path / "sub" / "b.mp4")]
    columns = files.columns()
    assert columns["take"].to_pylist() == [1, 2]
    assert columns["who"].to_pylist()[0] == "ann"
    assert set(columns.column_names) == {"take", "who"}


def test_a_list_of_bare_paths_brings_no_columns(tmp_path):
    """As text, or as strings in JSON."""
    empty(tmp_path / "a.mp4")
    (tmp_path / "l.json").write_text('["a.mp4"]')
    (tmp_path / "l.txt").write_text("# mine\na.mp4\n")
    for name in ("l.json", "l.txt"):
        files = list_videos(Source(path=(str(tmp_path / name),)))
        assert files.uris == [str(tmp_path / "a.mp4")]
        assert files.columns() is None


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.csv", "clip,n\na.mp4,1\n", "a column with the paths is expected.*it has clip, n.*source.column"),
        ("l.csv", "path,n\n1,1\n", "is to hold a path in each row"),
        ("l.json", '{"path": "a.mp4"}', "a list of paths or of objects"),
        ("l.json", "[", "the list cannot be read"),
        ("l.parquet", "x", "the list cannot be read"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_line(tmp_path, name, text, said):
    """The file and what is wrong with it."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=said):
        names(tmp_path / name)


def test_the_column_of_the_paths_is_named(tmp_path):
    """`source.column` says which it is."""
    empty(tmp_path / "a.mp4")
    (tmp_path / "l.csv").write_text("path,clip\nnone.mp4,a.mp4\n")
    assert names(tmp_path / "l.csv", column="clip") == ["a.mp4"]


def test_columns_of_a_list_stand_in_videos(tmp_path, clip):
    """They follow the list, run no stage, and keep off the names that the table has; a missing file has its row."""
    project = Project(tmp_path, {"tone": Tone()})
    project.put("a.mp4", clip[0])
    project.put("b.mp4", clip[1])
    table = tmp_path / "videos" / "l.csv"

    def go(text):
        table.write_text(text)
        os.utime(table, (1, 1))
        return build(project.config().__class__(**{**vars(project.config()), "source": Source(path=(str(table),))}))

    first = go("path,who,fps,a b\na.mp4,ann,x,1\nb.mp4,bob,y,2\ngone.mp4,eve,z,3\n")
    rows = {uri.rpartition("/")[2]: row for uri, row in project.rows("videos").items()}
    assert ran(first)["tone"] == 2
    assert [rows[n]["who"] for n in ("a.mp4", "b.mp4", "gone.mp4")] == ["ann", "bob", "eve"]
    assert (rows["a.mp4"]["list_fps"], rows["a.mp4"]["fps"], rows["a.mp4"]["a_b"]) == ("x", 8.0, 1)
    assert rows["gone.mp4"]["status"] == "failed"
    assert "No such file" in rows["gone.mp4"]["error"]
    assert ran(go("path,who\na.mp4,ann\nb.mp4,ben\n")) == {}
    rows = {uri.rpartition("/")[2]: row for uri, row in project.rows("videos").items()}
    assert {n: row["who"] for n, row in rows.items()} == {"a.mp4": "ann", "b.mp4": "ben"}
    assert "list_fps" not in rows["a.mp4"]


def shard(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    os.utime(path, (1_000_000, 1_000_000))
    return path


def test_videos_in_a_tar_are_built_where_they_are(tmp_path, clip):
    """A member is the video that its bytes are: built once with the file, read by its place, nothing unpacked."""
    project = Project(tmp_path, {"tone": Tone()})
    project.put("plain.mp4", clip[0])
    project.build()
    data = [path.read_bytes() for path in clip]
    archive = shard(tmp_path / "s-0.tar", {"k/0.mp4": data[0], "k/0.json": b"{}", "k/1.mp4": data[1]})
    changed = {**vars(project.config()), "source": Source(path=(str(tmp_path / "s-*.tar"),))}
    report = build(project.config().__class__(**changed))
    assert ran(report) == {"probe": 1, "tone": 1}
    assert sorted(project.rows("videos")) == [f"{archive}::k/0.mp4", f"{archive}::k/1.mp4"]
    assert {row["status"] for row in project.rows("videos").values()} == {"ok"}
    assert build(project.config().__class__(**changed)).up_to_date


def test_what_is_no_tar_is_told(tmp_path):
    """It is named."""
    (tmp_path / "s.tar").write_text("no tar" * 200)
    with pytest.raises(SourceError, match=r"s\.tar: it cannot be read \(it is no tar"):
        names(tmp_path / "s.tar")


class Handler(BaseHTTPRequestHandler):
    """Serves files of a folder with ranges and etags, and counts what is asked."""

    protocol_version = "HTTP/1.1"

    def __init__(self, folder, asked, *args):
        self.folder, self.asked = folder, asked
        super().__init__(*args)

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.reply(body=False)

    def do_GET(self):
        self.reply(body=True)

    def reply(self, *, body):
        path = self.folder / self.path.lstrip("/")
        if path.is_dir():
            data = "".join(f'<a href="/{p.name}">{p.name}</a>' for p in sorted(path.iterdir())).encode()
        elif path.is_file():
            data = path.read_bytes()
        else:
            self.send_error(404)
            return
        span = self.headers.get("Range")
        self.asked[self.path, "range" if span else self.command] += 1
        first, last = 0, len(data) - 1
        if span:
            low, _, high = span.removeprefix("bytes=").partition("-")
            first, last = (int(low), min(int(high or last), last)) if low else (len(data) - int(high), last)
        self.send_response(206 if span else 200)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "text/html" if path.is_dir() else "application/octet-stream")
        self.send_header("ETag", f'"{zlib.crc32(data)}"')
        if span:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        if body:
            self.wfile.write(data[first : last + 1])
            self.asked[self.path, "bytes"] += last - first + 1


@pytest.fixture
def web(tmp_path):
    """A folder on the web: its path, its address, and what was asked."""
    folder, asked = tmp_path / "web", Counter()
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, folder, asked))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_videos_of_the_web_are_built_and_streamed_once(tmp_path, clip, web):
    """A list of addresses, one of which is not there: that one has its row with the reason, the others are built."""
    folder, address, asked = web
    (folder / "a.mp4").write_bytes(clip[0].read_bytes())
    (folder / "b.mp4").write_bytes(clip[1].read_bytes())
    (tmp_path / "l.csv").write_text(f"url,who\n{address}/a.mp4,ann\n{address}/gone.mp4,eve\n{address}/b.mp4,bob\n")
    os.utime(tmp_path / "l.csv", (1, 1))
    project = Project(tmp_path, {"tone": Tone()})
    config = project.config().__class__(**{**vars(project.config()), "source": Source(path=(str(tmp_path / "l.csv"),))})
    report = build(config)
    assert (ran(report)["tone"], report.videos_failed) == (2, 1)
    rows = {uri.rpartition("/")[2]: row for uri, row in project.rows("videos").items()}
    assert [(rows[n]["who"], rows[n]["status"]) for n in ("a.mp4", "b.mp4", "gone.mp4")] == [
        ("ann", "ok"), ("bob", "ok"), ("eve", "failed"),
    ]  # fmt: skip
    assert f"{address}/gone.mp4" in rows["gone.mp4"]["error"]
    assert asked["/a.mp4", "range"]
    before = asked["/a.mp4", "bytes"]
    assert build(config).up_to_date
    (project.store / "stamps" / "d.json").unlink()
    assert not ran(build(config))
    assert asked["/a.mp4", "bytes"] == before


def test_a_page_of_links_is_a_folder(clip, web):
    """Over http the videos are those that the page links to."""
    folder, address, _ = web
    for name in ("a.mp4", "b.mp4", "c.txt"):
        (folder / name).write_bytes(clip[0].read_bytes())
    assert names(f"{address}/") == ["a.mp4", "b.mp4"]
    assert names(f"{address}/", include=("b*",)) == ["b.mp4"]


def test_ranges_are_read_of_a_large_file(web):
    """Of a file of 40 MB a hundred bytes in its middle cost no more than a few blocks."""
    folder, address, asked = web
    (folder / "big.bin").write_bytes(bytes(40_000_000))
    with uris.open_uri(f"{address}/big.bin") as stream:
        stream.seek(20_000_000)
        assert stream.read(100) == bytes(100)
    assert asked["/big.bin", "bytes"] < 12_000_000


def test_a_changed_etag_is_another_file(tmp_path, web, clip):
    """What was streamed is known again by address, etag and size; when they change it is read anew."""
    folder, address, _ = web
    (folder / "a.mp4").write_bytes(b"1234")
    source, memo = Source(path=(f"{address}/a.mp4",)), Files(tmp_path / "store")
    first = identify(list_videos(source), memo)
    assert first.read == 1
    assert identify(list_videos(source), memo).read == 0
    (folder / "a.mp4").write_bytes(b"4321")
    again = identify(list_videos(source), memo)
    assert again.read == 1
    assert bytes(again.ids[0].item()) != bytes(first.ids[0].item())


def test_a_protocol_without_its_library_is_told(tmp_path):
    """The extra that brings it is named, or that the protocol is not known."""
    if find_spec("s3fs") is None:
        with pytest.raises(SourceError, match=r"pip install 'vbuild-video\[s3\]'"):
            names("s3://bucket/videos")
    with pytest.raises(SourceError, match="nowhere:// is not known"):
        names("nowhere://bucket/videos")


def test_a_folder_of_another_file_system_is_listed(clip):
    """Folders and patterns go to the bottom, through fsspec."""
    import fsspec

    fs = fsspec.filesystem("memory")
    for name in ("/v/a.mp4", "/v/sub/b.mp4", "/v/c.txt"):
        fs.pipe(name, clip[0].read_bytes())
    assert names("memory://v") == ["a.mp4", "b.mp4"]
    assert names("memory://v/*.mp4") == ["a.mp4"]


FAST = """
import sys
from vbuild.engine import up_to_date
from vbuild.compose import load
config = load(["+dataset=folder", f"source.path={sys.argv[1]}", f"store={sys.argv[1]}/store"])
assert up_to_date(config) is None
print([name for name in ("fsspec", "pyarrow", "av", "lance", "torch", "cv2", "tarfile") if name in sys.modules])
"""


def test_a_local_folder_is_looked_at_without_heavy_imports(tmp_path):
    """The short cut lists a folder with the standard library alone."""
    empty(tmp_path / "a.mp4")
    done = subprocess.run([sys.executable, "-c", FAST, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
