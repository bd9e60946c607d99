"""What a video file holds: its span, size, rates, codecs and sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from vbuild.fields import Kind, Scalar
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
    writes: ClassVar[Mapping[str, Kind]] = {
        "container": Scalar("string"),
        "codec": Scalar("string"),
        "pixel_format": Scalar("string"),
        "width": Scalar("int64"),
        "height": Scalar("int64"),
        "coded_width": Scalar("int64"),
        "coded_height": Scalar("int64"),
        "rotation": Scalar("int64"),
        "fps": Scalar("float64"),
        "frames": Scalar("int64"),
        "duration": Scalar("float64"),
        "start_pts": Scalar("int64"),
        "end_pts": Scalar("int64"),
        "time_base_num": Scalar("int64"),
        "time_base_den": Scalar("int64"),
        "stream": Scalar("int64"),
        "keyframes": Scalar("int64"),
        "bitrate": Scalar("int64"),
        "interlaced": Scalar("bool"),
        "vfr": Scalar("bool"),
        "audio": Scalar("string"),
        "audio_rate": Scalar("int64"),
        "audio_channels": Scalar("int64"),
        "video_streams": Scalar("int64"),
        "jumps": Scalar("int64"),
        "remark": Scalar("string"),
    }
    uses: ClassVar[Mapping[str, int]] = {"probe": PROBE}

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:  # noqa: ARG002
        """What each file holds."""
        from vbuild.media.probe import probe

        for clip in clips:
            assert clip.uri is not None
            probed = asdict(probe(clip.uri))
            yield {**{name: probed[name] for name in probed if name != "warning"}, "remark": probed["warning"]}
