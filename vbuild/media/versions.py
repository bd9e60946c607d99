"""Versions of the code that shapes what stages write; they enter the recipes of the stages that use it.

They stand apart from that code because the planner reads them and must not load av.
"""

PROBE = 2
"""What `probe` says of a file: its spans, sizes, rates and turns."""

DEINTERLACE = 1
"""How interlaced frames are made whole, where `decode.deinterlace` asks for it."""

PASSES = 2
"""Which frames a pass picks, how it turns, shrinks and converts their pixels and the sound, and reads vectors."""

ENCODE = 2
"""What the encoder does beyond the options that it is given: timing, pixel format, sound, container."""

STILLS = 2
"""Which frames are chosen to be kept, how they are shrunk, and how image files are made of them."""

LOUDNESS = 2
"""How loudness is measured."""

PREVIEW = 1
"""How an animation is made of pictures."""

COVERS = {
    "probe": ("probe", "files", "logs", "line", "orientation"),
    "passes": (
        "passes",
        "reader",
        "line",
        "clip",
        "pixels",
        "colours",
        "orientation",
        "sampling",
        "sound",
        "soundtrack",
        "copying",
        "encode",
        "options",
        "pace",
        "files",
        "logs",
        "probe",
        "graphs",
        "light",
        "hardware",
        "vectors",
    ),
    "deinterlace": ("reader", "line", "graphs", "files", "logs"),
    "encode": (
        "encode",
        "line",
        "colours",
        "graphs",
        "options",
        "pace",
        "sampling",
        "soundtrack",
        "sound",
        "copying",
        "files",
        "logs",
    ),
    "preview": ("preview",),
    "stills": ("stills", "images", "colours", "graphs"),
    "loudness": (
        "loudness",
        "logs",
    ),
}
"""The modules of `vbuild.media` whose code each number stands for, by its name in `uses`.

A network's number stands for the module of `vbuild.models` of the same name.
"""
