"""A model in another interpreter, with other libraries than vbuild's: how it is started, asked and ended."""

from __future__ import annotations

import builtins
import json
import signal
import subprocess
import weakref
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Thread
from typing import IO, Any

from vbuild.errors import PlaceError, UsageError
from vbuild.models import guest

GUEST = Path(guest.__file__)

SAID = 20
"""Lines of its standard error that are told when it ends."""

PATIENCE = 10.0
"""Seconds for a process to end that has nothing left to do."""


class Elsewhere:
    """An object of a class in a file that stands alone, in a process of another interpreter.

    It lives as long as this one, and no longer than the process that made it.
    """

    def __init__(self, python: str, file: Path, name: str, **given: Any) -> None:
        """`given` is what the class is made with, of what JSON has.

        Raises PlaceError where there is no such interpreter, or where it ends, and what making the object raises.
        """
        self.python, self.made = python, [str(file), name, given]
        self._start()

    def _start(self) -> None:
        try:
            # -I: neither this program's modules nor this folder's are the other interpreter's
            self.process = subprocess.Popen(  # noqa: S603
                [_program(self.python), "-I", str(GUEST)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise PlaceError(f"python={self.python}: it cannot be started ({error.strerror})") from error
        assert self.process.stderr is not None
        self.said: deque[str] = deque(maxlen=SAID)
        self.listener = Thread(target=_listen, args=(self.process.stderr, self.said), daemon=True)
        self.listener.start()
        self.close = weakref.finalize(self, _end, self.process)
        self.versions: dict[str, str] = self._asked({"make": self.made})
        """Of the interpreter and its libraries."""

    def call(self, method: str, *given: Any) -> Any:
        """What a method of the object answers; what it is given and what it answers is of what `guest.send` sends.

        Raises what the method raises, as the nearest of Python's own classes, and PlaceError where the process ends,
        which the next call starts anew.
        """
        if self.process.poll() is not None:
            self._start()
        return self._asked({"method": method, "given": given})

    def _asked(self, what: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            guest.send(self.process.stdin, what)
            answer = guest.receive(self.process.stdout)
        except (EOFError, OSError) as error:
            raise PlaceError(f"python={self.python}: {self._ended()}") from error
        if "error" in answer:
            raise _raised(**answer["error"])
        return answer["value"]

    def _ended(self) -> str:
        """How the process ended, and what it said last."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        code = self.process.poll()
        self.close()
        self.listener.join(PATIENCE)
        if code is None:
            how = "its process answers no more"
        elif code < 0:
            how = f"its process was ended by {signal.Signals(-code).name}"
        else:
            how = f"its process ended with exit code {code}"
        return f"{how}; it said: {' | '.join(self.said)}" if self.said else f"{how}, and said nothing"


def _program(python: str) -> str:
    return str(Path(python).expanduser())


def _listen(stream: IO[bytes], said: deque[str]) -> None:
    with stream:
        for line in stream:
            if text := line.decode(errors="replace").rstrip():
                said.append(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process at once, whatever it is doing."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):  # what was left to write
            if stream is not None:
                stream.close()


def _raised(kind: str, error: str, message: str, trace: str) -> Exception:
    """An error of the other side, as the nearest of Python's own classes, with the other side's trace."""
    named = message if kind == error else f"{error}: {message}"
    try:
        found: Any = getattr(builtins, kind)(named)
    except TypeError:  # it is made of more than a message
        found = RuntimeError(f"{kind}: {message}")
    found = found if isinstance(found, Exception) else RuntimeError(named)
    found.add_note(f"In the other interpreter:\n{trace}")
    return found  # type: ignore[no-any-return]


def ask(model: Any, method: str, *given: Any) -> Any:
    """What a method of a model answers, be the model here or elsewhere."""
    return model.call(method, *given) if isinstance(model, Elsewhere) else getattr(model, method)(*given)


def here() -> dict[str, str]:
    """The versions of this interpreter and its libraries."""
    return guest.about()


@cache
def about(python: str) -> dict[str, str]:
    """The versions of another interpreter and its libraries. Raises UsageError where there is no such interpreter."""
    code = f"import runpy, json; print(json.dumps(runpy.run_path({str(GUEST)!r})['about']()))"
    try:
        done = subprocess.run([_program(python), "-I", "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        found: dict[str, str] = json.loads(done.stdout)
    except OSError as error:
        raise UsageError(f"python={python}: it cannot be started ({error.strerror})") from error
    except (subprocess.CalledProcessError, ValueError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise UsageError(f"python={python}: it is no Python that runs ({said.strip().splitlines()[-1]})") from error
    return found
