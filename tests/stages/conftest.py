"""Tiny models and footage for the tests of stages with a network."""

import models_tiny
import pytest
from embedded import clip_of, film


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Kind → the folder of a tiny model of it, made when it is first asked for."""
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = models_tiny.make(tmp_path_factory.mktemp("models") / kind, kind)
        return made[kind]

    return folder


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Three videos of a second."""
    folder = tmp_path_factory.mktemp("embedded")
    return [film(folder, seed) for seed in range(3)]


@pytest.fixture(scope="module")
def network(stage):
    """The model of the stage that a module tests."""
    return stage.load()


@pytest.fixture(scope="module")
def clips(stage, films):
    """What a pass gives that stage."""
    return [clip_of(path, stage.asks()) for path in films]
