"""A server that is asked by HTTP: how much at once, how often again, and when it is taken for down."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from vbuild import secrets
from vbuild.errors import AnswerError, NoAnswerError, PlaceError, UsageError

if TYPE_CHECKING:
    import aiohttp

VERSION = 1
"""What of a server's answer is taken for one."""

PASSING = frozenset((408, 409, 425, 429))
"""What a server may answer otherwise a moment later, as all from 500 on."""

LIMITED = 429

ELSEWHERE = frozenset((401, 402, 403, 404, 405))
"""Of the key, the account, the address or the model's name, and of no clip."""

LONGEST = 60.0
"""Seconds between two attempts, at most, where the server does not say."""

PATIENCE = 600.0
"""Seconds that a server may ask to be left alone."""

MINUTE = 60.0

SAID = 300
"""Letters of what a server said that are repeated."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a model is served by the protocol of OpenAI, and how it is asked; nothing of it is in a key."""

    base_url: str
    """Up to and with the version: http://127.0.0.1:8000/v1."""
    api_key_env: str | None = None
    """The variable of the environment that holds the key."""
    concurrency: int = 16
    """Requests at once."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Of question and answer, by the server's own count."""
    timeout: float = 300.0
    """Seconds that one request may take."""
    attempts: int = 6
    """How often one request is made before its clip fails."""
    backoff: float = 1.0
    """Seconds before the second attempt, at most; each further one may wait twice as long. What the server asks for is
    waited in any case."""
    breaker: int = 32
    """Failures in a row, of whichever requests, after which the server is down and the build asks it no more."""

    def __post_init__(self) -> None:
        """Refuses what no request could be made with."""
        if not self.base_url.startswith(("http://", "https://")):
            raise UsageError(f"base_url={self.base_url}: an address is expected, such as http://127.0.0.1:8000/v1")
        for name in ("concurrency", "requests_per_minute", "tokens_per_minute", "attempts", "breaker"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: must be 1 or more")
        if not self.timeout > 0 or self.backoff < 0:
            raise UsageError(f"timeout={self.timeout}, backoff={self.backoff}: more than 0 and no less than 0 seconds")

    def check(self) -> None:
        """Raises UsageError if there is no key, or no client."""
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise UsageError(f"api_key_env={self.api_key_env}: the environment has no such variable; set it to the key")
        if find_spec("aiohttp") is None:
            raise UsageError("base_url: aiohttp is not installed; pip install 'vbuild-video[server]' brings it")

    def headers(self) -> dict[str, str]:
        """With the key, which is masked from here on wherever something is written."""
        key = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
        secrets.hold(key)
        return {"Authorization": f"Bearer {key}"} if key else {}


class RefusedError(AnswerError):
    """A request that the server will never take."""

    def __init__(self, said: str, code: str) -> None:
        super().__init__(said)
        self.code = code
        """The server's own word for why."""


@dataclass
class Budget:
    """So much within any minute, and no more."""

    most: int | None
    per: float = MINUTE
    spent: deque[tuple[float, int]] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Seconds until there is something left."""
        while self.spent and self.spent[0][0] <= now - self.per:
            self.spent.popleft()
        if self.most is None or sum(amount for _, amount in self.spent) < self.most:
            return 0.0
        return self.spent[0][0] + self.per - now

    def spend(self, now: float, amount: int) -> None:
        """Takes note of what was spent."""
        if self.most is not None:
            self.spent.append((now, amount))


@dataclass(frozen=True)
class _Passing:
    """Why an attempt gave nothing, which may pass."""

    said: str
    after: float = 0.0
    """Seconds that the server asks to wait."""
    limited: bool = False


Found = Mapping[str, Any] | Exception


class Client:
    """Asks one server, however many requests there are."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.requests, self.tokens = Budget(server.requests_per_minute), Budget(server.tokens_per_minute)
        self.paused = 0.0
        """The moment until which nothing is asked."""
        self.limited = 0.0
        """When the server last said that it was too much."""
        self.failed = 0
        """Failures since the last answer, whichever call that was in: a few requests at a time find it out too."""
        self.answered = False
        self.down: PlaceError | None = None

    def post(self, path: str, bodies: Sequence[Mapping[str, Any]], wanted: str) -> list[Found]:
        """What is answered to each body, as JSON that has the key `wanted`, or why there is no answer.

        AnswerError: it is the request's fault. NoAnswerError: it failed as often as it was tried. PlaceError: the
        server is not there, does not know the key or the model, or fails all it is asked.
        """
        return asyncio.run(self._all(path, bodies, wanted))

    async def _all(self, path: str, bodies: Sequence[Mapping[str, Any]], wanted: str) -> list[Found]:
        import aiohttp

        self.down, self.broken = None, asyncio.Event()
        self.path, self.wanted = path, wanted
        gate = asyncio.Semaphore(self.server.concurrency)
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.server.timeout),
            connector=aiohttp.TCPConnector(limit=self.server.concurrency),
            headers=self.server.headers(),
            trust_env=True,
        ) as session:
            return await asyncio.gather(*(self._one(session, gate, body) for body in bodies))

    async def _one(self, session: aiohttp.ClientSession, gate: asyncio.Semaphore, body: Mapping[str, Any]) -> Found:
        found = _Passing("")
        for attempt in range(self.server.attempts):
            if attempt:
                jitter = random.uniform(0, min(LONGEST, self.server.backoff * 2 ** (attempt - 1)))  # noqa: S311
                await self._rest(max(found.after, jitter))
            async with gate:
                await self._turn()
                if self.down is not None:
                    return self.down
                tried = await self._try(session, body)
            if not isinstance(tried, _Passing):
                return tried
            found = tried
        return self.down or NoAnswerError(f"{self._name()}: {found.said}, at {self.server.attempts} attempts")

    async def _rest(self, seconds: float) -> None:
        """Waits, unless the server is found to be down."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.broken.wait(), seconds)

    async def _turn(self) -> None:
        """Waits until a request may be made, and takes note that it is."""
        while self.down is None:
            now = time.monotonic()
            wait = max(self.paused - now, self.requests.wait(now), self.tokens.wait(now))
            if wait <= 0:
                self.requests.spend(now, 1)
                return
            await self._rest(wait)

    async def _try(self, session: aiohttp.ClientSession, body: Mapping[str, Any]) -> Found | _Passing:
        """One request."""
        import aiohttp

        began = time.monotonic()
        try:
            async with session.post(f"{self.server.base_url.rstrip('/')}/{self.path}", json=body) as response:
                data, status, headers = await response.read(), response.status, response.headers
        except TimeoutError:
            return self._fails(_Passing(f"no answer within {self.server.timeout:g} s"), began)
        except (aiohttp.ClientError, OSError) as error:
            return self._fails(_Passing(f"{type(error).__name__}: {error}".rstrip(": ")), began)
        said = _json(data)
        if status == 200:
            if said is None or self.wanted not in said:
                return self._fails(_Passing(f"it answers with something else: {_text(data)}"), began)
            self.failed, self.answered = 0, True
            self.tokens.spend(time.monotonic(), _used(said))
            return said
        return self._refused(status, said, data, headers, began)

    def _refused(
        self, status: int, said: Mapping[str, Any] | None, data: bytes, headers: Mapping[str, str], began: float
    ) -> Found | _Passing:
        """What an answer of another status comes to."""
        told = (said or {}).get("error") or {}
        code = str(told.get("code") or told.get("type") or "") if isinstance(told, Mapping) else ""
        line = f"{status}: {_text(data)}"
        if status in ELSEWHERE or code == "insufficient_quota":
            return self._breaks(line)
        if status in PASSING or status >= 500:
            after = _after(headers)
            if after > PATIENCE:
                return self._breaks(f"it asks to be left alone for {after:.0f} s")
            return self._fails(_Passing(line, after, limited=status == LIMITED), began)
        if code != "content_filter" and not self.answered:
            self.failed += 1
            if self.failed >= self.server.breaker:
                return self._breaks(f"it takes no request of {self.failed}; {line}")
        return RefusedError(f"{self._name()}: {line}", code)

    def _fails(self, why: _Passing, began: float) -> _Passing:
        """Takes note of a failure. Of requests that were too much at once, one counts."""
        now = time.monotonic()
        if why.limited:
            self.paused = max(self.paused, now + why.after)
            if began < self.limited:
                return why
            self.limited = now
        self.failed += 1
        if self.failed >= self.server.breaker:
            self._breaks(f"{self.failed} failures in a row; the last: {why.said}")
        return why

    def _breaks(self, why: str) -> PlaceError:
        """The server is down: nothing more is asked of it in this call."""
        if self.down is None:
            self.down = PlaceError(f"{self._name()}: {why}")
            self.broken.set()
        return self.down

    def _name(self) -> str:
        return secrets.masked(self.server.base_url)


def _json(data: bytes) -> Mapping[str, Any] | None:
    """An object, or None for what is none."""
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found if isinstance(found, Mapping) else None


def _text(data: bytes) -> str:
    """What a server said, in one line, in so far as a person can read it."""
    said = (_json(data) or {}).get("error")
    text = said.get("message") if isinstance(said, Mapping) else said
    line = " ".join((str(text) if text else data.decode("utf-8", "replace")).split())
    return secrets.masked(line[:SAID]) or "nothing"


def _used(said: Mapping[str, Any]) -> int:
    usage = said.get("usage")
    found = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return found if isinstance(found, int) else 0


def _after(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks to wait, by a number or a date (RFC 9110, 10.2.3); 0 where it does not ask."""
    text = headers.get("Retry-After", "")
    with suppress(ValueError):
        return max(0.0, float(text))
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0
