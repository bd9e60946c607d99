"""The video part of Perception Encoder AV: its tower for frames written here, all behind it by transformers."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

from vbuild.errors import UsageError
from vbuild.models import devices, encoders, identity
from vbuild.models.checkpoints import checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

VERSION = 1
"""How pictures and words are put to the network, what it computes, and what is taken of it."""

HEADS: Mapping[str, int] = {"vit_pe_core_base_patch16_224": 12, "vit_pe_core_large_patch14_336": 16}
"""Architecture of a tower, as timm calls it → its heads of attention, of which its weights say nothing."""

POOLING_HEADS = 8

EPSILON = 1e-5

WORDS = 512
"""Tokens of a text, at most."""

TOWER = "video_encoder.embedder.vision_model.timm_model."

OWN = ("video_encoder.", "video_head.", "text_video_head.", "text_video_logit_", "text_model.")
"""What the names of the weights that are used begin with."""


def weights_of(folder: Path) -> dict[str, Any]:
    """The weights of a checkpoint's video part, by their names in it alone; those of sound are not read.

    Raises UsageError where there is no such part.
    """
    from safetensors import safe_open

    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118  it is no mapping
                own = name.removeprefix("video_model.")
                if own.startswith(OWN) and not own.startswith(f"{TOWER}rope."):
                    found[own] = opened.get_tensor(name)
    if f"{TOWER}pos_embed" not in found:
        raise UsageError(f"model={folder}: its *.safetensors hold no {TOWER}pos_embed; give a checkpoint of PE-AV")
    return found


def _tower(weights: Mapping[str, Any], heads: int) -> Any:
    """The network of frames, as large as its weights are: vectors (n, dim) of pictures (n, 3, h, w)."""
    import torch
    from torch import nn
    from torch.nn.functional import gelu, scaled_dot_product_attention

    sizes = {name.removeprefix(TOWER): tuple(one.shape) for name, one in weights.items() if name.startswith(TOWER)}
    width, _, patch, _ = sizes["patch_embed.proj.weight"]
    hidden, pooled = sizes["blocks.0.mlp.fc1.weight"][0], sizes["attn_pool.mlp.fc1.weight"][0]
    layers = 1 + max(int(name.split(".")[1]) for name in sizes if name.startswith("blocks."))

    def mlp(wide: int) -> Any:
        return nn.ModuleDict({"fc1": nn.Linear(width, wide), "fc2": nn.Linear(wide, width)})

    def norm() -> Any:
        return nn.LayerNorm(width, eps=EPSILON)

    def block() -> Any:
        attention = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        return nn.ModuleDict({"norm1": norm(), "attn": attention, "norm2": norm(), "mlp": mlp(hidden)})

    class Pool(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.latent = nn.Parameter(torch.zeros(1, 1, width))
            self.q, self.kv, self.proj = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
            self.norm, self.mlp = norm(), mlp(pooled)

        def forward(self, x: Any) -> Any:
            query = _split(self.q(self.latent.expand(len(x), -1, -1)), POOLING_HEADS)
            keys, values = (_split(part, POOLING_HEADS) for part in self.kv(x).chunk(2, -1))
            found = self.proj(scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2))[:, 0]
            return found + self.mlp["fc2"](gelu(self.mlp["fc1"](self.norm(found))))

    class Tower(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch, bias=False)})
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
            self.pos_embed = nn.Parameter(torch.zeros(sizes["pos_embed"]))
            self.norm_pre, self.norm = norm(), norm()
            self.blocks = nn.ModuleList([block() for _ in range(layers)])
            self.attn_pool = Pool()
            self.head = nn.Linear(width, sizes["head.weight"][0])

        def forward(self, pixels: Any) -> Any:
            cut = self.patch_embed["proj"](pixels)
            turns = rotations(cut.shape[-2], cut.shape[-1], width // heads, cut)
            x = torch.cat([self.cls_token.expand(len(cut), -1, -1), cut.flatten(2).transpose(1, 2)], 1)
            x = self.norm_pre(x + self.pos_embed)
            for one in self.blocks:
                q, k, v = (_split(part, heads) for part in one["attn"]["qkv"](one["norm1"](x)).chunk(3, -1))
                seen = scaled_dot_product_attention(turned(q, *turns), turned(k, *turns), v)
                x = x + one["attn"]["proj"](seen.transpose(1, 2).flatten(2))
                x = x + one["mlp"]["fc2"](gelu(one["mlp"]["fc1"](one["norm2"](x))))
            return self.head(self.attn_pool(self.norm(x)))

    return Tower()


def _named(tower: Any) -> Any:
    """A tower under the name that it has in checkpoints, which answers as what stands there does."""
    from types import SimpleNamespace

    from torch import nn

    class Named(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.timm_model = tower

        def forward(self, pixels: Any) -> Any:
            return SimpleNamespace(logits=self.timm_model(pixels))

    return Named()


def _split(x: Any, heads: int) -> Any:
    """(n, tokens, width) as (n, heads, tokens, width of a head)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def rotations(high: int, wide: int, width: int, like: Any) -> tuple[Any, Any]:
    """Sines and cosines (patches, width of a head) of places in a picture, counted from 1: first across, then down."""
    import torch

    count = width // 4
    bands = 10000.0 ** -(torch.arange(count, device=like.device, dtype=torch.float32) / count)
    down, across = torch.meshgrid(torch.arange(1, high + 1), torch.arange(1, wide + 1), indexing="ij")
    places = torch.stack([across, down], -1).flatten(0, 1).to(like.device).float()
    angles = (places[..., None] * bands).flatten(1).repeat_interleave(2, -1)
    return angles.sin().to(like.dtype), angles.cos().to(like.dtype)


def turned(x: Any, sines: Any, cosines: Any) -> Any:
    """Queries or keys (n, heads, tokens, width), each pair of numbers turned by its place; the first has none."""
    import torch

    first, rest = x[:, :, :1], x[:, :, 1:]
    pairs = rest.unflatten(-1, (-1, 2))
    crossed = torch.stack([-pairs[..., 1], pairs[..., 0]], -1).flatten(-2)
    return torch.cat([first, rest * cosines + crossed * sines], 2)


class Network:
    """The video part of a checkpoint on a device, ready to answer."""

    def __init__(
        self, model: str, revision: str | None, *, dtype: str, device: str, attention: str, compiled: bool = False
    ) -> None:
        import torch
        from transformers import AutoTokenizer

        self.checkpoint = checkpoint(model, revision)
        self.device, self.dtype = devices.chosen(device), getattr(torch, dtype)
        folder = identity.locate(model, revision).path
        self.model = network(folder, self.checkpoint.config, dtype=dtype, device=self.device, attention=attention)
        self.answer: Any = devices.compiled(self._vectors, self.device) if compiled else self._vectors
        source, arguments = identity.pretrained(model, revision)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(source, **arguments)

    def _vectors(self, pixels: Any) -> Any:
        return self.model.video_head(self.model.video_encoder(pixel_values_videos=pixels).pooler_output)

    def videos(self, pixels: np.ndarray) -> np.ndarray:
        """Unit vectors, float32 (n, width), of one or more videos, uint8 (n, frames, h, w, 3)."""
        import numpy as np
        import torch

        at_once, found = max(1, encoders.AT_ONCE // pixels.shape[1]), []
        with torch.inference_mode():
            for start in range(0, len(pixels), at_once):
                part = encoders.put(pixels[start : start + at_once], self.checkpoint.pictures, self.device)
                found.append(encoders.units(self.answer(part.to(self.dtype))))
        return np.concatenate(found)

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 (n, width), of texts, each cut to `WORDS` tokens."""
        import torch

        tokens = self.tokenizer([*words], padding=True, truncation=True, max_length=WORDS, return_tensors="pt")
        given = {name: tokens[name].to(self.device) for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            said = self.model.text_model(**given, output_hidden_states=True).hidden_states[-1][:, 0]
            return encoders.units(self.model.text_video_head(said))


def network(folder: Path, config: Mapping[str, Any], *, dtype: str, device: str, attention: str) -> Any:
    """The video part of a checkpoint, all its weights loaded.

    Raises UsageError for a tower that is not known, and for weights that lack or are too many.
    """
    import torch
    from transformers import PeVideoConfig, PeVideoModel, ViTConfig, logging

    logging.disable_progress_bar()
    said = dict((config.get("audio_video_config") or config).get("video_config") or {})
    looks = dict(said.pop("vision_config", None) or {})
    name = looks.get("architecture", "vit_pe_core_large_patch14_336")
    if name not in HEADS:
        raise UsageError(f"model={folder}: its frames go through {name}; {', '.join(HEADS)} are known here")
    weights = weights_of(folder)
    labels = len(weights[f"{TOWER}head.weight"])
    stands = ViTConfig(hidden_size=8, num_hidden_layers=0, num_attention_heads=1, image_size=8, patch_size=8)
    stands.num_labels = labels
    text, video = dict(config.get("text_config") or {}), {**said, "vision_config": stands}
    made = PeVideoConfig(text_config=text, video_config=video)

    class Video(PeVideoModel):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.video_encoder.embedder.vision_model = _named(_tower(weights, HEADS[name]))

    chosen_so = {} if attention == "auto" else {"attn_implementation": attention}
    with redirect_stdout(StringIO()):  # it complains there about its own documentation
        model, told = Video.from_pretrained(
            None, config=made, state_dict=weights, dtype=getattr(torch, dtype), output_loading_info=True, **chosen_so
        )
    for kind, what in (("missing_keys", "lacks"), ("unexpected_keys", "has")):
        if names := sorted(told[kind]):
            raise UsageError(f"model={folder}: its video part {what} {names[0]}, which is not as published")
    return model.to(device).eval()
