"""Makes tiny checkpoints, offline, with seeded weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
import zlib
from pathlib import Path
from typing import Any

import numpy as np

REMOTE = Path(__file__).with_name("remote")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "car", "at", "night", "dog", "##s", "run", "##ning",
         ",", "the"]  # fmt: skip


def code_apart(folder: Path, monkeypatch: Any) -> None:
    """For a test, transformers puts code of checkpoints into a folder, away from the user's own, and knows none yet."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(folder))
    monkeypatch.setenv("HF_MODULES_CACHE", str(folder))
    # transformers adds that place to it, and processes that are spawned take it over
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
        monkeypatch.delitem(sys.modules, name)


def interpreter(folder: Path, *packages: str) -> str:
    """The Python of a new environment, with the libraries of this one, some packages alone, and without vbuild."""
    venv.create(folder, with_pip=False, symlinks=True)
    (there,) = folder.glob("lib/python*/site-packages")
    if packages:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", there, *packages], check=True)
    (there / "others.pth").write_text(f"{Path(np.__file__).parents[1]}\n")
    return str(folder / "bin" / "python")


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Seeded numbers of a size that makes every part of a network count."""
    numbers = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("gamma"):
        numbers = 0.6 + 0.2 * numbers
    elif len(shape) == 1:
        numbers = 0.2 * numbers + name.endswith("weight")
    elif "embed" in name.rpartition(".")[2] or "embeddings" in name or name.endswith("cls_token"):
        numbers = 0.5 * numbers
    elif shape:
        numbers = numbers / np.sqrt(np.prod(shape[1:]))
    return numbers.astype(np.float32)


def words(folder: Path, size: int) -> None:
    """A tokenizer of BERT's kind with so many words."""
    lines = [*WORDS, *(f"[unused{n}]" for n in range(size - len(WORDS)))]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


BERT = {"hidden_size": 32, "num_hidden_layers": 5, "num_attention_heads": 4, "intermediate_size": 64,
        "max_position_embeddings": 64, "vocab_size": 40}  # fmt: skip


def bert(folder: Path) -> Path:
    """A folder with a BERT of five layers and its words."""
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True)
    BertModel(BertConfig(**BERT)).save_pretrained(folder)
    words(folder, BERT["vocab_size"])
    return folder


def internvideo2(*, side: int = 2, patch: int = 14, dim: int = 8) -> dict[str, tuple[int, ...]]:
    """The names of all that the published checkpoint of stage 2 holds, with sizes of a tiny one.

    `side`: patches a side of a picture, of so many pixels a side; three layers, and a BERT of five of which three are
    the text tower.
    """
    width, hidden, pooled, teacher, inner, mlp = 64, 279, 24, 12, BERT["hidden_size"], BERT["intermediate_size"]

    def linear(name, out, into, bias=True):
        return {f"{name}.weight": (out, into)} | ({f"{name}.bias": (out,)} if bias else {})

    def norm(name, size):
        return {f"{name}.weight": (size,), f"{name}.bias": (size,)}

    vision = {"cls_token": (1, 1, width)}
    vision |= {f"{kind}pos_embed": (1, 1 + 4 * side**2, width) for kind in ("", "clip_")}
    vision |= {f"{kind}img_pos_embed": (1, 1 + side**2, width) for kind in ("", "clip_")}
    vision |= {"patch_embed.proj.weight": (width, 3, 1, patch, patch), "patch_embed.proj.bias": (width,)}
    for n in range(3):
        block = f"blocks.{n}"
        vision |= {f"{block}.{name}": (width,) for name in ("norm1.weight", "norm2.weight", "ls1.gamma", "ls2.gamma")}
        vision |= {f"{block}.attn.{name}_norm.weight": (width,) for name in "qk"}
        vision |= linear(f"{block}.attn.qkv", 3 * width, width, bias=False) | linear(f"{block}.attn.proj", width, width)
        vision |= linear(f"{block}.mlp.fc1", hidden, width) | linear(f"{block}.mlp.fc2", width, hidden)
    for name in "qkv":
        vision |= norm(f"clip_projector.norm1_{name}", width)
        vision |= linear(f"clip_projector.cross_attn.{name}", width, width, bias=False)
        vision |= {f"clip_projector.cross_attn.{name}_bias": (width,)}
    vision |= linear("clip_projector.cross_attn.proj", pooled, width)
    for n in range(2):
        vision |= linear(f"clip_decoder.{n}.head", teacher, width) | norm(f"clip_decoder.{n}.norm", teacher)
    vision |= linear("final_clip_decoder.head", pooled, pooled) | norm("final_clip_decoder.norm", pooled)

    text = {f"bert.embeddings.{name}_embeddings.weight": (size, inner)
            for name, size in (("word", 40), ("position", 64), ("token_type", 2))}  # fmt: skip
    text |= norm("bert.embeddings.LayerNorm", inner)
    for n in range(5):
        for kind, into in (("attention", inner), *((("crossattention", width),) if n >= 3 else ())):
            part = f"bert.encoder.layer.{n}.{kind}"
            text |= linear(f"{part}.self.query", inner, inner)
            text |= linear(f"{part}.self.key", inner, into) | linear(f"{part}.self.value", inner, into)
            text |= linear(f"{part}.output.dense", inner, inner) | norm(f"{part}.output.LayerNorm", inner)
        part = f"bert.encoder.layer.{n}"
        text |= linear(f"{part}.intermediate.dense", mlp, inner)
        text |= linear(f"{part}.output.dense", inner, mlp) | norm(f"{part}.output.LayerNorm", inner)
    head = "cls.predictions"
    text |= {f"{head}.bias": (40,)} | linear(f"{head}.transform.dense", inner, inner)
    text |= norm(f"{head}.transform.LayerNorm", inner) | linear(f"{head}.decoder", 40, inner)
    return {
        **{f"vision_encoder.{name}": size for name, size in vision.items()},
        **{f"text_encoder.{name}": size for name, size in text.items()},
        **linear("vision_proj", dim, pooled), **linear("text_proj", dim, inner),
        "temp": (), **linear("itm_head", 2, inner),
    }  # fmt: skip


def checkpoint(file: Path, *, key: str | None = "model", **sizes: int) -> Path:
    """A file with such weights, under a key."""
    import torch

    found = {name: torch.from_numpy(weight(name, size)) for name, size in internvideo2(**sizes).items()}
    found["text_encoder.bert.embeddings.position_ids"] = torch.arange(BERT["max_position_embeddings"])[None]
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({key: found} if key else found, file)
    return file


def cosmos(folder: Path, *, embed_dim: int = 256, resolution: int = 32, transformers: str | None = None) -> Path:
    """A folder with code and weights of its own, and the interface of Cosmos-Embed1."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    for file in REMOTE.glob("*.py"):
        shutil.copyfile(file, folder / file.name)
    words(folder, 20)
    sizes = {"resolution": resolution, "num_video_frames": 8, "max_txt_len": 128}
    named = {"AutoConfig": "configuration_tiny.TinyConfig", "AutoModel": "modeling_tiny.TinyEmbed",
             "AutoProcessor": "preprocessing_tiny.TinyProcessor"}  # fmt: skip
    config = {"architectures": ["TinyEmbed"], "model_type": "cosmos-embed1", "embed_dim": embed_dim, "vocab_size": 20,
              "auto_map": named, **sizes}  # fmt: skip
    config |= {} if transformers is None else {"transformers_version": transformers}
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"processor_class": "TinyProcessor", "auto_map": {"AutoProcessor": named["AutoProcessor"]}, **sizes}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    width = 16
    shapes = {
        "patches.weight": (width, 3, 1, 8, 8), "patches.bias": (width,), "moments": (8, width),
        "words.weight": (20, width),
        "places": (128, width), "mixed.weight": (width, width), "mixed.bias": (width,),
        "projection.weight": (embed_dim, width), "projection.bias": (embed_dim,), "logit_scale": (),
    }  # fmt: skip
    weights = {name: torch.from_numpy(weight(name, shape)) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
