"""Every stage and splitter that is shipped, and for each of its parameters another value that it takes."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import os
import tempfile
import typing
from pathlib import Path

import vbuild
from vbuild.errors import UsageError
from vbuild.models.server import Server
from vbuild.recipes import is_param, recipe
from vbuild.stage import Stage, Windows
from vbuild.stages.embed_server import EmbedServer

FOLDERS = ("stages", "split")


def classes() -> list[type[Stage]]:
    """The stages that are shipped, in order of their modules."""
    found = []
    for folder in FOLDERS:
        for path in sorted((Path(vbuild.__file__).parent / folder).glob("[!_]*.py")):
            module = importlib.import_module(f"vbuild.{folder}.{path.stem}")
            found += [
                cls
                for cls in vars(module).values()
                if inspect.isclass(cls) and issubclass(cls, Stage) and cls.__module__ == module.__name__
            ]
    return found


def made(cls: type[Stage], **values) -> Stage:
    """A stage with some values, and with whatever it cannot be without."""
    hints = typing.get_type_hints(cls)
    given = standing(cls) if any(f.metadata.get("weights") for f in dataclasses.fields(cls)) else {}
    needed = given | {
        f.name: next(values_of(cls, f.name, hints[f.name], None))
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    return cls(**{**needed, **values})


def standing(cls: type[Stage]) -> dict[str, object]:
    """For a model of the hub a folder with what is known of one when a build is planned; its weights are none."""
    kind = (*getattr(cls, "types", ()), "clip")[0]
    folder = Path(tempfile.gettempdir()) / f"vbuild-model-{cls.title()}-{os.getuid()}"
    said = {
        "model_type": kind,
        "embed_dim": 8,
        "resolution": 8,
        "id2label": {"0": "a", "1": "b"},
        "architectures": ["XForImageClassification"],
    }
    for name, text in (("config.json", json.dumps(said)), ("preprocessor_config.json", PICTURES), ("model.bin", "")):
        folder.mkdir(exist_ok=True)
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)
    named = [f.name for f in dataclasses.fields(cls) if f.metadata.get("weights") and "revision" not in f.name]
    return dict.fromkeys(named, str(folder)) | ({"labels": ("one", "two")} if cls.title() == "tags" else {})


PICTURES = json.dumps({"size": {"height": 8, "width": 8}})


CAPTIONERS = ("caption_server", "internvl", "qwen2_5_vl", "qwen3_vl", "smolvlm2")

COSMOS = ("cosmos_embed1_224p", "cosmos_embed1_448p")

ASKED = ("camera_motion", "semantic_filter", "type_classifier")

PRESETS = {"siglip2": "siglip", **dict.fromkeys(CAPTIONERS, "caption"), **dict.fromkeys(ASKED, "ask"),
           **dict.fromkeys(COSMOS, "cosmos_embed1")}  # fmt: skip
"""Names in `conf/stage` that are of another one's stage."""


def candidates(kind, value):
    """Values of a type other than one, near ones first."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        yield from (a for a in args if a != value)
    elif origin is tuple:
        kinds = [args[0], args[0]] if args[-1] is Ellipsis else args
        yield tuple(next(candidates(k, v)) for k, v in zip(kinds, value or (None,) * len(kinds), strict=False))
    elif origin is not None and isinstance(origin, type) and issubclass(origin, typing.Mapping | dict):
        yield {"g": "48"}
    elif args:
        for arg in args:
            yield from candidates(arg, value) if arg is not type(None) else ()
        if value is not None and type(None) in args:
            yield None
    elif dataclasses.is_dataclass(kind):
        yield kind(**{dataclasses.fields(kind)[0].name: 128})
    elif kind is bool:
        yield not value
    elif kind is int:
        yield from (n for base in (value or 0,) for n in (base + 1, base * 2, base - 1, 24, 640) if n != value)
    elif kind is float:
        base = value or 0.5
        yield from (x for x in (base * 1.25, base * 0.75, base + 0.5, base / 8) if x != value)
    elif kind is str:
        yield from ("other", "4M", "fast")


def values_of(cls, name, kind, value):
    """Values of a parameter other than one; of a file two that there are."""
    if (cls.title(), name) == ("transcode", "size"):
        yield from (size for size in ((64, 48), (1280, 720)) if size != value)
        return
    texts = {"labels": ("b",), "aspects": ("1:1",), "prompt": "an image of {}", "refine": "once more: {caption}",
             "choices": {"people": ("none", "some")}, "maker": EmbedServer()}  # fmt: skip
    if name in texts:
        yield texts[name]
        return
    if (cls.title(), name) != ("scenes", "file"):
        yield from candidates(kind, value)
        return
    for number in (1, 2):
        path = Path(tempfile.gettempdir()) / f"vbuild-scenes-{number}.csv"
        path.write_text(f"video,time\na.mp4,{number}\n")
        if str(path) != value:
            yield str(path)


SERVED = {"model": None, "served": "a", "server": Server(base_url="http://127.0.0.1:1/v1")}

WITH = {
    ("transcode", "like"): {"codec": "libopenh264"},
    ("motion", "parity"): {"by": "vectors"},
    ("scenes", "max_mode"): {"max": 10.0},
    ("tags", "maker"): {"scale": "cosine"},
    ("transcode", "fit"): {"size": (64, 48)},
    ("transcode", "upscale"): {"short_side": 720},
    ("transcode", "repeat"): {"fps": 24.0},
    **dict.fromkeys(((name, key) for name in ("ask", "caption", "enhance") for key in ("served", "server")), SERVED),
    ("caption", "payload"): SERVED | {"windows": Windows(frames=None), "of": "media"},
    **dict.fromkeys(((name, "quality") for name in ("ask", "caption")), SERVED),
    **{key: {"short_side": None, "size": (32, 32)} for key in ((name, "size") for name in ("ask", "caption"))},
}
"""Stage and parameter → what else must be said for another value to be taken."""


def others(cls: type[Stage]) -> dict[str, tuple[Stage, Stage | None]]:
    """Parameter → a stage, and the same with another value of it; None where no value was found that it takes."""
    hints = typing.get_type_hints(cls)
    found: dict[str, tuple[Stage, Stage | None]] = {}
    for f in dataclasses.fields(cls):
        if is_param(f):
            base = made(cls, **WITH.get((cls.title(), f.name), {}))
            values = values_of(cls, f.name, hints[f.name], getattr(base, f.name))
            found[f.name] = base, next((s for v in values if (s := _taken(base, f.name, v))), None)
    return found


def _taken(base: Stage, name: str, value) -> Stage | None:
    try:
        return dataclasses.replace(base, **{name: value})
    except (UsageError, ValueError):
        return None


def all_recipes() -> list[str]:
    """The ids of the recipes of every stage, as it is and with each parameter changed."""
    pairs = [pair for cls in classes() for pair in others(cls).values()]
    return [recipe(stage).id for pair in pairs for stage in pair if stage is not None]
