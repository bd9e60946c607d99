"""What a checkpoint's own files say of it: its type, how pictures are put to it, and how wide its vectors are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from vbuild.errors import UsageError
from vbuild.models import identity

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
"""How the files are read."""

Numbers = tuple[float, float, float]

OPENAI: tuple[Numbers, Numbers] = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET: tuple[Numbers, Numbers] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF: tuple[Numbers, Numbers] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
"""Means and deviations of red, green and blue in 0..1, with which networks are trained."""

KERNELS: Mapping[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of them."""


@dataclass(frozen=True)
class Pictures:
    """How pictures come to what a network takes."""

    size: tuple[int, int]
    """Width and height in pixels."""
    short_side: int | None
    """Pixels of the shorter side before the middle is cut out; None: they are squeezed to `size`."""
    kernel: Literal["bilinear", "bicubic"]
    scale: float
    """What a byte is multiplied by."""
    mean: Numbers
    """Taken away from the channels, red, green and blue, after that."""
    deviation: Numbers
    """What they are divided by then."""
    flipped: bool = False
    """Whether it takes blue, green and red."""
    patches: int | None = None
    """Of a network that takes pictures of any shape: how many patches of `size` one has at most."""


@dataclass(frozen=True)
class Checkpoint:
    """A model on this machine, as its files describe it."""

    type: str
    """`model_type` of its configuration."""
    config: Mapping[str, Any]
    pictures: Pictures
    width: int
    """Numbers of a vector that it makes."""
    frames: int
    """Pictures that it looks at together."""


def _said(size: Any = None, crop: Any = None, kernel: int = 3, colours: Any = IMAGENET, **more: Any) -> dict[str, Any]:
    mean, deviation = colours
    said = {"size": size, "crop_size": crop, "resample": kernel, "image_mean": mean, "image_std": deviation, **more}
    return {name: value for name, value in said.items() if value is not None}


DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "clip": _said({"shortest_edge": 224}, 224, colours=OPENAI),
    "xclip": _said({"shortest_edge": 224}, 224, colours=OPENAI),
    "siglip": _said({"height": 224, "width": 224}, colours=HALF),
    "siglip2": _said(kernel=2, colours=HALF, patch_size=16, max_num_patches=256),
    "dinov2": _said({"shortest_edge": 256}, 224),
    "dinov3_vit": _said({"height": 224, "width": 224}, kernel=2),
    "dinov3_convnext": _said({"height": 224, "width": 224}, kernel=2),
    "vjepa2": _said({"shortest_edge": 292}, 256, kernel=2),
    **dict.fromkeys(("pe_video", "pe_audio_video"), _said({"height": 336, "width": 336}, kernel=2, colours=HALF)),
    "videoprism": _said({"height": 288, "width": 288}, do_normalize=False),
}
"""What transformers takes for a type where a checkpoint's files are silent."""

WIDTHS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "clip": (("projection_dim",), 512),
    "xclip": (("projection_dim",), 512),
    "siglip": (("vision_config", "hidden_size"), 768),
    "siglip2": (("vision_config", "hidden_size"), 768),
    "dinov2": (("hidden_size",), 768),
    "dinov3_vit": (("hidden_size",), 384),
    "dinov3_convnext": (("hidden_sizes",), 768),
    "vjepa2": (("hidden_size",), 1024),
    "videoprism": (("vision_config", "hidden_size"), 768),
    **dict.fromkeys(("pe_video", "pe_audio_video"), (("text_config", "hidden_size"), 1024)),
}
"""Where a configuration says how wide vectors are; and how wide they are where it does not."""

FRAMES: Mapping[str, tuple[tuple[str, ...], int]] = {
    "xclip": (("vision_config", "num_frames"), 8),
    "vjepa2": (("frames_per_clip",), 64),
    "videoprism": (("vision_config", "num_frames"), 16),
    **dict.fromkeys(("pe_video", "pe_audio_video"), ((), 16)),
}
"""The same of how many pictures are looked at together."""


def checkpoint(model: str, revision: str | None = None) -> Checkpoint:
    """What the files of a model say. Raises UsageError as `identity.locate`, and for files that say what we cannot."""
    found = identity.locate(model, revision)
    try:
        return _read(found.identity, found.path)
    except UsageError as error:
        raise UsageError(f"model={model}: {error}") from error


def kind_of(model: str, revision: str | None = None) -> str:
    """The type of a model, whatever it is for. Raises UsageError as `identity.locate`, and for files that are none."""
    folder = identity.locate(model, revision).path
    try:
        return str(_json(folder, "config.json").get("model_type"))
    except UsageError as error:
        raise UsageError(f"model={model}: {error}") from error


@cache
def _read(of: str, folder: Path) -> Checkpoint:  # noqa: ARG001  a folder may come to hold other weights
    config = _json(folder, "config.json")
    kind = str(config.get("model_type"))
    images = {**DEFAULTS.get(kind, {}), **_processing(folder, video=kind in FRAMES)}
    if kind == "vjepa2":  # its own processor makes the one of the other, whatever the file says
        images["size"] = {"shortest_edge": int(_side(images["crop_size"]) * 256 / 224)}
    width, frames = _at(config, *WIDTHS.get(kind, ((), 0))), _at(config, *FRAMES.get(kind, ((), 1)))
    return Checkpoint(kind, config, pictures(images), width, frames)


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        said = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"its {name} cannot be read; fetch it anew") from error
    return said if isinstance(said, dict) else {}


def _processing(folder: Path, *, video: bool) -> dict[str, Any]:
    """What a checkpoint's files say of its pictures; newer ones hold all processors in one."""
    names = ["video_processor", "image_processor"] if video else ["image_processor"]
    whole = _json(folder, "processor_config.json") if (folder / "processor_config.json").is_file() else {}
    for name in names:
        if isinstance(whole.get(name), dict):
            return {key: value for key, value in whole[name].items() if value is not None}
    files = ["video_preprocessor_config.json", "preprocessor_config.json"] if video else ["preprocessor_config.json"]
    file = next((name for name in files if (folder / name).is_file()), None)
    return {key: value for key, value in (_json(folder, file) if file else {}).items() if value is not None}


def _at(config: Mapping[str, Any], path: tuple[str, ...], default: int) -> int:
    found: Any = config
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, list):  # of stages one after another
        found = found[-1]
    return int(default if found is None or not path else found)


def pictures(said: Mapping[str, Any]) -> Pictures:
    """How pictures are made, of what a processor's file says. Raises UsageError for what is none of our ways."""
    size, crop = said.get("size"), said.get("crop_size")
    for key, other in (("do_resize", False), ("do_pad", True), ("do_reduce_labels", True), ("rescale_offset", True)):
        if said.get(key) is other:
            raise UsageError(f"its pictures are made with {key}: {str(other).lower()}, which is not known here")
    kernel = KERNELS.get(int(said.get("resample", 3)))
    patches = said.get("max_num_patches")
    if patches is not None:
        size, crop = said.get("patch_size"), None
    if size is None or kernel is None:
        raise UsageError(f"its pictures are made with size={size}, resample={said.get('resample')}: not known here")
    short = size.get("shortest_edge") if isinstance(size, Mapping) else None
    if isinstance(size, int) and crop is not None and said.get("do_center_crop", True):
        short = size
    share = said.get("crop_pct")
    if share is not None and short is not None and crop is None:
        crop, short = (short, int(short / share)) if short < 384 else ({"height": short, "width": short}, None)
    if short is not None and (crop is None or not said.get("do_center_crop", True)):
        raise UsageError("its pictures are of many shapes, and cannot be made one size; take another checkpoint")
    height, width = _sides(crop if crop is not None and short is not None else size)
    normal = said.get("do_normalize", True)
    return Pictures(
        size=(width, height),
        short_side=short,
        kernel=kernel,
        scale=float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 1.0,
        mean=_numbers(said.get("image_mean", HALF[0])) if normal else (0.0, 0.0, 0.0),
        deviation=_numbers(said.get("image_std", HALF[1])) if normal else (1.0, 1.0, 1.0),
        flipped=bool(said.get("do_flip_channel_order", False)),
        patches=None if patches is None else int(patches),
    )


def _numbers(values: Any) -> Numbers:
    red, green, blue = [float(values)] * 3 if isinstance(values, int | float) else map(float, values)
    return red, green, blue


def _sides(size: Any) -> tuple[int, int]:
    """Height and width."""
    if isinstance(size, Mapping) and {"height", "width"} <= size.keys():
        return int(size["height"]), int(size["width"])
    if isinstance(size, int):
        return size, size
    raise UsageError(f"its pictures are made with size={size}, which is not known here")


def _side(size: Any) -> int:
    return _sides(size)[0]
