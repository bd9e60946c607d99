"""A chat model at a server that speaks the protocol of OpenAI: questions as requests, and answers read out of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from vbuild.errors import NoAnswerError
from vbuild.models.messages import Answer, Files, Prompt, Sampling, Status
from vbuild.models.server import Client, Found, RefusedError, Server

VERSION = 1
"""How a question is written as a request, and what of the answer is taken."""

ENDED: Mapping[str, Status] = {"stop": "success", "length": "truncated", "content_filter": "blocked"}
"""What a server says of how an answer ended."""


class Chat:
    """One model of a server."""

    def __init__(self, server: Server, model: str) -> None:
        self.client = Client(server)
        self.model = model

    def answers(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Answer | Exception]:
        """What is answered to each, or why there is no answer."""
        bodies = [request(self.model, prompt, sampling) for prompt in prompts]
        found = self.client.post("chat/completions", bodies, "choices")
        return [answer(one) for one in found]


def request(model: str, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
    """The body of a request. What is not OpenAI's own stands in it only where it is asked for."""
    body: dict[str, Any] = {
        "model": model,
        "messages": messages(prompt),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
    }
    if sampling.temperature:
        body |= {"top_p": sampling.top_p, "seed": sampling.seed}
    if sampling.repetition_penalty != 1:
        body["repetition_penalty"] = sampling.repetition_penalty
    if prompt.schema is not None:
        named = {"name": "answer", "schema": dict(prompt.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return body


def messages(prompt: Prompt) -> list[dict[str, Any]]:
    """A question as messages, its pictures or its video before the words."""
    content: list[dict[str, Any]] = []
    if isinstance(prompt.video, Files):
        if prompt.video.times:
            content.append({"type": "text", "text": told(prompt.video.times)})
        kind = "video_url" if prompt.video.kind == "video/mp4" else "image_url"
        content += [{"type": kind, kind: {"url": _url(data, prompt.video.kind)}} for data in prompt.video.data]
    content.append({"type": "text", "text": prompt.text})
    said = [{"role": "user", "content": content if len(content) > 1 else prompt.text}]
    return [{"role": "system", "content": prompt.system}, *said] if prompt.system else said


def told(times: Sequence[float]) -> str:
    """What pictures are, as a sentence."""
    return f"Frames of one video, at {', '.join(f'{time:.1f}' for time in times)} seconds:"


def _url(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def answer(found: Found) -> Answer | Exception:
    """What was answered, or why there is none."""
    if isinstance(found, RefusedError) and found.code == "content_filter":
        return Answer("", "blocked")
    if isinstance(found, Exception):
        return found
    try:
        choice = found["choices"][0]
        message, ended = choice["message"], str(choice.get("finish_reason") or "stop")
        text = message.get("content")
        refusal = message.get("refusal")
    except (LookupError, TypeError, AttributeError):
        return NoAnswerError(f"the server's answer has no message in it: {str(found)[:200]}")
    usage = found.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
    status = "blocked" if refusal else ENDED.get(ended, "success")
    if not isinstance(text, str):
        text = ""
    if not text.strip() and status != "blocked":
        return NoAnswerError(f"the server answered nothing ({ended})")
    return Answer("" if status == "blocked" else text.strip(), status, tokens if isinstance(tokens, int) else None)
