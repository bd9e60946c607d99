"""A file is one file: what points to others, or to the network, is refused wherever it is opened."""

import io
import socket
import tarfile

import cv2
import numpy as np
import pytest
from footage import video

from vbuild.errors import MediaError
from vbuild.media.files import open_container
from vbuild.media.probe import probe
from vbuild.media.whole import flaw

SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video {port} RTP/AVP 33\r\n"

TEXTS = {
    "concat.mp4": "ffconcat version 1.0\nfile part.mp4\n",
    "sloppy.mp4": "file part.mp4\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\npart.mp4\n#EXT-X-ENDLIST\n",
    "far.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nhttp://127.0.0.1:{port}/part.ts\n#EXT-X-ENDLIST\n",
    "stream.mp4": SDP,
    "stream.sdp": SDP,
    "dash.mpd": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
        'bandwidth="1"><BaseURL>part.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>'
    ),
}


@pytest.fixture
def ear():
    """A socket that hears whoever knocks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def heard(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("name", TEXTS)
def test_what_points_to_another_file_is_refused(tmp_path, monkeypatch, ear, name):
    """By itself, and in a tar, whose members name files of the working directory; nobody is asked for anything."""
    monkeypatch.chdir(tmp_path)
    video(tmp_path / "part.mp4", seconds=0.5, size=(64, 48))
    text = TEXTS[name].replace("{port}", str(ear.getsockname()[1])).encode()
    (tmp_path / name).write_bytes(text)
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    for uri in (str(tmp_path / name), f"{tmp_path}/s.tar::{name}"):
        with pytest.raises(MediaError, match="it is a text: a playlist, a description of a stream, a web page"):
            probe(uri)
    assert not heard(ear)


def test_a_name_is_no_pattern_and_no_protocol(tmp_path):
    """Numbers, pipes, colons and wildcards in a name are a part of it."""
    for frames, name in enumerate(("a01.mp4", "a%02d.mp4", "concat:a01.mp4|b.mp4", "pipe:0", "[a]*?.mp4"), 6):
        video(tmp_path / "made.mp4", seconds=frames / 24, size=(64, 48)).rename(tmp_path / name)
        assert probe(str(tmp_path / name)).frames == frames
    for name in ("p01.png", "p02.png", "p%02d.png"):
        cv2.imwrite(str(tmp_path / "made.png"), np.full((48, 64, 3), 90, np.uint8))
        (tmp_path / "made.png").rename(tmp_path / name)
    assert probe(str(tmp_path / "p%02d.png")).frames == 1
    assert flaw(str(tmp_path / "p01.png")) is None


def test_a_format_that_is_not_allowed_is_told(tmp_path):
    """Data that FFmpeg knows, such as a table of commands, is no footage that stands in one file."""
    (tmp_path / "a.mp4").write_bytes(b"\x1b[31m\x00" * 90)
    (tmp_path / "a.txd").write_bytes(b"\x16\x00\x00\x00" + bytes(4) + b"\xff\xff\x03\x18" + bytes(200))
    for name in ("a.mp4", "a.txd"):
        with pytest.raises(MediaError, match="it is no video that can be opened"), open_container(str(tmp_path / name)):
            pass


def test_streams_that_come_late_are_opened_with_the_same_options(tmp_path):
    """Formats that tell their streams only in their packets."""
    for suffix in ("ts", "mpg"):
        path = video(tmp_path / f"a.{suffix}", seconds=0.5, fps=25, size=(64, 48), codec="mpeg2video")
        assert probe(str(path)).frames == 12
