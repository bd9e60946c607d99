"""What a video file holds: its span, size, rates, codecs and sound."""

from __future__ import annotations
