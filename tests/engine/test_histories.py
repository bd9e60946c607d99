"""Whatever has happened to a dataset, it is what a build from nothing would have made of it."""

import random
import shutil
from collections import ChainMap

import made
import numpy as np
import pytest
from project import Project, ran, relative

from vbuild.config import FailurePolicy
from vbuild.dataset.tables import targets
from vbuild.dataset.tables.failures import failing
from vbuild.decisions.balance import Balance
from vbuild.decisions.cluster import Cluster
from vbuild.decisions.dedup import Dedup
from vbuild.decisions.folds import Folds
from vbuild.engine.session import Session
from vbuild.engine.walk import walk
from vbuild.executor.config import Local
from vbuild.split.fixed_stride import FixedStride

HISTORIES = 200
AT_ONCE = 5
STEPS = 6

ALWAYS = 40
"""Histories of the default run; the others are for the slow one."""

IN_WORKERS = (3, 103, 163)
"""Histories that are built in two processes; the others in the test's own."""

PREDICATES = {
    "long": ("duration_s > 0.9",),
    "dark": ("tone_mean > 50", "tone_mean > 50 or tone_mean is null", "tone_mean between 40 and 160"),
    "near": ("point[1] < 0.9 and tone_step > 0",),
    "wordy": ("word_length > 16", "length(word) > 20 and word like '%3%'", "word_length + tone_step <> 19"),
    "sized": ("pack_size > 0 and pack_bytes % 5 <> 1",),
}
"""Some read what is measured, some what stands behind the dedup."""

PLACED = {
    "kind": ("kind <> 0", "kind_distance < 0.002 or kind is null", "kind_distance > 0"),
    "fold": ("fold = 'train'", "fold <> 'val'"),
}
"""Decision → conditions on the columns that it makes."""


class History:
    """Two datasets over one store, to which things happen."""

    def __init__(self, root, pool, seed):
        self.random, self.root, self.pool = random.Random(seed), root, pool
        self.local = Local(workers=2 if seed in IN_WORKERS else 0)
        self.placing = seed % AT_ONCE > 1
        """Whether clips are clustered, capped and put into folds too."""
        stages = {
            "tone": made.Tone(),
            "point": made.Point(),
            "print": made.Print(),
            "dedup": Dedup(of="point", eps=0.001),
            "word": made.Word(of="tone"),
            "pack": made.Pack(),
        }
        self.projects = [
            Project(root, stages, store=root / "store", name=name, videos=root / f"videos-{name}") for name in "ab"
        ]
        for project in self.projects:
            project.local = self.local
            for _ in range(2):
                self.add(project)

    def step(self):
        """Something happens to one of the two; what it was, for people."""
        project = self.random.choice(self.projects)
        files = [self.add, self.add, self.remove, self.rename, self.replace, self.copy, self.hand_over]
        decisions = [self.decide, self.decide, self.predicate, self.predicate, self.predicate]
        decisions += [self.cluster, self.balance, self.balance, self.fold, self.second] if self.placing else []
        stages = [self.parameter, self.parameter, self.cut, self.stage, self.shard]
        change = self.random.choice([*files, *decisions, *stages])
        said = change(project)
        return project, f"{project.name}: {change.__name__} {said}"

    def files(self, project):
        return sorted(path for path in project.videos.rglob("*") if path.is_file())

    def add(self, project):
        name = f"{self.random.randrange(100):02}.mp4"
        return project.put(name, self.random.choice(self.pool)).name

    def remove(self, project):
        files = self.files(project)
        if len(files) < 2:
            return self.add(project)
        gone = self.random.choice(files)
        gone.unlink()
        return gone.name

    def rename(self, project):
        path = self.random.choice(self.files(project))
        return path.rename(project.videos / f"{self.random.randrange(100):02}-moved.mp4").name

    def replace(self, project):
        path = self.random.choice(self.files(project))
        return project.put(path.name, self.random.choice(self.pool)).name

    def copy(self, project):
        path = self.random.choice(self.files(project))
        return project.put(f"{self.random.randrange(100):02}-copy.mp4", path).name

    def hand_over(self, project):
        other = self.projects[1 - self.projects.index(project)]
        return project.put(f"{self.random.randrange(100):02}.mp4", self.random.choice(self.files(other))).name

    def decide(self, project):
        of = self.random.choice(["point", "point", "print"])
        project.stages["dedup"] = Dedup(
            of=of,
            eps=self.random.choice([0.0, 0.001, 0.03, 0.1]),
            reach=self.random.choice([None, 0.2]) if of == "point" else None,
            overlap=self.random.choice([0.2, 0.5, 1.0]),
            keep=self.random.choice(["", "tone_mean desc", "tone_step, duration_s desc", "tone_mean nulls first"]),
            rule=self.random.choice(["greedy", "greedy", "dominance"]),
        )
        return project.stages["dedup"]

    def predicate(self, project):
        name = self.random.choice(list(PREDICATES))
        if project.where.pop(name, None) is None or self.random.random() < 0.5:
            project.where[name] = self.random.choice(PREDICATES[name])
        return project.where

    def cluster(self, project):
        k, sample = self.random.choice([(None, 65536), (2, 65536), (3, 4), (5, 8)])
        project.stages["kind"] = Cluster(of="point", k=k, sample=sample, seed=self.random.randrange(2))
        self.condition(project, "kind")
        return project.stages["kind"], project.where

    def fold(self, project):
        shares = self.random.choice([{"train": 0.5, "val": 0.25, "test": 0.25}, {"train": 0.7, "val": 0.3}])
        by = self.random.choice(["video_id", "uri", "tone_step", *({"kind"} & project.stages.keys())])
        project.stages["fold"] = Folds(by=by, shares=shares, seed=self.random.randrange(2))
        self.condition(project, "fold")
        return project.stages["fold"], project.where

    def condition(self, project, name):
        """A condition on what a decision makes, or none any more."""
        if project.where.pop(f"on_{name}", None) is None:
            project.where[f"on_{name}"] = self.random.choice(PLACED[name])

    def balance(self, project):
        columns = [("uri",), ("tone_step",), ("tone_step", "video_id"), ("word_length",)]
        columns += [(name,) for name in ("kind", "fold") if name in project.stages]
        rule = Balance(
            of=self.random.choice(columns),
            most=self.random.choice([1, 2, 3]),
            share=self.random.choice([None, 0.3]),
            keep=self.random.choice(["", "tone_mean desc", "duration_s, tone_step"]),
        )
        name = self.random.choice(["few", "fewer"])
        project.stages[name] = rule
        if self.random.random() < 0.3:
            del project.stages[name]
        return name, project.stages.get(name)

    def second(self, project):
        if project.stages.pop("again", None) is None:
            keep = self.random.choice(["", *(["kind_distance"] if "kind" in project.stages else [])])
            project.stages["again"] = Dedup(of="point", eps=0.02, keep=keep, at=self.random.choice([None, "annotate"]))
        return project.stages.get("again")

    def parameter(self, project):
        name, stage = self.random.choice(
            [
                ("tone", made.Tone(blind=self.random.choice([-1.0, 70.0]), gain=self.random.choice([1.0, 0.8]))),
                ("point", made.Point(fails=self.random.choice([-1.0, 60.0]))),
                ("word", made.Word(of="tone", fails=self.random.choice([None, 0, 1]))),
                ("word", made.Word(of="tone", style=self.random.choice(["step", "a clip of Step"]))),
                ("pack", made.Pack(level=self.random.randrange(1, 3))),
            ]
        )
        project.stages[name] = stage
        return stage

    def cut(self, project):
        project.split = FixedStride(length=self.random.choice([0.5, 1.0, 1.5]), min=0.5)
        return project.split

    def stage(self, project):
        if project.stages.pop("length", None) is None:
            project.stages["length"] = made.Length(of="word", clips=self.random.choice(["kept", "all"]))
        return project.stages.keys()

    def shard(self, project):
        project.shard = self.random.choice([1, 2, 256])
        return project.local

    def check(self, project, said):
        """The dataset equals one from nothing, and to build it again runs nothing and writes nothing."""
        retry = "always" if self.random.random() < 0.2 else "never"
        project.build(failures=FailurePolicy(retry=retry))
        fresh = Project(self.root, project.stages, where=project.where, split=project.split, name=project.name)
        fresh.videos, fresh.store = project.videos, self.root / "fresh"
        assert project.tables() == wanted(fresh), said
        shutil.rmtree(fresh.store)
        versions = project.versions()
        made.CALLS.clear()
        report = project.again()
        assert not ran(report), said
        assert not made.CALLS, said
        assert report.up_to_date, said
        assert project.versions() == versions, said


def wanted(project):
    """The tables that a build shall leave, before they are written."""
    session = Session(project.config(), "a build")
    walk(session, lambda _: None)
    found = {}
    for target in targets(session, failing(session)):
        everything = np.arange(len(target.keys))
        groups = [group.values(everything).to_pylist() for group in target.groups]
        rows = [dict(ChainMap(*parts)) for parts in zip(*groups, strict=True)]
        found[target.table] = {
            key: {target.key: key, **row} for key, row in zip(target.keys.to_pylist(), rows, strict=True)
        }
    return relative(found)


@pytest.mark.parametrize(
    "first",
    [pytest.param(first, marks=() if first < ALWAYS else pytest.mark.slow) for first in range(0, HISTORIES, AT_ONCE)],
)
def test_a_dataset_is_what_a_build_from_nothing_makes_of_it(first, tmp_path, pool):
    """After each of six random steps, in each of five histories."""
    for seed in range(first, first + AT_ONCE):
        history = History(tmp_path / str(seed), pool, seed)
        told = []
        for project in history.projects:
            history.check(project, "begin")
        for _ in range(STEPS):
            project, said = history.step()
            told.append(said)
            history.check(project, told)
        shutil.rmtree(history.root)
