"""Vision-language models in this process: a video and a question go in, an answer comes out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vbuild.errors import UsageError
from vbuild.models import generation
from vbuild.models.messages import Answer, Prompt, Sampling, Video, counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    import torch

VERSION = 1
"""How videos and questions are put to each type of model."""

NONE: Mapping[str, Any] = MappingProxyType({})

PLACE = "<|vbuild video|>"
"""Where the video stands in a question, until it is written as the model's own tokens."""


@dataclass(frozen=True)
class Question:
    """What is asked about videos, with the answers of which one is to be given."""

    text: str
    answers: Sequence[Sequence[str]]
    """Of each the ways in which it may be written."""
    system: str | None = None


class Network:
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
    ) -> None:
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText

        generation.quiet()
        config = AutoConfig.from_pretrained(source, **arguments)
        if config.model_type not in FAMILIES:
            raise UsageError(
                f"model={source}: it is of the type {config.model_type}; those that can be asked about videos here are "
                f"{listed(sorted(FAMILIES))}; ask others by a server"
            )
        self.device = device
        self.tokenizer, self.model = generation.loaded(
            AutoModelForImageTextToText,
            source,
            arguments,
            dtype=dtype,
            device=device,
            attention=attention,
            compiled=compiled,
        )
        looks = AutoImageProcessor.from_pretrained(source, backend="pil", **arguments).to_dict()
        self.family = FAMILIES[config.model_type](config, looks, self.tokenizer)
        self.template = _template(source, arguments)

    def answers(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Answer]:
        """What the model says to each question; questions about videos of one shape go through it together."""
        found: dict[int, Answer] = {}
        for places in alike([*map(_video, prompts)]):
            inputs = self.inputs([prompts[n] for n in places])
            found |= zip(places, generation.answers(self.model, self.tokenizer, inputs, sampling), strict=True)
        return [found[n] for n in range(len(prompts))]

    def odds(self, videos: Sequence[Video], questions: Sequence[Question]) -> list[np.ndarray]:
        """How likely each answer is among those that are allowed: float32 (videos, answers) of each question.

        An answer is as likely as its first token, in any of the ways in which it may be written. A video is looked at
        once, however much is asked about it: what comes before the questions' own words goes through the model once.
        """
        import torch

        encode = partial(self.tokenizer.encode, add_special_tokens=False)
        tokens = [[sorted({encode(word)[0] for word in words}) for words in one.answers] for one in questions]
        found = [torch.empty(len(videos), len(one.answers)) for one in questions]
        for places in alike(videos):
            each = self._firsts([videos[n] for n in places], questions)
            for odds, allowed, logits in zip(found, tokens, each, strict=True):
                likely = torch.stack([logits[:, ids].logsumexp(-1) for ids in allowed], -1)
                odds[places] = likely.softmax(-1)
        return [odds.numpy() for odds in found]

    def _firsts(self, videos: Sequence[Video], questions: Sequence[Question]) -> Iterator[torch.Tensor]:
        """The logits of the first token of the answers to each question about videos of one shape."""
        rows = [self._tokens([Prompt(one.text, video, one.system) for video in videos]) for one in questions]
        ends = generation.parted(rows, self.family.token)
        if ends is None:  # there is one question alone, or its words stand before the video
            for some in rows:
                yield generation.first(self.model, self._given(some, videos)).cpu()
            return
        begins = [row[: len(row) - len(ends[0])] for row in rows[0]]
        given = self._given(begins, videos)
        begun = generation.beginning(self.model, given)
        for end in ends:
            whole = self._padded([[*begin, *end] for begin in begins])
            whole |= self.family.places(self.model, whole, given)
            yield generation.first(self.model, whole, begun).cpu()

    def inputs(self, prompts: Sequence[Prompt]) -> dict[str, Any]:
        """What the model is given for questions about videos of one shape, on its device."""
        return self._given(self._tokens(prompts), [_video(prompt) for prompt in prompts])

    def _tokens(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Questions about videos of one shape as tokens."""
        videos = [*map(_video, prompts)]
        place = self.family.written(self._size(videos[0]), len(videos[0].times))
        texts = [self._text(prompt).replace(PLACE, place(video)) for prompt, video in zip(prompts, videos, strict=True)]
        begun = bool(self.tokenizer.bos_token) and texts[0].startswith(self.tokenizer.bos_token)
        found: list[list[int]] = self.tokenizer(texts, add_special_tokens=not begun)["input_ids"]
        return found

    def _given(self, rows: Sequence[Sequence[int]], videos: Sequence[Video]) -> dict[str, Any]:
        """Tokens and the videos whose place is among them, as the model takes them."""
        import torch

        made = self._padded(rows)
        with torch.inference_mode():
            return made | self.family.inputs(self._pixels(videos), videos, made["input_ids"])

    def _padded(self, rows: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        padded = generation.padded(rows, self.tokenizer.pad_token_id)
        return {name: tensor.to(self.device) for name, tensor in padded.items()}

    def _size(self, video: Video) -> tuple[int, int]:
        """The height and width to which a video's frames are brought."""
        return self.family.size(*video.pixels.shape[1:3])

    def _pixels(self, videos: Sequence[Video]) -> torch.Tensor:
        """Frames as the model was trained on, (videos, n, 3, h, w) in its dtype."""
        import numpy as np
        import torch

        raw = torch.from_numpy(np.stack([video.pixels for video in videos])).to(self.device)
        flat = raw.flatten(0, 1).permute(0, 3, 1, 2).float()
        size = self._size(videos[0])
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


def alike(videos: Sequence[Video]) -> list[list[int]]:
    """The places of videos that have one shape."""
    found: dict[tuple[int, ...], list[int]] = {}
    for n, video in enumerate(videos):
        found.setdefault(video.pixels.shape, []).append(n)
    return list(found.values())


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

    @property
    def token(self) -> int:
        """What stands in the words for a part of a picture."""
        return int(self.config.image_token_id)

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

    def places(self, model: Any, words: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Where words stand of which the model was given the beginning; nothing where it counts them by itself."""
        return {}


class Qwen2(Family):
    """Qwen2-VL and Qwen2.5-VL: patches of two frames each, and the seconds between two patches."""

    mark = "<|vision_start|><|video_pad|><|vision_end|>"

    @property
    def token(self) -> int:
        """Videos have one of their own."""
        return int(self.config.video_token_id)

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

    def places(self, model: Any, words: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Where they stand with the videos among them: the model itself goes on behind the largest number so far."""
        videos = {name: given[name] for name in ("video_grid_thw", "second_per_grid_ts") if name in given}
        found, _ = model.model.get_rope_index(**words, **videos, mm_token_type_ids=self._kinds(words["input_ids"]))
        return {"position_ids": found}

    def _kinds(self, ids: torch.Tensor) -> torch.Tensor:
        return (ids == self.token).int() * VIDEO_KIND

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
        grids = torch.tensor([grid] * videos, device=ids.device)
        return {"pixel_values_videos": flat, "video_grid_thw": grids, "mm_token_type_ids": self._kinds(ids)}


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


FAMILIES: Mapping[str, type[Family]] = {
    "qwen2_vl": Qwen2, "qwen2_5_vl": Qwen2, "qwen3_vl": Qwen3, "qwen3_vl_moe": Qwen3, "internvl": InternVL,
    "smolvlm": SmolVLM,
}  # fmt: skip
"""`config.model_type` → what is particular to it."""
