"""A model of embeddings at a server that speaks the protocol of OpenAI: pictures and texts as unit vectors."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Literal

from vbuild.errors import NoAnswerError, UsageError
from vbuild.models.server import Client, Found, Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

VERSION = 1
"""How pictures and texts are written as requests, and what of the answers is taken."""

Form = Literal["messages", "together", "items"]
"""How pictures are sent: one a message, as vLLM takes them; all of a clip in one message; or as items of the input."""

TEXTS = 64
"""Texts of one request, at most."""


class Embeddings:
    """One model of a server."""

    def __init__(self, server: Server, model: str, width: int, *, form: Form, shorten: bool) -> None:
        """`width`: numbers of a vector; with `shorten` the server is asked for so many."""
        self.client = Client(server)
        self.model, self.width, self.form, self.shorten = model, width, form, shorten

    def of_pictures(self, clips: Sequence[Sequence[bytes]], instruction: str) -> list[np.ndarray | Exception]:
        """Of each clip, jpegs, the vectors float32 (n, width) of its pictures; with `together` but one."""
        return self._asked([self._pictures(clip, instruction) for clip in clips])

    def of_texts(self, groups: Sequence[Sequence[str]]) -> list[np.ndarray | Exception]:
        """Of each group of texts the vectors, float32 (n, width)."""
        return self._asked([self._texts(texts) for texts in groups])

    def _pictures(self, clip: Sequence[bytes], instruction: str) -> list[dict[str, Any]]:
        """The requests for a clip."""
        urls = [f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}" for data in clip]
        if self.form == "items":
            return [self._body(input=[{"image": url} for url in urls])] if urls else []
        said = [{"type": "text", "text": instruction}] if instruction else []
        shown = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        groups = [shown] if self.form == "together" and shown else [[one] for one in shown]
        return [self._body(messages=[{"role": "user", "content": [*group, *said]}]) for group in groups]

    def _texts(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """The requests for some texts."""
        given: list[Any] = [{"text": text} for text in texts] if self.form == "items" else [*texts]
        return [self._body(input=given[n : n + TEXTS]) for n in range(0, len(given), TEXTS)]

    def _body(self, **what: Any) -> dict[str, Any]:
        return {"model": self.model, **what, **({"dimensions": self.width} if self.shorten else {})}

    def _asked(self, groups: Sequence[Sequence[Mapping[str, Any]]]) -> list[np.ndarray | Exception]:
        """The vectors of all requests of each group, or why one of them has none."""
        import numpy as np

        bodies = [body for group in groups for body in group]
        answers = iter(self.client.post("embeddings", bodies, "data") if bodies else ())
        found: list[np.ndarray | Exception] = []
        for group in groups:
            parts = [self._vectors(next(answers), len(body.get("input", "1"))) for body in group]
            wrong = next((part for part in parts if isinstance(part, Exception)), None)
            vectors = [part for part in parts if not isinstance(part, Exception)]
            whole = np.concatenate(vectors) if vectors else np.empty((0, self.width), np.float32)
            found.append(whole if wrong is None else wrong)
        return found

    def _vectors(self, answer: Found, count: int) -> np.ndarray | Exception:
        """What one request was answered, as unit vectors in the order of what was sent.

        Raises UsageError for vectors of another width than is said: those of all clips would be.
        """
        import numpy as np

        if isinstance(answer, Exception):
            return answer
        try:
            rows = sorted(answer["data"], key=lambda row: int(row.get("index", 0)))
            vectors = np.array([row["embedding"] for row in rows], np.float64)
        except (LookupError, TypeError, ValueError, AttributeError):
            return NoAnswerError(f"the server's answer has no vectors in it: {str(answer)[:200]}")
        if len(vectors) != count or vectors.ndim != 2 or not np.isfinite(vectors).all():
            return NoAnswerError(f"the server's answer has not the {count} vectors that were asked for")
        if vectors.shape[1] != self.width:
            raise UsageError(f"width={self.width}: {self.model} has vectors of {vectors.shape[1]} numbers; say so")
        return units(vectors)


def units(vectors: np.ndarray) -> np.ndarray:
    """Vectors (…, width) as unit vectors, float32."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: np.ndarray = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return found
