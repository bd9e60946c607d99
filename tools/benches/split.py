"""Shots found in real footage, against the cuts that people saw and against PySceneDetect's own run."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from benches.measure import Measure, cpu
from vbuild.errors import VbuildError
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.split.adaptive import Adaptive
from vbuild.split.content import Content
from vbuild.split.detect import cuts
from vbuild.split.transnetv2 import TransNetV2, quiet
from vbuild.stage import Clip, Sampled
from vbuild.stages.changes import Changes
from vbuild.stages.shots import Shots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vbuild.stage import Row, Stage

FOLDER = Path(os.environ.get("VBUILD_VIDEOS", Path(__file__).resolve().parents[3] / "shared" / "videos"))
"""Real footage with cuts.json: video → `hard_cuts`, indices of the first frames of shots, and `gradual`, spans."""

TOLERANCE = 2
"""Frames by which a detection may be off."""

DETECTORS = {"adaptive": Adaptive(), "content": Content()}


def measures() -> Iterator[Measure]:
    """The figures alone: PySceneDetect has FFmpeg say on standard error whatever it finds odd in a file."""
    with muted():
        yield from figures()


@contextmanager
def muted() -> Iterator[None]:
    """While nothing is shown of what this process writes to standard error."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def figures() -> Iterator[Measure]:
    """F1 of raw boundaries, before any length rule; then cuts and CPU beside PySceneDetect's own run."""
    av.logging.set_level(av.logging.PANIC)
    if not (FOLDER / "cuts.json").is_file():
        print(f"no footage: {FOLDER}/cuts.json is not there; set VBUILD_VIDEOS to the folder that holds it")
        return
    truth = {name: v for name, v in json.loads((FOLDER / "cuts.json").read_text()).items() if name[0] != "_"}
    everything = sorted(path.name for path in FOLDER.iterdir() if opens(path))
    changes: dict[str, Row] = {}
    decode = cpu(lambda: changes.update({name: whole(FOLDER / name, Changes()) for name in everything}))
    yield from _f1("transnetv2", {name: network(FOLDER / name) for name in truth}, truth)
    for kind, stage in DETECTORS.items():
        found: dict[str, list[int]] = {}
        theirs: dict[str, list[int]] = {}

        def detect(stage: Any = stage, found: dict[str, list[int]] = found) -> None:
            found.update({name: cuts(stage.detector(), changes[name]) for name in everything})

        def run(stage: Any = stage, theirs: dict[str, list[int]] = theirs) -> None:
            theirs.update({name: own(FOLDER / name, stage.detector()) for name in everything})

        ours, baseline = decode + cpu(detect), cpu(run)
        yield from _f1(kind, found, truth)
        print(f"  PySceneDetect's own run: F1 {f1(theirs, truth):.3f}")
        other = {name: (found[name], theirs[name]) for name in everything if found[name] != theirs[name]}
        for name, (mine, its) in other.items():
            print(f"  {name}: cuts {mine}, PySceneDetect's own run {its}")
        same = len(everything) - len(other)
        yield Measure(f"{kind}: files / files with the same cuts as its own run", len(everything), same, 1.0, "files")
        yield Measure(f"{kind}: CPU / PySceneDetect's run with PyAV", ours, baseline, 0.9)


def _f1(kind: str, found: Mapping[str, Sequence[int]], truth: Mapping[str, Any]) -> Iterator[Measure]:
    for name in truth:
        right, wrong, missed = tally(found[name], truth[name])
        print(f"  {kind} {name}: {right} right, {wrong} wrong, {missed} missed")
    goal = None if kind == "content" else 1.0
    yield Measure(f"{kind}: 0.95 / F1", 0.95, f1(found, truth), goal, "F1")


def f1(found: Mapping[str, Sequence[int]], truth: Mapping[str, Any]) -> float:
    """F1 over all cuts of all videos."""
    counts: dict[str, int] = defaultdict(int)
    for name, seen in truth.items():
        for key, count in zip(("right", "wrong", "missed"), tally(found[name], seen), strict=True):
            counts[key] += count
    return 2 * counts["right"] / (2 * counts["right"] + counts["wrong"] + counts["missed"])


def tally(found: Sequence[int], truth: Mapping[str, Any]) -> tuple[int, int, int]:
    """Right, wrong and missed detections of one video; each cut is met once, those inside a gradual span count not."""
    left = list(truth["hard_cuts"])
    wrong = 0
    for frame in found:
        near = [cut for cut in left if abs(cut - frame) <= TOLERANCE]
        if near:
            left.remove(min(near, key=lambda cut: abs(cut - frame)))
        elif not any(first <= frame <= last for first, last in truth.get("gradual", ())):
            wrong += 1
    return len(truth["hard_cuts"]) - len(left), wrong, len(left)


def whole(path: Path, stage: Stage) -> Row:
    """What a stage of whole videos writes of a file."""
    video, request = probe(str(path)), stage.asks()
    assert request is not None
    model = stage.load()
    parts: list[Row] = []

    def send(part: Sampled) -> None:
        parts.extend(stage.run([Clip(duration=0.0, frames=part)], model))

    sink = stage.open(Clip(duration=video.duration), send if stage.hosted else model)
    for _ in footage(str(path), video.stream, [Cut(video.start_pts, video.end_pts, {}, {"": (request, sink)})]):
        pass
    left = sink.close()
    return stage.join(left, parts) if stage.hosted else left


def network(path: Path) -> list[int]:
    """The first frames of the shots that TransNetV2 finds."""
    threshold = TransNetV2().threshold
    flags = [p > threshold for p in whole(path, Shots())["probability"]]
    return [first for first, _ in quiet(flags) if first]


def opens(path: Path) -> bool:
    """Whether both can read a file's frames; PySceneDetect wants the header to tell a rate beside."""
    from scenedetect import VideoOpenFailure, open_video

    try:
        return probe(str(path)).frames > 1 and open_video(str(path), backend="pyav").read(decode=False) is not False
    except (VbuildError, VideoOpenFailure, OSError, ValueError, IndexError):
        return False


def own(path: Path, detector: Any) -> list[int]:
    """The cuts of PySceneDetect's own run with PyAV, as indices of frames."""
    from scenedetect import SceneManager, open_video

    seconds: list[float] = []
    process = detector.process_frame

    def watched(timecode: Any, frame_img: Any) -> Any:
        seconds.append(timecode.seconds)
        return process(timecode=timecode, frame_img=frame_img)

    detector.process_frame = watched
    manager = SceneManager()
    manager.add_detector(detector)
    manager.detect_scenes(open_video(str(path), backend="pyav"))
    return [seconds.index(start.seconds) for start, _ in manager.get_scene_list()[1:]]
