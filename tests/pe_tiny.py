"""A tiny checkpoint of Perception Encoder AV, as its repositories hold one: names, configuration, words."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import torch
from models_tiny import HALF, _tokenizer
from safetensors.torch import save_file
from tiny import weight

WIDTH, SIDE, PATCH, LAYERS, OUT = 64, 28, 7, 2, 24
"""Of the tower of frames: numbers of a token, pixels a side of a picture and of a patch, blocks, numbers of a frame."""

TEXT = {
    "model_type": "modernbert", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 2, "vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "cls_token_id": 1, "sep_token_id": 2, "max_position_embeddings": 64,
}  # fmt: skip

VIDEO = {
    "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 3, "head_dim": 16,
}  # fmt: skip


def tower():
    """Names and shapes of the tower's weights, as timm has them."""
    found = {
        "cls_token": (1, 1, WIDTH), "pos_embed": (1, 1 + (SIDE // PATCH) ** 2, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH), "attn_pool.latent": (1, 1, WIDTH),
    }  # fmt: skip
    linear = {
        "attn_pool.q": (WIDTH, WIDTH), "attn_pool.kv": (2 * WIDTH, WIDTH), "attn_pool.proj": (WIDTH, WIDTH),
        "attn_pool.mlp.fc1": (2 * WIDTH, WIDTH), "attn_pool.mlp.fc2": (WIDTH, 2 * WIDTH), "head": (OUT, WIDTH),
    }  # fmt: skip
    norms = ["norm_pre", "norm", "attn_pool.norm"]
    for n in range(LAYERS):
        linear |= {
            f"blocks.{n}.attn.qkv": (3 * WIDTH, WIDTH), f"blocks.{n}.attn.proj": (WIDTH, WIDTH),
            f"blocks.{n}.mlp.fc1": (2 * WIDTH, WIDTH), f"blocks.{n}.mlp.fc2": (WIDTH, 2 * WIDTH),
        }  # fmt: skip
        norms += [f"blocks.{n}.norm1", f"blocks.{n}.norm2"]
    for name, shape in linear.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found | {f"{name}.{kind}": (WIDTH,) for name in norms for kind in ("weight", "bias")}


def rest():
    """Names and shapes of all else of the video part, as transformers has them."""
    from transformers import PeVideoConfig, PeVideoModel, ViTConfig

    stands = ViTConfig(hidden_size=8, num_hidden_layers=0, num_attention_heads=1, image_size=8, patch_size=8)
    stands.num_labels = OUT
    with redirect_stdout(io.StringIO()):
        made = PeVideoModel(PeVideoConfig(text_config=dict(TEXT), video_config={**VIDEO, "vision_config": stands}))
    return {name: tuple(one.shape) for name, one in made.state_dict().items() if "vision_model" not in name}


def weights():
    """All weights by their names in the video part; each is what its name says, and the same every time."""
    names = {f"video_encoder.embedder.vision_model.timm_model.{name}": shape for name, shape in tower().items()}
    return {name: torch.from_numpy(weight(name, shape)) for name, shape in {**names, **rest()}.items()}


def make(folder: Path, kind: str = "pe_audio_video", change=lambda held: None) -> Path:
    """A checkpoint, of the whole model or of its video part alone."""
    folder.mkdir(exist_ok=True)
    whole = kind == "pe_audio_video"
    held = {
        name if not whole or name.startswith("text_model.") else f"video_model.{name}": one.contiguous()
        for name, one in weights().items()
    }
    if whole:
        held["audio_model.audio_head.proj.weight"] = torch.zeros(2, 2)
        held["audio_video_head.proj.weight"] = torch.zeros(2, 2)
    change(held)
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    looks = {"model_type": "timm_wrapper", "architecture": "vit_pe_core_large_patch14_336", "num_classes": OUT}
    video = {"model_type": "pe_video_encoder", **VIDEO, "vision_config": looks}
    config = {"model_type": kind, "text_config": TEXT, "architectures": ["X"]}
    config |= {"audio_video_config": {"video_config": video}} if whole else {"video_config": video}
    (folder / "config.json").write_text(json.dumps(config))
    said = {
        "video_processor_type": "PeVideoVideoProcessor", "do_resize": True, "size": {"height": SIDE, "width": SIDE},
        "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, **HALF,
    }  # fmt: skip
    (folder / "video_preprocessor_config.json").write_text(json.dumps(said))
    _tokenizer().save_pretrained(folder)
    return folder
