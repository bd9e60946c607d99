"""The errors a person may meet, each naming the input, what is wrong with it and what to do.

VbuildError
├── UsageError        the command line or the configuration: exit code 2
├── SourceError       the place where videos should come from
├── MediaError        one file or clip that cannot be read or written
│   └── NoVideoError       a file that opens but holds no picture
├── StageError        a stage that broke its contract
├── TooManyFailuresError   a build that was ended by failures.max or failures.max_rate
├── StoreError        the cache folder: not writable, damaged, full
└── DatasetError      a dataset that is not there, or was not built by vbuild
"""

import errno
from typing import Any


class VbuildError(Exception):
    """An error with one line for the person: what is wrong, where, and the remedy."""

    exit_code = 1


class UsageError(VbuildError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class SourceError(VbuildError):
    """A source that cannot be listed or read."""


class MediaError(VbuildError):
    """A file or a clip that cannot be decoded or encoded."""


class NoVideoError(MediaError):
    """A file that opens and holds no video stream."""


class StageError(VbuildError):
    """A stage returned something other than it declared."""


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


FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS))
"""What the system says when there is no room to write."""

RAISED = (VbuildError, ValueError, OSError, RuntimeError)
"""What comes of Ctrl-C within Arrow and Lance, or of that in turn."""


def is_stop(error: BaseException) -> bool:
    """Whether an error, whatever was made of it, is that a person stopped the build."""
    return isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error)
