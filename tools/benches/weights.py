"""Models of real size, some of the tests' with them, whose weights are random, and the stages that run them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vbuild.models.messages import Sampling
from vbuild.stage import Windows
from vbuild.stages.caption import Caption
from vbuild.stages.clip import CLIP
from vbuild.stages.shots import Shots
from vbuild.stages.siglip import SigLIP
from vbuild.stages.vjepa2 import VJEPA2

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vbuild import Stage

TOKENS = Sampling().max_tokens
"""Of an answer, as many as stages allow if nothing is said; random weights end at none."""


WORDS = {"vocab_size": 1000, "num_hidden_layers": 1, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
"""Towers for words are small: they do not run."""


def _clip(folder: Path, width: int = 768, layers: int = 12, patch: int = 32, dim: int = 512) -> None:
    from transformers import CLIPConfig, CLIPModel

    seen = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
            "num_attention_heads": width // 64, "patch_size": patch}  # fmt: skip
    CLIPModel(CLIPConfig(text_config=WORDS, vision_config=seen, projection_dim=dim)).save_pretrained(folder)
    _pictures(folder)


def _siglip(folder: Path, width: int = 768, layers: int = 12, patch: int = 16, side: int = 224, wide: int = 0) -> None:
    from transformers import SiglipConfig, SiglipModel

    seen = {"hidden_size": width, "intermediate_size": wide or 4 * width, "num_hidden_layers": layers,
            "num_attention_heads": 16 if wide else 12, "patch_size": patch, "image_size": side}  # fmt: skip
    SiglipModel(SiglipConfig(text_config={**WORDS, "hidden_size": width}, vision_config=seen)).save_pretrained(folder)
    _pictures(folder, side)


def _vjepa2(folder: Path) -> None:
    from transformers import VJEPA2Config, VJEPA2Model

    VJEPA2Model(VJEPA2Config(pred_num_hidden_layers=1)).save_pretrained(folder)  # its own sizes are those of L
    _pictures(folder, 256, "video_preprocessor_config.json")


def _pictures(folder: Path, side: int = 224, name: str = "preprocessor_config.json") -> None:
    said = {"size": {"height": side, "width": side}, "crop_size": {"height": side, "width": side}, "resample": 3,
            "do_center_crop": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # fmt: skip
    (folder / name).write_text(json.dumps(said))


def talker(folder: Path, kind: str) -> None:
    """A captioner of the tests'."""
    import talkers

    talkers.SEEING[kind](folder)


def _captioner(folder: Path) -> None:
    """Qwen2.5-VL in the size of 3 billion weights, with the words of the tests'."""
    import talkers

    folder.mkdir()
    talkers.qwen2_5_vl(folder)
    _large(json.loads((folder / "config.json").read_text()), "cuda").save_pretrained(folder)


def _large(said: Mapping[str, Any], device: str) -> Any:
    """A captioner of that size on a device, of a small one's configuration."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForImageTextToText

    told = {name: value for name, value in said["text_config"].items() if name != "layer_types"} | {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
        "num_key_value_heads": 2, "max_position_embeddings": 32768, "vocab_size": 151936, "max_window_layers": 36,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    }  # fmt: skip
    seen = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048,
            "patch_size": 14, "fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112}  # fmt: skip
    ids = {name: said[name] for name in said if name.endswith("_token_id")}
    config = CONFIG_MAPPING["qwen2_5_vl"](text_config=told, vision_config=seen, **ids)
    with torch.device(device):
        return AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)


MADE: Mapping[str, Any] = {
    "clip-b32": _clip,
    "siglip2-base": _siglip,
    "clip-l14": lambda folder: _clip(folder, 1024, 24, 14, 768),
    "siglip2-so400m": lambda folder: _siglip(folder, 1152, 27, 14, 384, 4304),
    "vjepa2-l": _vjepa2,
    "captioner-3b": _captioner,
}
"""Name of a model → what makes its folder."""


def stage_of(root: Path, name: str, **knobs: Any) -> Stage:
    """The stage of a model."""
    folder = str(root / name)
    if name == "transnetv2":
        return Shots(**knobs)
    if name in ("qwen3_vl", "smolvlm", "captioner-3b"):
        asked = {"sampling": Sampling(max_tokens=TOKENS), "windows": Windows(frames=None), "short_side": 112}
        return Caption(model=folder, dtype="bfloat16" if name == "captioner-3b" else "float32", **asked, **knobs)  # type: ignore[arg-type]
    kind = {"clip": CLIP, "siglip2": SigLIP, "vjepa2": VJEPA2}[name.partition("-")[0]]
    return kind(model=folder, **knobs)
