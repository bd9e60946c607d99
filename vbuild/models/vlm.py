"""Vision-language models in this process: a video and a question go in, an answer comes out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vbuild.errors import UsageError
from vbuild.models import generation
from vbuild.models.messages import Answer, Prompt, Sampling, Video, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import torch

VERSION = 1
"""How videos and questions are put to each type of model."""

NONE: Mapping[str, Any] = MappingProxyType({})

PLACE = "<|vbuild video|>"
"""Where the video stands in a question, until it is written as the model's own tokens."""


class Network:
    """A model on a device, ready to answer; `source` and `arguments` are what every `from_pretrained` is given."""

    def __init__(
        self, source: str, arguments: Mapping[str, Any] = NONE, *, dtype: str, device: str, attention: str = "sdpa"
    ) -> None:
        import torch
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

        generation.quiet()
        config = AutoConfig.from_pretrained(source, **arguments)
        if config.model_type not in FAMILIES:
            raise UsageError(
                f"model={source}: it is of the type {config.model_type}; those that can be asked about videos here are "
                f"{listed(sorted(FAMILIES))}; ask others by a server"
            )
        self.device = device
        self.tokenizer: Any = AutoTokenizer.from_pretrained(source, padding_side="left", **arguments)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(
            source, dtype=getattr(torch, dtype), attn_implementation=attention, **arguments
        )
        self.model.to(device).eval()
        generation.settle(self.model, self.tokenizer)
        looks = AutoImageProcessor.from_pretrained(source, backend="pil", **arguments).to_dict()
        self.family = FAMILIES[config.model_type](config, looks, self.tokenizer)
        self.template = _template(source, arguments)

    def answers(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Answer]:
        """What the model says to each question; questions about videos of one shape go through it together."""
        found: dict[int, Answer] = {}
        for places in self._alike(prompts):
            inputs = self.inputs([prompts[n] for n in places])
            found |= zip(places, generation.answers(self.model, self.tokenizer, inputs, sampling), strict=True)
        return [found[n] for n in range(len(prompts))]

    def odds(self, prompts: Sequence[Prompt], answers: Sequence[Sequence[str]]) -> np.ndarray:
        """How likely each answer is among those that are allowed, of each question: float32 (n, answers).

        By one pass each: an answer is as likely as its first token, in any of the ways in which it may be written.
        """
        import torch

        tokens = [sorted({self._first_token(word) for word in words}) for words in answers]
        found = torch.empty(len(prompts), len(answers))
        for places in self._alike(prompts):
            logits = generation.first(self.model, self.inputs([prompts[n] for n in places])).cpu()
            each = torch.stack([logits[:, ids].logsumexp(-1) for ids in tokens], -1)
            found[places] = each.softmax(-1)
        odds: np.ndarray = found.numpy()
        return odds

    def _first_token(self, word: str) -> int:
        return int(self.tokenizer.encode(word, add_special_tokens=False)[0])

    def _alike(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """The places of prompts whose videos have one shape."""
        found: dict[tuple[int, ...], list[int]] = {}
        for n, prompt in enumerate(prompts):
            found.setdefault(_video(prompt).pixels.shape, []).append(n)
        return list(found.values())

    def inputs(self, prompts: Sequence[Prompt]) -> dict[str, Any]:
        """What the model is given for questions about videos of one shape, on its device."""
        import torch

        videos = [_video(prompt) for prompt in prompts]
        pixels = self._pixels(videos)
        place = self.family.written(pixels.shape[-2:], len(videos[0].times))
        texts = [self._text(prompt).replace(PLACE, place(video)) for prompt, video in zip(prompts, videos, strict=True)]
        begun = bool(self.tokenizer.bos_token) and texts[0].startswith(self.tokenizer.bos_token)
        words = self.tokenizer(texts, padding=True, add_special_tokens=not begun, return_tensors="pt")
        ids = words["input_ids"].to(self.device)
        made = {"input_ids": ids, "attention_mask": words["attention_mask"].to(self.device)}
        with torch.inference_mode():
            return made | self.family.inputs(pixels, videos, ids)

    def _pixels(self, videos: Sequence[Video]) -> torch.Tensor:
        """Frames as the model was trained on, (videos, n, 3, h, w) in its dtype."""
        import numpy as np
        import torch

        raw = torch.from_numpy(np.stack([video.pixels for video in videos])).to(self.device)
        flat = raw.flatten(0, 1).permute(0, 3, 1, 2).float()
        size = self.family.size(flat.shape[-2], flat.shape[-1])
        if tuple(flat.shape[-2:]) != size:
            flat = torch.nn.functional.interpolate(flat, size, mode="bicubic", antialias=True).round_().clamp_(0, 255)
        mean, deviation = (
            torch.tensor(self.family.looks[name], device=self.device).view(3, 1, 1)
            for name in ("image_mean", "image_std")
        )
        made = ((flat / 255 - mean) / deviation).to(self.model.dtype)
        return made.unflatten(0, (len(videos), -1))

    def _text(self, prompt: Prompt) -> str:
        """A question in the words in which the model was trained to be asked, the video's place marked."""
        if (asked := self.family.asked(prompt.text, prompt.system)) is not None:
            return asked
        content = [{"type": "video"}, {"type": "text", "text": prompt.text}]
        said = [{"role": "user", "content": content}]
        if prompt.system:
            said = [{"role": "system", "content": [{"type": "text", "text": prompt.system}]}, *said]
        text: str = self.tokenizer.apply_chat_template(
            said, chat_template=self.template, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return text.replace(self.family.mark, PLACE, 1)


def _video(prompt: Prompt) -> Video:
    assert isinstance(prompt.video, Video)
    return prompt.video


def _template(source: str, arguments: Mapping[str, Any]) -> str | None:
    """The chat template that stands beside the model; None where the tokenizer alone has one."""
    from transformers.utils import cached_file

    for name in ("chat_template.jinja", "chat_template.json"):
        found = cached_file(source, name, **arguments, _raise_exceptions_for_missing_entries=False)
        if found is not None:
            text = Path(found).read_text(encoding="utf-8")
            return text if name.endswith("jinja") else str(json.loads(text)["chat_template"])
    return None


@dataclass
class Family:
    """What is particular to one type of model."""

    config: Any
    looks: Mapping[str, Any]
    """How its pictures are made, by its own files."""
    tokenizer: Any

    @property
    def mark(self) -> str:
        """What the template writes for a video."""
        raise NotImplementedError

    def asked(self, text: str, system: str | None) -> str | None:  # noqa: ARG002
        """How a question is written; None where the template says it."""
        return None

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The height and width to which frames of another are brought."""
        raise NotImplementedError

    def written(self, size: Sequence[int], count: int) -> Callable[[Video], str]:
        """What stands for a video of so many frames of a size among the words."""
        raise NotImplementedError

    def inputs(self, pixels: torch.Tensor, videos: Sequence[Video], ids: torch.Tensor) -> dict[str, Any]:
        """What the model is given beside the words."""
        raise NotImplementedError


class Qwen2(Family):
    """Qwen2-VL and Qwen2.5-VL: patches of two frames each, and the seconds between two patches."""

    mark = "<|vision_start|><|video_pad|><|vision_end|>"

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The nearest multiples of a token's side."""
        side = int(self.looks["patch_size"] * self.looks["merge_size"])
        return max(round(height / side), 1) * side, max(round(width / side), 1) * side

    def grid(self, size: Sequence[int], count: int) -> tuple[int, int, int]:
        """Patches in time, in height and in width."""
        patch, deep = self.looks["patch_size"], self.looks["temporal_patch_size"]
        return -(-count // deep), size[0] // patch, size[1] // patch

    def tokens(self, size: Sequence[int]) -> int:
        """Tokens of one moment."""
        _, high, wide = self.grid(size, 1)
        return int(high * wide // self.looks["merge_size"] ** 2)

    def written(self, size: Sequence[int], count: int) -> Callable[[Video], str]:
        """All its tokens in a row."""
        pads = "<|video_pad|>" * (self.tokens(size) * self.grid(size, count)[0])
        return lambda _: f"<|vision_start|>{pads}<|vision_end|>"

    def inputs(self, pixels: torch.Tensor, videos: Sequence[Video], ids: torch.Tensor) -> dict[str, Any]:
        """Patches of all videos, their grids, and the seconds from one patch to the next."""
        made = self._patches(pixels, ids)
        seconds = [self.looks["temporal_patch_size"] / video.rate for video in videos]
        return made | {"second_per_grid_ts": seconds}

    def _patches(self, pixels: torch.Tensor, ids: torch.Tensor) -> dict[str, Any]:
        """Patches in the order of the model: those that make one token stand together."""
        import torch

        patch, merge, deep = (self.looks[f"{name}_size"] for name in ("patch", "merge", "temporal_patch"))
        videos, count, _, height, width = pixels.shape
        grid = self.grid((height, width), count)
        if (more := grid[0] * deep - count) > 0:
            pixels = torch.cat([pixels, pixels[:, -1:].expand(-1, more, -1, -1, -1)], 1)
        cut = pixels.reshape(
            videos, grid[0], deep, 3, grid[1] // merge, merge, patch, grid[2] // merge, merge, patch
        )  # fmt: skip
        flat = cut.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9).reshape(videos * grid[0] * grid[1] * grid[2], -1)
        kinds = (ids == self.config.video_token_id).int() * VIDEO_KIND
        grids = torch.tensor([grid] * videos, device=ids.device)
        return {"pixel_values_videos": flat, "video_grid_thw": grids, "mm_token_type_ids": kinds}


VIDEO_KIND = 2
"""What a token of a video is called among kinds of tokens; 0 is a word, 1 a picture."""


class Qwen3(Qwen2):
    """Qwen3-VL: the same, with the time of each patch in words before it."""

    def written(self, size: Sequence[int], count: int) -> Callable[[Video], str]:
        """The tokens of each moment behind its time."""
        deep = self.looks["temporal_patch_size"]
        moment = f"<|vision_start|>{'<|video_pad|>' * self.tokens(size)}<|vision_end|>"

        def text(video: Video) -> str:
            times = [*video.times, *[video.times[-1]] * (-count % deep)]
            means = [(times[n] + times[n + deep - 1]) / 2 for n in range(0, len(times), deep)]
            return "".join(f"<{mean:.1f} seconds>{moment}" for mean in means)

        return text

    def inputs(self, pixels: torch.Tensor, videos: Sequence[Video], ids: torch.Tensor) -> dict[str, Any]:  # noqa: ARG002
        """Patches of all videos and their grids."""
        return self._patches(pixels, ids)


class InternVL(Family):
    """InternVL in transformers' own format: each frame is a square picture of a fixed number of tokens."""

    @property
    def mark(self) -> str:
        """As its template writes it."""
        return str(self.tokenizer.video_token)

    def size(self, height: int, width: int) -> tuple[int, int]:  # noqa: ARG002
        """The square that its encoder was made for."""
        high, wide = self.config.vision_config.image_size
        return int(high), int(wide)

    def written(self, size: Sequence[int], count: int) -> Callable[[Video], str]:  # noqa: ARG002
        """The frames, counted from 1."""
        words = self.tokenizer
        context = words.context_image_token * self.config.image_seq_length
        frame = f"{words.start_image_token}{context}{words.end_image_token}"
        text = "\n".join(f"Frame{n + 1}: {frame}" for n in range(count))
        return lambda _: text

    def inputs(self, pixels: torch.Tensor, videos: Sequence[Video], ids: torch.Tensor) -> dict[str, Any]:  # noqa: ARG002
        """The frames of all videos."""
        return {"pixel_values": pixels.flatten(0, 1)}


class SmolVLM(Family):
    """SmolVLM2: each frame is a square picture behind its time; videos that go together have as many frames each."""

    mark = "<video>"

    def asked(self, text: str, system: str | None) -> str:
        """Its template knows nothing of videos: questions about them were written by its authors' code."""
        before = f"System: {system}<end_of_utterance>\n" if system else ""
        return f"<|im_start|>{before}User: {PLACE}{text}<end_of_utterance>\nAssistant:"

    def size(self, height: int, width: int) -> tuple[int, int]:  # noqa: ARG002
        """The square that its encoder was made for."""
        side = int(self.looks["max_image_size"]["longest_edge"])
        return side, side

    def written(self, size: Sequence[int], count: int) -> Callable[[Video], str]:
        """How many frames of how long a video, and each behind its time."""
        vision = self.config.vision_config
        tokens = (size[0] // vision.patch_size) ** 2 // self.config.scale_factor**2
        fake = getattr(self.tokenizer, "fake_image_token", "<fake_token_around_image>")
        start = getattr(self.tokenizer, "global_image_token", "<global-img>")
        image = getattr(self.tokenizer, "image_token", "<image>")
        frame = f"{fake}{start}{image * tokens}{fake}"

        def text(video: Video) -> str:
            lasts = timedelta(seconds=int(video.duration))
            intro = (
                f"You are provided the following series of {counted(count)} frames from a {lasts} [H:MM:SS] video.\n"
            )
            clocks = (f"{int(time // 60):02d}:{int(time % 60):02d}" for time in video.times)
            return intro + "".join(f"\nFrame from {clock}:{frame}" for clock in clocks) + "\n\n"

        return text

    def inputs(self, pixels: torch.Tensor, videos: Sequence[Video], ids: torch.Tensor) -> dict[str, Any]:  # noqa: ARG002
        """The frames of each video."""
        return {"pixel_values": pixels}


ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def counted(number: int) -> str:
    """A number below a million in English words, as SmolVLM2 was told how many frames there are."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = number % 100
        return f"{ONES[number // 100]} hundred" + (f" and {counted(rest)}" if rest else "")
    rest = number % 1000
    joint = " and " if 0 < rest < 100 else ", "
    return f"{counted(number // 1000)} thousand" + (f"{joint}{counted(rest)}" if rest else "")


FAMILIES: Mapping[str, type[Family]] = {
    "qwen2_vl": Qwen2, "qwen2_5_vl": Qwen2, "qwen3_vl": Qwen3, "qwen3_vl_moe": Qwen3, "internvl": InternVL,
    "smolvlm": SmolVLM,
}  # fmt: skip
"""`config.model_type` → what is particular to it."""
