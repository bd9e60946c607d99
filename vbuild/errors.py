"""The errors a person may meet, each naming the input, what is wrong with it and what to do.

VbuildError
├── UsageError        the command line or the configuration: exit code 2
│   └── WeightsError       a model whose weights are not on this machine
├── SourceError       the place where videos should come from
├── MediaError        one file or clip that cannot be read or written
│   └── NoVideoError       a file that opens but holds no picture
├── StageError        a stage that broke its contract
├── AnswerError       what a model answered of a clip, and is of no use
│   └── NoAnswerError      it gave none, as often as it was asked; it may another time
├── PlaceError        what is missing where the program runs: a device, weights, a server; no clip is to blame
├── TooManyFailuresError   a build that was ended by failures.max or failures.max_rate
├── StoreError        the cache folder: not writable, damaged, full
└── DatasetError      a dataset that is not there, or was not built by vbuild
    └── ExportError        a folder that an export cannot fill, or a dataset that lacks what its format needs
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Any, Literal

from vbuild.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class VbuildError(Exception):
    """An error with one line for the person: what is wrong, where, and the remedy."""

    exit_code = 1

    def __str__(self) -> str:
        """The line, without secrets."""
        return masked(super().__str__())


class UsageError(VbuildError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class WeightsError(UsageError):
    """Weights that are not on this machine."""


class SourceError(VbuildError):
    """A source that cannot be listed or read."""


class MediaError(VbuildError):
    """A file or a clip that cannot be decoded or encoded."""


class NoVideoError(MediaError):
    """A file that opens and holds no video stream."""


class StageError(VbuildError):
    """A stage returned something other than it declared."""


class AnswerError(VbuildError):
    """A model's answer that is none, or a clip that its server does not take."""


class NoAnswerError(AnswerError):
    """A server that gave no answer of one clip, as often as it was asked, though it answers of others."""


class PlaceError(VbuildError):
    """What a stage needs is not there, or does not answer."""


class TooManyFailuresError(VbuildError):
    """A build in which more failed than it may."""


class StoreError(VbuildError):
    """The store cannot be read or written."""


class Stopped(KeyboardInterrupt):
    """A build that a person stopped; what was done until then is kept."""

    def __init__(self, report: Any) -> None:
        super().__init__("stopped")
        self.report = report
        """The `Report` of what was done."""


class DatasetError(VbuildError):
    """A dataset that is missing or damaged."""


class ExportError(DatasetError):
    """A folder that an export cannot fill, or a dataset that lacks what its format needs."""


FaultKind = Literal["item", "place", "source", "program"]
"""Whose a failure is. `item`: the clip or the video cannot be done, which is a fact about it. `program`: code, ours or
a user's, went wrong on it. `place`: a machine, a disk, a server or weights are not as they must be, whatever the clip.
`source`: the same of where one video lies. Of the last two nothing is put down."""

PROGRAM: tuple[type[BaseException], ...] = (
    StageError, TypeError, AttributeError, NameError, ImportError, NotImplementedError, AssertionError, LookupError,
    ArithmeticError, SyntaxError, RecursionError, SystemError, BufferError, ReferenceError, Warning,
)  # fmt: skip
"""Errors that code makes, not footage."""

PLACE: tuple[type[BaseException], ...] = (PlaceError, StoreError, UsageError, ConnectionError, TimeoutError)

FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS))
"""What the system says when there is no room to write."""

BROKEN = FULL | {
    errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN,
    errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ETIMEDOUT, errno.ECONNREFUSED,
}  # fmt: skip
"""What the system says of a machine, a mount or a network that is not as it must be."""

FOREIGN: Mapping[str, tuple[str, ...]] = {
    "aiohttp": ("ClientError",),
    "botocore.exceptions": ("BotoCoreError",),
    "gcsfs.retry": ("HttpError",),
    "httpx": ("TransportError",),
    "httpx2": ("TransportError",),
    "huggingface_hub.errors": ("HfHubHTTPError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"),
    "openai": ("APIConnectionError",),
    "requests": ("ConnectionError", "Timeout"),
    "socket": ("gaierror",),
    "torch": ("AcceleratorError",),
    "urllib.error": ("URLError",),
}
"""Errors of the place that are none of Python's own, by the module that raises them."""


def foreign_errors() -> tuple[type[Exception], ...]:
    """Those of them whose module is loaded; no other can have been raised."""
    loaded = [(sys.modules[module], names) for module, names in FOREIGN.items() if module in sys.modules]
    return tuple(getattr(module, name) for module, names in loaded for name in names if hasattr(module, name))


def kind_of(error: BaseException) -> FaultKind:
    """Whose an error is, by what it is and what it came of."""
    if isinstance(error, SourceError):
        return "source"
    if any(_of_place(one) for one in came_of(error)):
        return "place"
    return "program" if isinstance(error, PROGRAM) or not isinstance(error, Exception) else "item"


def came_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it was raised for."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _of_place(error: BaseException) -> bool:
    return isinstance(error, (*PLACE, *foreign_errors())) or (isinstance(error, OSError) and error.errno in BROKEN)


RAISED = (VbuildError, ValueError, OSError, RuntimeError)
"""What comes of Ctrl-C within Arrow and Lance, or of that in turn."""
