"""InternVideo2 of stage 2: what its vision and text towers make of a clip and of words, by the published checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vbuild.errors import PlaceError
from vbuild.models import devices

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

VERSION = 1
"""How frames and words are put to the network, what it computes, and what is taken of it."""

FRAMES = 4
"""Pictures of a clip."""

SIZE = (224, 224)
"""Width and height of a picture, pixels."""

DIM = 512
"""Numbers of a vector."""

WORDS = 40
"""Tokens of a text, which is cut or padded to them."""

POOLING_HEADS = 16
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

LEFT = re.compile(
    r"temp|itm_head\..*|clip_teacher\..*"
    r"|vision_encoder\.(clip_pos_embed|clip_img_pos_embed|clip_decoder\..*|final_clip_decoder\..*)"
    r"|text_encoder\.(cls\..*|bert\.pooler\..*|bert\.embeddings\.position_ids)"
)
"""Of the checkpoint, what only its training needs: losses, teachers, and the heads for them."""

LAYER = re.compile(r"text_encoder\.bert\.encoder\.layer\.(\d+)\.(crossattention\.)?")

Weights = Mapping[str, Any]
"""Tensors by their names in the checkpoint."""


@dataclass(frozen=True)
class Shape:
    """What the sizes of a checkpoint's weights say of its network."""

    width: int
    layers: int
    hidden: int
    patch: int
    side: int
    """Patches a side of a picture."""
    frames: int
    pooled: int
    """Numbers that the attention pool answers with."""
    dim: int
    words: int
    """Numbers that the text tower answers with."""
    text_layers: int
    """The layers of the text tower: those before the first that looks at the picture."""


def shape_of(weights: Weights) -> Shape:
    """The shape of a checkpoint's network. Raises PlaceError for a weight that is missing and that it takes to tell."""

    def size(name: str) -> tuple[int, ...]:
        if name not in weights:
            raise _lacking([name])
        return tuple(weights[name].shape)

    vision = "vision_encoder."
    pictures = size(f"{vision}img_pos_embed")[1] - 1
    layers = {int(found[1]) for name in weights if (found := LAYER.match(name))}
    fusing = {int(found[1]) for name in weights if (found := LAYER.match(name)) and found[2]}
    return Shape(
        width=size(f"{vision}cls_token")[2],
        layers=len({name.split(".")[2] for name in weights if name.startswith(f"{vision}blocks.")}),
        hidden=size(f"{vision}blocks.0.mlp.fc1.weight")[0],
        patch=size(f"{vision}patch_embed.proj.weight")[3],
        side=round(pictures**0.5),
        frames=(size(f"{vision}pos_embed")[1] - 1) // max(pictures, 1),
        pooled=size("vision_proj.weight")[1],
        dim=size("vision_proj.weight")[0],
        words=size("text_proj.weight")[1],
        text_layers=min(fusing, default=max(layers, default=-1) + 1),
    )


def wanted(shape: Shape) -> dict[str, tuple[int, ...]]:
    """The weights of vision and of both projections, by their names in the checkpoint, with their sizes."""
    width, hidden, pictures = shape.width, shape.hidden, shape.side**2
    block = {
        "norm1.weight": (width,), "norm2.weight": (width,), "ls1.gamma": (width,), "ls2.gamma": (width,),
        "attn.qkv.weight": (3 * width, width), "attn.q_norm.weight": (width,), "attn.k_norm.weight": (width,),
        "attn.proj.weight": (width, width), "attn.proj.bias": (width,),
        "mlp.fc1.weight": (hidden, width), "mlp.fc1.bias": (hidden,),
        "mlp.fc2.weight": (width, hidden), "mlp.fc2.bias": (width,),
    }  # fmt: skip
    pool = {"proj.weight": (shape.pooled, width), "proj.bias": (shape.pooled,)}
    pool |= {f"{name}.weight": (width, width) for name in "qkv"} | {f"{name}_bias": (width,) for name in "qkv"}
    norms = {f"norm1_{name}.{part}": (width,) for name in "qkv" for part in ("weight", "bias")}
    vision = {
        "cls_token": (1, 1, width), "pos_embed": (1, 1 + shape.frames * pictures, width),
        "img_pos_embed": (1, 1 + pictures, width),
        "patch_embed.proj.weight": (width, 3, 1, shape.patch, shape.patch), "patch_embed.proj.bias": (width,),
        **{f"blocks.{n}.{name}": size for n in range(shape.layers) for name, size in block.items()},
        **{f"clip_projector.cross_attn.{name}": size for name, size in pool.items()},
        **{f"clip_projector.{name}": size for name, size in norms.items()},
    }  # fmt: skip
    return {f"vision_encoder.{name}": size for name, size in vision.items()} | {
        "vision_proj.weight": (shape.dim, shape.pooled), "vision_proj.bias": (shape.dim,),
        "text_proj.weight": (shape.dim, shape.words), "text_proj.bias": (shape.dim,),
    }  # fmt: skip


def read(file: Path) -> dict[str, Any]:
    """The weights of a checkpoint. Raises PlaceError for a file that is none, or that holds more than weights."""
    import pickle

    import torch

    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise PlaceError(f"{file}: it is no checkpoint of weights ({_line(error)}); get it anew") from error
    for key in ("model", "module"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise PlaceError(f"{file}: weights are expected under 'model' or 'module'; get it anew")
    return state


def taken(weights: Weights, sizes: Mapping[str, tuple[int, ...]], shape: Shape) -> dict[str, Any]:
    """Of a checkpoint the weights that are wanted.

    Raises PlaceError for those that are missing or of another size, and for what the checkpoint has beside them and
    beside what only its training needs: a network that lacks a part would answer too.
    """
    if missing := sorted(sizes.keys() - weights.keys()):
        raise _lacking(missing)
    for name, size in sizes.items():
        if tuple(weights[name].shape) != size:
            raise PlaceError(f"{name} is {tuple(weights[name].shape)} in the checkpoint, and {size} is wanted")
    if extra := sorted(name for name in weights.keys() - sizes.keys() if not _left(name, shape)):
        raise PlaceError(f"the checkpoint has {_some(extra)}, which this network does not; it is another model's")
    return {name: weights[name] for name in sizes}


def _left(name: str, shape: Shape) -> bool:
    layer = LAYER.match(name)
    return LEFT.fullmatch(name) is not None or (layer is not None and int(layer[1]) >= shape.text_layers)


def _lacking(names: Sequence[str]) -> PlaceError:
    return PlaceError(f"the checkpoint lacks {_some(names)}; it is another model's, or not whole")


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


KERNELS: Mapping[str, str] = {"eager": "MATH", "flash_attention_2": "FLASH_ATTENTION"}
"""Ways to compute attention, by transformers' names, and what torch calls them; by any other name torch chooses."""


class Words:
    """The text tower on a device, ready to answer."""

    def __init__(self, checkpoint: Path, text: Callable[[], tuple[Any, Any]], *, dtype: str, device: str) -> None:
        """`text` loads the configuration and the tokenizer of the BERT that the text tower was made from.

        Raises PlaceError, of the checkpoint's name, for weights that are not what they must be.
        """
        import torch

        state = read(checkpoint)
        self.checkpoint, self.device, self.dtype = checkpoint, device, getattr(torch, dtype)
        config, self.tokenizer = text()
        try:
            self.shape = shape_of(state)
            self.bert = self._bert(config)
            inner = {f"text_encoder.bert.{name}": tuple(w.shape) for name, w in self.bert.state_dict().items()}
            found = taken(state, {**wanted(self.shape), **inner}, self.shape)
        except PlaceError as error:
            raise PlaceError(f"{checkpoint}: {error}") from error
        self.bert.load_state_dict({name.removeprefix("text_encoder.bert."): found.pop(name) for name in inner})
        self.bert.to(self.device, self.dtype).eval()
        self.weights = {name: weight.to(self.device, self.dtype) for name, weight in found.items() if self._own(name)}
        self.temp = state.get("temp")

    def _own(self, name: str) -> bool:
        """Whether it computes with a weight."""
        return name.startswith("text_proj.")

    def _bert(self, config: Any) -> Any:
        from transformers import BertModel

        config.num_hidden_layers = self.shape.text_layers
        return BertModel(config, add_pooling_layer=False)

    @property
    def scale(self) -> float:
        """What a cosine of a text and a clip is multiplied by, as the model was trained. Raises PlaceError."""
        if self.temp is None:
            raise PlaceError(f"{self.checkpoint}: the checkpoint lacks temp, by which cosines become probabilities")
        return 1 / float(self.temp)

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """Of texts, unit vectors: float32 (n, dim)."""
        import torch

        told = self.tokenizer(list(words), add_special_tokens=False, truncation=True, max_length=WORDS - 1)["input_ids"]
        # a text was trained on with a token before it, and with none behind it
        rows = [[self.tokenizer.cls_token_id, *ids] for ids in told]
        ids = torch.tensor([row + [self.tokenizer.pad_token_id] * (WORDS - len(row)) for row in rows])
        seen = torch.tensor([[1] * len(row) + [0] * (WORDS - len(row)) for row in rows])
        with torch.inference_mode():
            said = self.bert(input_ids=ids.to(self.device), attention_mask=seen.to(self.device))
            return self._unit(said.last_hidden_state[:, 0], "text_proj")

    def _unit(self, pooled: Any, projection: str) -> np.ndarray:
        from torch.nn.functional import normalize

        vectors = _linear(self.weights, projection, pooled).float()
        unit: np.ndarray = normalize(vectors, dim=-1).cpu().numpy()
        return unit


class Network(Words):
    """Both towers."""

    def __init__(
        self,
        checkpoint: Path,
        text: Callable[[], tuple[Any, Any]],
        *,
        heads: int,
        dtype: str,
        device: str,
        attention: str = "auto",
        compiled: bool = False,
    ) -> None:
        """As the text tower; `heads` of attention are those of the vision tower."""
        super().__init__(checkpoint, text, dtype=dtype, device=device)
        self.heads, self.kernel = heads, KERNELS.get(attention)
        self.vision: Any = devices.compiled(vision, device) if compiled else vision

    def _own(self, name: str) -> bool:  # noqa: ARG002
        return True

    def clips(self, frames: np.ndarray) -> np.ndarray:
        """Of clips, uint8 (n, t, h, w, 3) in RGB, unit vectors: float32 (n, dim)."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        chosen = nullcontext() if self.kernel is None else sdpa_kernel(getattr(SDPBackend, self.kernel))
        with torch.inference_mode(), chosen:
            pixels = torch.from_numpy(frames).to(self.device).float() / 255
            pixels = (pixels - pixels.new_tensor(MEAN)) / pixels.new_tensor(DEVIATION)
            seen = self.vision(self.weights, self.shape, self.heads, pixels.permute(0, 4, 1, 2, 3).to(self.dtype))
            return self._unit(seen, "vision_proj")


# the vision tower (Wang et al., InternVideo2: Scaling Foundation Models for Multimodal Video Understanding, 2024)


def vision(weights: Weights, shape: Shape, heads: int, pixels: Any) -> Any:
    """What the vision tower makes of clips (n, 3, t, h, w): (n, pooled); of one picture, it has places of its own."""
    import torch
    from torch.nn.functional import conv3d

    name = "vision_encoder."
    patches = conv3d(
        pixels,
        weights[f"{name}patch_embed.proj.weight"],
        weights[f"{name}patch_embed.proj.bias"],
        stride=(1, shape.patch, shape.patch),
    )
    x = patches.flatten(2).transpose(1, 2)  # in order of time, then of rows
    x = torch.cat([weights[f"{name}cls_token"].expand(len(x), -1, -1), x], dim=1)
    x = x + weights[f"{name}{'img_pos_embed' if pixels.shape[2] == 1 else 'pos_embed'}"]
    for n in range(shape.layers):
        x = _block(weights, f"{name}blocks.{n}.", heads, x)
    return _pool(weights, f"{name}clip_projector.", x)


def _block(weights: Weights, name: str, heads: int, x: Any) -> Any:
    """A layer: attention, then two linear maps, each scaled and added to what came in."""
    from torch.nn.functional import gelu

    inner = partial(_linear, weights)
    normed = _rms(weights[f"{name}norm1.weight"], x)
    q, k, v = inner(f"{name}attn.qkv", normed).chunk(3, dim=-1)
    q, k = (_rms(weights[f"{name}attn.{which}_norm.weight"], one) for which, one in (("q", q), ("k", k)))
    x = x + _scaled(weights[f"{name}ls1.gamma"], inner(f"{name}attn.proj", _attend(heads, q, k, v)))
    hidden = gelu(inner(f"{name}mlp.fc1", _rms(weights[f"{name}norm2.weight"], x)))
    return x + _scaled(weights[f"{name}ls2.gamma"], inner(f"{name}mlp.fc2", hidden))


def _pool(weights: Weights, name: str, x: Any) -> Any:
    """Attention of the mean of all patches to each: (n, patches, width) to (n, pooled)."""
    from torch.nn.functional import layer_norm, linear

    def side(which: str, what: Any) -> Any:
        norm = f"{name}norm1_{which}"
        normed = layer_norm(what, what.shape[-1:], weights[f"{norm}.weight"], weights[f"{norm}.bias"], 1e-5)
        inner = f"{name}cross_attn.{which}"
        return linear(normed, weights[f"{inner}.weight"], weights[f"{inner}_bias"])

    found = _attend(POOLING_HEADS, side("q", x.mean(1, keepdim=True)), side("k", x), side("v", x))
    return _linear(weights, f"{name}cross_attn.proj", found)[:, 0]


def _linear(weights: Weights, name: str, x: Any) -> Any:
    from torch.nn.functional import linear

    return linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def _attend(heads: int, q: Any, k: Any, v: Any) -> Any:
    """Attention of (n, any, width) to (n, patches, width), in heads."""
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = (one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in (q, k, v))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _rms(weight: Any, x: Any, eps: float = 1e-6) -> Any:
    """Over all heads together, in float32."""
    import torch

    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def _scaled(gamma: Any, x: Any) -> Any:
    """In float32: the factors are as small as 1e-5 when training begins."""
    return (x.float() * gamma.float()).to(x.dtype)
