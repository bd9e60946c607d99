"""Answers of language models, token by token, that do not depend on what else is in the batch."""

from __future__ import annotations

from copy import copy
from inspect import signature
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from vbuild.models import devices
from vbuild.models.messages import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from vbuild.models.messages import Sampling

VERSION = 1
"""How tokens are chosen."""


def quiet() -> None:
    """Keeps transformers from drawing bars and giving advice into what a build says."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def loaded(
    kind: Any,
    source: str,
    arguments: Mapping[str, Any],
    *,
    dtype: str,
    device: str,
    attention: str,
    compiled: bool,
) -> tuple[Any, Any]:
    """The tokenizer of a model, which fills up at the left, and the model on a device, ready to answer.

    `kind` is transformers' class that loads it; `source` and `arguments` are what every `from_pretrained` is given.
    Raises PlaceError where it is to be compiled and torch cannot.
    """
    import torch
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(source, padding_side="left", **arguments)
    model: Any = kind.from_pretrained(source, dtype=getattr(torch, dtype), attn_implementation=attention, **arguments)
    model.to(device).eval()
    _settle(model, tokenizer)
    if compiled:
        devices.compiles(model.device.type)
        model.compile(dynamic=True)  # once for questions of all lengths
    return tokenizer, model


def _settle(model: Any, tokenizer: Any) -> None:
    """Takes from a loaded model the ways of choosing tokens that its files suggest: they would be in no key."""
    from transformers import GenerationConfig

    ends = model.generation_config.eos_token_id
    ends = ends if ends is not None else tokenizer.eos_token_id
    pad = tokenizer.pad_token_id
    if pad is None:
        pad = ends[0] if isinstance(ends, list) else ends
        tokenizer.pad_token_id = pad
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=pad)


def answers(model: Any, tokenizer: Any, inputs: Mapping[str, Any], sampling: Sampling) -> list[Answer]:
    """What a model says to each row of inputs, padded at the left."""
    import torch

    with torch.inference_mode():
        said = model.generate(
            **inputs,
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            logits_processor=_processors(sampling, inputs["attention_mask"]),
        )
    rows = said[:, inputs["input_ids"].shape[1] :].tolist()
    ends = model.generation_config.eos_token_id
    return [_answer(tokenizer, row, set(ends if isinstance(ends, list) else [ends])) for row in rows]


def padded(rows: Sequence[Sequence[int]], pad: int) -> dict[str, torch.Tensor]:
    """Rows of tokens as a model takes them, int64 (n, longest), shorter ones filled up at the left."""
    import torch

    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    for n, row in enumerate(rows):
        ids[n, longest - len(row) :] = torch.tensor(row)
        mask[n, longest - len(row) :] = 1
    return {"input_ids": ids, "attention_mask": mask}


def parted(asked: Sequence[Sequence[Sequence[int]]], token: int) -> list[Sequence[int]] | None:
    """Of each question the tokens behind those that it has in common with the others, of every row the same.

    `asked`: of each question the rows of tokens, one for each thing that it is asked about. None where there is one
    question alone, where questions end otherwise from row to row, or where `token`, a part of what they are about,
    stands in what they do not share.
    """
    if len(asked) == 1:
        return None
    shared = [min(_common(every), *(len(row) - 1 for row in every)) for every in zip(*asked, strict=True)]
    ends = [[row[start:] for row, start in zip(rows, shared, strict=True)] for rows in asked]
    if any(token in row or row != rows[0] for rows in ends for row in rows):
        return None
    return [rows[0] for rows in ends]


def _common(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens rows begin with that are the same in all."""
    return sum(1 for _ in takewhile(lambda tokens: len({*tokens}) == 1, zip(*rows, strict=False)))


def first(model: Any, inputs: Mapping[str, Any], begun: Any = None) -> torch.Tensor:
    """The logits of the first token of each answer, float32 (n, vocabulary), by one pass.

    With `begun`, of `beginning`, only over what comes behind that, which stays as it is.
    """
    held = {} if begun is None else {_cache_name(model): _branched(begun)}
    said = _once(model, {**inputs, **held}, output_logits=True)
    found: torch.Tensor = said.logits[0].float()
    return found


def beginning(model: Any, inputs: Mapping[str, Any]) -> Any:
    """What a model keeps of rows of inputs, to go on behind them in more than one way; by one pass."""
    return getattr(_once(model, inputs), _cache_name(model))


def _once(model: Any, inputs: Mapping[str, Any], **told: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model.generate(**inputs, **told, max_new_tokens=1, do_sample=False, return_dict_in_generate=True)


def _cache_name(model: Any) -> str:
    """What transformers calls it: another name from 5.24 on."""
    return "cache" if "cache" in signature(model.forward).parameters else "past_key_values"


def _branched(cache: Any) -> Any:
    """A cache that grows apart from another, of which it holds the tensors: layers that grow make new ones."""
    branch = copy(cache)
    branch.layers = [copy(layer) for layer in cache.layers]
    return branch


def _answer(tokenizer: Any, row: list[int], ends: set[int]) -> Answer:
    """What tokens say, up to the first that ends an answer."""
    place = next((n for n, token in enumerate(row) if token in ends), None)
    tokens = row if place is None else row[: place + 1]
    text = tokenizer.decode(tokens, skip_special_tokens=True).strip()
    return Answer(text, "truncated" if place is None else "success", len(tokens))


def _processors(sampling: Sampling, mask: torch.Tensor) -> list[Any]:
    """What changes the scores of the next tokens before the best is taken."""
    found: list[Any] = []
    if sampling.repetition_penalty != 1:
        found.append(_Penalty(sampling.repetition_penalty, mask))
    if sampling.temperature:
        found.append(_Draw(sampling))
    return found


class _Penalty:
    """Makes tokens of question and answer less likely (Keskar et al., CTRL, 2019), those that pad a row left out."""

    def __init__(self, penalty: float, mask: torch.Tensor) -> None:
        self.penalty, self.mask = penalty, mask

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        rest = self.mask.new_ones(len(ids), ids.shape[1] - self.mask.shape[1])
        seen = torch.zeros_like(scores).scatter_add_(1, ids, torch.cat([self.mask, rest], 1).to(scores.dtype)) > 0
        return torch.where(seen, torch.where(scores < 0, scores * self.penalty, scores / self.penalty), scores)


class _Draw:
    """Draws by the Gumbel-max trick: the best score with noise added is a draw from the softmax.

    The noise of a step is the same for all rows, so that none depends on how many there are.
    """

    def __init__(self, sampling: Sampling) -> None:
        import torch

        self.sampling = sampling
        self.noise = torch.Generator().manual_seed(sampling.seed)

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        import torch

        scores = scores.float() / self.sampling.temperature
        if self.sampling.top_p < 1:
            order = scores.argsort(-1, descending=True)
            share = scores.gather(-1, order).softmax(-1)
            late = share.cumsum(-1) - share >= self.sampling.top_p
            scores = scores.masked_fill(torch.zeros_like(late).scatter(-1, order, late), -torch.inf)
        uniform = torch.rand(scores.shape[-1], generator=self.noise).clamp_(1e-20, 1 - 1e-7)
        return scores - torch.log(-torch.log(uniform)).to(scores.device)
