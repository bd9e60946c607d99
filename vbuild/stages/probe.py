"""What a video file holds: its span, size, rates, codecs and sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from vbuild.media.versions import PROBE
from vbuild.stage import Clip, Phase, Row, Stage


@dataclass(frozen=True, kw_only=True)
class Probe(Stage):
    """Reads a whole file's packets and says what is there; every build begins with it.

    The fields are those of `vbuild.media.probe.Video`, which tells their units; its warning is called `remark` here,
    for every result has a warning of its own. Raises MediaError for a file without a picture that can be decoded.
    """

    version: ClassVar[int] = 2
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar = "video"
    writes: ClassVar[Mapping[str, str]] = {
        "container": "string",
        "codec": "string",
        "pixel_format": "string",
        "width": "int64",
        "height": "int64",
        "coded_width": "int64",
        "coded_height": "int64",
        "rotation": "int64",
        "fps": "float64",
        "frames": "int64",
        "duration": "float64",
        "start_pts": "int64",
        "end_pts": "int64",
        "time_base_num": "int64",
        "time_base_den": "int64",
        "stream": "int64",
        "keyframes": "int64",
        "bitrate": "int64",
        "interlaced": "bool",
        "vfr": "bool",
        "audio": "string",
        "audio_rate": "int64",
        "audio_channels": "int64",
        "video_streams": "int64",
        "jumps": "int64",
        "remark": "string",
    }
    uses: ClassVar[Mapping[str, int]] = {"probe": PROBE}

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """What each file holds."""
        from vbuild.media.probe import probe

        for clip in clips:
            assert clip.uri is not None
            found = asdict(probe(clip.uri))
            yield {**{name: found[name] for name in found if name != "warning"}, "remark": found["warning"]}
