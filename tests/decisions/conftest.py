"""Footage for the tests of decisions."""

from pathlib import Path

import pytest
from films import coloured


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> list[Path]:
    """Twelve videos of 1 to 3 s, a colour a second, some colours in several of them."""
    return coloured(tmp_path_factory.mktemp("pool"))
