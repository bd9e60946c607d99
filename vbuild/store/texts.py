"""Small text files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from vbuild.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def replace(path: Path, text: str, *, remedy: str = "fix the rights of the store") -> None:
    """Writes a file durably, in place of what was there. Raises StoreError if it cannot."""
    private = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with private.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        private.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: it cannot be written ({error.strerror}); {remedy}") from error
