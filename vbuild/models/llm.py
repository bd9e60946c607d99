"""Language models in this process: words go in, and words come out."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vbuild.models import generation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vbuild.models.messages import Answer, Prompt, Sampling

VERSION = 1
"""How a question is put to a model."""

NONE: Mapping[str, Any] = MappingProxyType({})


class Writer:
    """A model on a device, ready to answer; `source` and `arguments` are what every `from_pretrained` is given."""

    def __init__(
        self,
        source: str,
        arguments: Mapping[str, Any] = NONE,
        *,
        dtype: str,
        device: str,
        attention: str = "sdpa",
        compiled: bool = False,
        most: int = 16,
    ) -> None:
        from transformers import AutoModelForCausalLM

        generation.quiet()
        self.device, self.most = device, most
        self.tokenizer, self.model = generation.loaded(
            AutoModelForCausalLM,
            source,
            arguments,
            dtype=dtype,
            device=device,
            attention=attention,
            compiled=compiled,
        )

    def answers(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Answer]:
        """What the model says to each question; questions of about one length go through it together."""
        texts = [self._text(prompt) for prompt in prompts]
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        found: dict[int, Answer] = {}
        for start in range(0, len(order), self.most):
            places = order[start : start + self.most]
            words = self.tokenizer(
                [texts[n] for n in places], padding=True, add_special_tokens=False, return_tensors="pt"
            )
            inputs = {name: words[name].to(self.device) for name in ("input_ids", "attention_mask")}
            found |= zip(places, generation.answers(self.model, self.tokenizer, inputs, sampling), strict=True)
        return [found[n] for n in range(len(texts))]

    def _text(self, prompt: Prompt) -> str:
        """A question as the model's chat template writes it, and without one as it is."""
        said = [{"role": "system", "content": prompt.system}] if prompt.system else []
        said.append({"role": "user", "content": prompt.text})
        if not self.tokenizer.chat_template:
            return "\n\n".join(one["content"] for one in said) + "\n\n"
        text: str = self.tokenizer.apply_chat_template(
            said, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return text
