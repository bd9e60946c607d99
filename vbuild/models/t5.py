"""The encoder of T5 and its kin: texts as a vector a token, as models that make videos are told what to make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.errors import UsageError
from vbuild.models import checkpoints, devices, encoders, identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

VERSION = 1
"""How a text is put to the encoder, and what is taken of its answer."""

TYPES = ("t5", "mt5", "umt5")
"""`model_type` of the checkpoints that there are."""

AT_ONCE = 16_384
"""Tokens that go through the encoder together, at most, with those that fill up shorter texts."""


def check(model: str, revision: str | None) -> None:
    """Raises UsageError for a checkpoint that is not here, or of another type."""
    kind = checkpoints.kind_of(model, revision)
    if kind not in TYPES:
        raise UsageError(
            f"model={model}: it is of the type {kind}, and the encoder of one of {', '.join(TYPES)} is wanted"
        )


class Tower:
    """An encoder on its device; a whole checkpoint's decoder is not loaded."""

    def __init__(
        self,
        model: str,
        revision: str | None,
        *,
        dtype: str,
        device: str,
        attention: str = "auto",
        compiled: bool = False,
    ) -> None:
        from transformers import AutoTokenizer

        self.device = devices.chosen(device)
        self.model: Any = encoders.network(
            "AutoModelForTextEncoding", model, revision, dtype=dtype, device=self.device, attention=attention
        )
        self.answer: Any = devices.compiled(self.model, self.device) if compiled else self.model
        source, arguments = identity.pretrained(model, revision)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(source, **arguments)

    def vectors(self, texts: Sequence[str], most: int) -> list[np.ndarray]:
        """Of each text a vector a token, its end's last: float16 (tokens, width), of no more than `most` tokens.

        What is larger than float16 can be is infinite.
        """
        import numpy as np
        import torch

        tokens = self.tokenizer([*texts], truncation=True, max_length=most)["input_ids"] if texts else []
        found: list[np.ndarray] = [np.empty(0)] * len(texts)
        for places in _alike([len(one) for one in tokens]):
            longest = len(tokens[places[-1]])
            ids = torch.zeros(len(places), longest, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, place in enumerate(places):
                ids[row, : len(tokens[place])] = torch.tensor(tokens[place])
                mask[row, : len(tokens[place])] = 1
            with torch.inference_mode():
                said = self.answer(input_ids=ids.to(self.device), attention_mask=mask.to(self.device))
            vectors = said.last_hidden_state.to(torch.float16).cpu().numpy()
            for row, place in enumerate(places):
                found[place] = vectors[row, : len(tokens[place])].copy()
        return found


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The places of texts that go through together, shorter ones first."""
    places: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if places and (len(places) + 1) * lengths[place] > AT_ONCE:
            yield places
            places = []
        places.append(place)
    if places:
        yield places
