"""How the camera moves: pan, tilt, zoom, roll, how long it stands, and how much it shakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import atan2, degrees, expm1, hypot, log, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from vbuild.errors import UsageError
from vbuild.fields import Kind, Scalar
from vbuild.media.versions import PASSES
from vbuild.stage import Clip, Frames, Phase, Row, Stage

if TYPE_CHECKING:
    import numpy as np

CELL = 24
"""Pixels a side of the squares of the shrunk picture of which each gives a point: places weigh alike, however much
detail they have."""

CORNER = 1e-4
"""Least eigenvalue of the gradients (Shi and Tomasi 1994, as OpenCV scales it) of a point that can be followed; under
it is noise."""

WINDOW, LEVELS = (15, 15), 4
"""Pixels of the window around a point, and halvings of the picture at most: a point is found up to about an eighth of
the width away."""

RETURN = 0.5
"""Pixels by which a point that is followed there and back may miss where it was."""

NEAR = 1.0
"""Pixels within which a point goes where the camera's motion puts it."""

FEW = 12
"""Points without which nothing is said of a step."""

RUN = 4
"""Moments in a row from which a path can shake."""


@dataclass(frozen=True, kw_only=True)
class Camera(Stage):
    """How the camera moves; each None where it cannot be told, as in the dark.

    - `pan`, `tilt`: shares of the picture's width a second that the view goes to the right, and up; below 0 to the
      left, and down. A camera that moves sideways, or up, reads like one that turns. At 8 frames a second what is
      faster than a width a second cannot be followed, and counts as unknown.
    - `zoom`: by which share the picture grows a second, 0.1 for a tenth; below 0 it shrinks. A camera that comes near
      reads like a lens that zooms.
    - `roll`: degrees a second that the camera turns clockwise, and the picture against the clock.
    - `static`: share of the time in which the camera stands: no more than `still`.
    - `shake`: by how much the view is off a smooth path, root mean square in shares of the width; of a tripod 0.0005
      and less, of a hand 0.002 and more.
    - `agreement`: share of the points that go with the camera, mean over all steps; where it is low something else
      fills the picture, or there is a cut, and the rest is worth little.

    The first four are of the whole way over the whole time, so that what goes there and back is 0. From one sampled
    frame to the next points are followed there and back (Lucas and Kanade, in a pyramid), a point of each square of the
    picture that has one, and a turn, a scale and a shift fitted to them by RANSAC, so that what moves by itself does
    not count while it takes less than about half of the detail. Whoever fills the picture is taken for the world.
    """

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, Kind]] = dict.fromkeys(
        ("pan", "tilt", "zoom", "roll", "static", "shake", "agreement"), Scalar("float32")
    )
    uses: ClassVar[Mapping[str, int]] = {"passes": PASSES}

    fps: float = 8.0
    """Frames a second; half as many are the shakes a second that can be seen."""
    short_side: int = 180
    """Pixels to which the shorter side is shrunk."""
    still: float = 0.01
    """Shares of the width a second, mean over the picture, up to which the camera stands."""
    smooth: float = 1.0
    """Seconds over which a straight line is a smooth path."""
    least: float = 0.3
    """Share of the points that must go with the camera, under which nothing is said of a step."""

    def __post_init__(self) -> None:
        """Refuses sizes and rates of nothing, and shares that are none."""
        for name in ("fps", "short_side", "smooth"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be more than 0")
        if self.still < 0:
            raise UsageError(f"still={self.still}: must be 0 or more")
        if not 0 < self.least <= 1:
            raise UsageError(f"least={self.least}: it is a share, more than 0 and up to 1")

    def asks(self) -> Frames:
        """Frames in gray, in a row."""
        return Frames(fps=self.fps, short_side=self.short_side, format="gray")

    def open(self, clip: Clip, model: None) -> Following:  # noqa: ARG002
        """Follows the camera through one clip."""
        return Following(self)


@dataclass(frozen=True)
class Step:
    """What the camera does from one frame to the next."""

    seconds: float
    agreement: float
    move: tuple[float, float, float, float] | None
    """To the right and up, in shares of the width; growth, as a logarithm; clockwise, in degrees. None if unknown."""
    length: float = 0.0
    """How far the picture goes, root mean square over its pixels, in shares of the width."""


class Following:
    """A clip while its camera is followed; one frame is held."""

    def __init__(self, stage: Camera) -> None:
        self.stage = stage
        self.last: tuple[float, np.ndarray] | None = None
        self.steps: list[Step] = []

    def frame(self, frame: Any, time: float) -> None:
        """One frame, uint8 (h, w)."""
        if self.last is not None:
            if time <= self.last[0]:
                return  # one frame may be the nearest to several moments
            self.steps.append(step(self.last[1], frame, time - self.last[0], self.stage.least))
        self.last = time, frame

    def packet(self, packet: object) -> None:
        """Sound is of no interest."""

    def close(self) -> Row:
        """The clip's measures."""
        return measures(self.steps, self.stage.still, self.stage.smooth)


def measures(steps: Sequence[Step], still: float, smooth: float) -> Row:
    """What steps come to."""
    none: Row = dict.fromkeys(Camera.writes)
    if not steps:
        return none
    agreement = sum(step.agreement for step in steps) / len(steps)
    known = [step for step in steps if step.move is not None]
    time = sum(step.seconds for step in known)
    if not known:
        return {**none, "agreement": agreement}
    pan, tilt, zoom, roll = (sum(way) / time for way in zip(*(step.move or () for step in known), strict=True))
    return {
        "pan": pan,
        "tilt": tilt,
        "zoom": expm1(zoom),
        "roll": roll,
        "static": sum(step.seconds for step in known if step.length <= still * step.seconds) / time,
        "shake": shake(steps, smooth),
        "agreement": agreement,
    }


def step(before: np.ndarray, after: np.ndarray, seconds: float, least: float) -> Step:
    """What the camera does between two gray pictures (h, w)."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    height, width = before.shape
    here = corners(before)
    if len(here) < FEW:
        return Step(seconds, 0.0, None)
    there, back = followed(before, after, here)
    held = np.hypot(*(back - here).T) <= RETURN
    if held.sum() < FEW:
        return Step(seconds, 0.0, None)
    middle = np.array([width - 1, height - 1], np.float32) / 2
    model, inside = cv2.estimateAffinePartial2D(
        here[held] - middle, there[held] - middle, method=cv2.RANSAC, ransacReprojThreshold=NEAR
    )
    agreement = 0.0 if model is None else float(inside.sum()) / len(here)
    if model is None or agreement < least or inside.sum() < FEW:
        return Step(seconds, agreement, None)
    (a, _, x), (b, _, y) = model.tolist()
    # a turn and a scale move a point by its distance from the middle, of which the mean square is known
    length = sqrt(x * x + y * y + ((a - 1) ** 2 + b * b) * (width**2 + height**2) / 12) / width
    return Step(seconds, agreement, (-x / width, y / width, log(hypot(a, b)), -degrees(atan2(b, a))), length)


def corners(picture: np.ndarray) -> np.ndarray:
    """The best point to follow of each square of a picture (h, w) that has one: float32 (n, 2) of x and y."""
    import cv2
    import numpy as np

    rows, columns = (max(1, side // CELL) for side in picture.shape)
    high, wide = (min(CELL, side) for side in picture.shape)
    clear = cv2.cornerMinEigenVal(np.ascontiguousarray(picture), 5)[: rows * high, : columns * wide]
    cells = clear.reshape(rows, high, columns, wide).swapaxes(1, 2).reshape(rows * columns, high * wide)
    best = cells.argmax(1)
    found = cells[np.arange(len(cells)), best] >= CORNER
    row, column = np.divmod(np.arange(len(cells)), columns)
    points = np.stack([column * wide + best % wide, row * high + best // wide], axis=1).astype(np.float32)
    kept: np.ndarray = points[found]
    return kept


def followed(before: np.ndarray, after: np.ndarray, here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points (n, 2) of a picture are in another, and where those are in the first again; NaN where lost."""
    import cv2
    import numpy as np

    room = np.empty_like(here)
    there, seen, _ = cv2.calcOpticalFlowPyrLK(before, after, here, room, winSize=WINDOW, maxLevel=LEVELS)
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, there, room.copy(), winSize=WINDOW, maxLevel=LEVELS)
    lost = (seen[:, 0] == 0) | (again[:, 0] == 0)
    back[lost] = np.nan
    return there, back


def shake(steps: Sequence[Step], smooth: float) -> float | None:
    """Root mean square of how far the path is off the line that fits it best within `smooth` seconds around."""
    import numpy as np

    squares: list[float] = []
    for times, places in paths(steps):
        for time in times:
            near = np.abs(times - time) <= smooth / 2
            if near.sum() < RUN - 1:
                continue
            about = times[near] - time
            design = np.stack([np.ones_like(about), about], axis=1)
            line, *_ = np.linalg.lstsq(design, places[near], rcond=None)
            squares.append(float(((places[times == time][0] - line[0]) ** 2).sum()))
    return sqrt(sum(squares) / len(squares)) if squares else None


def paths(steps: Sequence[Step]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Times (n,) and places (n, 2) of the parts of the way that are known without a gap and not too short."""
    import numpy as np

    runs: list[list[tuple[float, float, float]]] = [[(0.0, 0.0, 0.0)]]
    for one in steps:
        if one.move is None:
            runs.append([(0.0, 0.0, 0.0)])
        else:
            time, x, y = runs[-1][-1]
            runs[-1].append((time + one.seconds, x + one.move[0], y + one.move[1]))
    found = [np.array(run) for run in runs if len(run) >= RUN]
    return [(run[:, 0], run[:, 1:]) for run in found]
