"""What people type and write in yaml becomes a checked configuration, or one line that says what is wrong."""

import re
from pathlib import Path

import pytest
import yaml
from shipped import PRESETS

from vbuild.compose import load
from vbuild.config import Config
from vbuild.declared import CONF, datasets
from vbuild.errors import UsageError

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VBUILD_STORE", raising=False)


def own(name: str, text: str, group: str = "dataset") -> None:
    """Writes a yaml of the user's own."""
    path = Path("conf", group, f"{name}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


OWN = """\
# @package _global_
# Mine
defaults:
  - /stage@stages.motion: motion
  - /stage@stages.look: quality
  - _self_
source: {path: .}
where:
  still: motion_mean >= 0.001
"""

CHILD = """\
# @package _global_
defaults:
  - mine
  - /stage@stages.caption: describe
  - _self_
where: {still: null, dark: look_brightness > 0.1}
stages: {motion: null}
"""


def test_every_packaged_dataset_composes():
    """Each file in conf/dataset makes a configuration under its own name."""
    for declared in datasets():
        assert load([f"+dataset={declared.name}", "source.path=."]).declared == declared.name


@pytest.mark.parametrize("kind", [p.stem for p in sorted((CONF / "stage").glob("*.yaml"))])
def test_every_stage_is_added_from_the_shell(kind):
    """Each file in conf/stage becomes a stage of a dataset that has none of that name."""
    config = load(["+dataset=folder", "source.path=.", f"stage@stages.extra={kind}"])
    assert type(config.stages["extra"]).__module__.endswith(f".{PRESETS.get(kind, kind)}")


@pytest.mark.parametrize("kind", [p.stem for p in sorted((CONF / "split").glob("*.yaml"))])
def test_every_splitter_is_chosen_from_the_shell(kind):
    """Each file in conf/split replaces the splitter."""
    extra = ["split.file=cuts.csv"] if kind == "scenes" else []
    if extra:
        Path("cuts.csv").write_text("video,time\n")
    config = load(["+dataset=folder", "source.path=.", f"split={kind}", *extra])
    assert type(config.split).__module__.endswith(f".{kind}")


@pytest.mark.parametrize("argument", ["+dataset=mine", "dataset=mine"])
def test_a_dataset_of_ones_own_is_found(argument):
    """`./conf` is on the search path, with a plus and without."""
    own("mine", OWN)
    config = load([argument])
    assert (config.name, config.declared) == ("mine", "mine")
    assert set(config.stages) == {"motion", "look"}
    assert [(d.name, d.about) for d in datasets() if d.name == "mine"] == [("mine", "Mine")]


def test_a_stage_of_ones_own_is_found(tmp_path):
    """A class in the working directory is a stage by its path, in yaml and in a group of one's own."""
    Path("mine_stage.py").write_text(
        "from dataclasses import dataclass\nfrom vbuild.stage import Stage\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Mine(Stage):\n"
        "    version = 1\n    phase = 'measure'\n    writes = {'': 'float32'}\n    level: int = 3\n"
        "    def run(self, clips, model):\n        return [{'': self.level} for _ in clips]\n"
    )
    own("mine", "_target_: mine_stage.Mine\nlevel: 4\n", group="stage")
    config = load(["+dataset=folder", "source.path=.", "stage@stages.extra=mine"])
    assert config.stages["extra"].level == 4
    assert config.stages["extra"].title() == "mine_stage.Mine"


def test_a_child_takes_away_and_adds():
    """A file that inherits takes a stage and a predicate away by null and adds others."""
    own("mine", OWN)
    own("child", CHILD)
    config = load(["+dataset=child"])
    assert set(config.stages) == {"look", "caption"}
    assert dict(config.where) == {"dark": "look_brightness > 0.1"}


def test_the_shell_takes_away_and_adds():
    """The same with overrides, each as it is typed."""
    own("mine", OWN)
    config = load(
        [
            "dataset=mine",
            "stages.motion=null",
            "where.still=null",
            "where.bright=look_brightness > 0.5",
            "split.length=3",
        ]
    )
    assert set(config.stages) == {"look"}
    assert dict(config.where) == {"bright": "look_brightness > 0.5"}
    assert config.split.length == 3


@pytest.mark.parametrize(
    "sql",
    [
        "motion_mean >= 0.002",
        "motion_mean is null or motion_mean > 1e-4",
        "uri like '%a=b,c%'",
        "caption = 'it''s {here} [now] (or) never'",
        'caption ~ "a\\d+"',
        "source_w*source_h>=1280*720 and not (source_fps<10)",
    ],
)
def test_sql_is_read_as_typed(sql):
    """Whatever a shell hands over as one word is the condition."""
    assert load(["+dataset=folder", "source.path=.", f"where.x={sql}"]).where["x"] == sql
    keep = f"case when {sql} then 0 else 1 end"
    assert load(["+dataset=folder", "source.path=.", f"stages.dedup.keep={keep}"]).stages["dedup"].keep == keep


@pytest.mark.parametrize("path", ["a=b", "a,b", "a b", "it's", "$HOME", "ünï"])
def test_paths_are_read_as_typed(path):
    """A path may hold what Hydra's grammar would read as its own."""
    Path(path).mkdir()
    assert load(["+dataset=folder", f"source.path={path}"]).source.path == (path,)


def test_several_paths_are_a_list():
    """A list of paths is one source."""
    assert load(["+dataset=folder", "source.path=[a,b]", "name=x"]).source.path == ("a", "b")


def test_names():
    """A dataset is called after its file, `folder` after the folder, and either otherwise by `name`."""
    Path("my videos").mkdir()
    assert load(["+dataset=folder", "source.path=my videos"]).name == "my-videos"
    assert load(["+dataset=folder", "source.path=my videos/", "name=other"]).name == "other"
    assert load(["+dataset=folder", "source.path=one.mp4"]).name == "one"


def test_the_store_comes_from_the_environment(monkeypatch, tmp_path):
    """`VBUILD_STORE` is the default store, and an override goes before it."""
    monkeypatch.setenv("VBUILD_STORE", "/tmp/elsewhere")
    assert load(["+dataset=folder", "source.path=."]).store == Path("/tmp/elsewhere")
    assert load(["+dataset=folder", "source.path=.", "store=here"]).store == tmp_path / "here"


@pytest.mark.parametrize("values", [("8", "8.0"), ("8", "'8'"), ("8", "+8e0")])
def test_numbers_are_what_the_schema_says(values):
    """8, 8.0 and "8" are one number to a field of numbers."""
    found = [load(["+dataset=folder", "source.path=.", f"split.length={v}"]).split for v in values]
    assert found[0] == found[1]


WRONG = {
    "+dataset=foldr": "there is no such dataset; did you mean 'folder'?",
    "splt.length=3": "splt: there is no such key; did you mean 'split'?",
    "split.lenth=3": "split.lenth: there is no such key; did you mean 'length'?",
    "split=fixed_strid": "split=fixed_strid: there is no such split",
    "split.length=long": "split.length='long': a number is expected",
    "split.length=": "split.length='': a number is expected",
    "split.length=-1": "split.length=-1.0: a clip must be longer",
    "split.length=.nan": "a number is expected",
    "split.limit=1.5": "split.limit=1.5: a whole number is expected",
    "stages.motoin.fps=3": "stages.motoin: there is no such stage; did you mean 'motion'?",
    "stages.motion.fsp=3": "stages.motion.fsp: there is no such key; did you mean 'fps'?",
    "stage@stages.x=motoin": "stage=motoin: there is no such stage; did you mean 'motion'?",
    "stages.transcode.codec=libx26": "it must be one of",
    "where.x=": "where.x='': a condition in SQL is expected",
    "where.Bad-Name=true": "a name starts with a small letter",
    "where.kept=true": "the name 'kept' is taken",
    "where.dedup=true": "a decision is called so too",
    "executor.workers=many": "executor.workers='many': a whole number is expected",
    "failures.retry=alwys": "did you mean 'always'?",
    "source.limit=x": "source.limit='x': a whole number is expected",
    "name=a/b": "a dataset's name is a folder's",
    "executor.workers=-1": "executor.workers=-1: must be 0 (none) or more processes",
    "shard=0": "shard=0: must be 1 or more videos",
    "executor.shard=9": "executor.shard: it is called shard now; write shard=9",
    "executor._target_=vbuild.executor.config.Locale": "there is no such class; did you mean 'Local'?",
    "executor._target_=vbuild.stage.Frames": "it is no executor",
    "source.limit=0": "source.limit=0: must be 1 or more videos",
    "source.path=[]": "source.path=[]: a folder, a list or a video is needed",
    "source.path=": "source.path=['']: a folder, a list or a video is needed",
    "failures.backoff=-1": "failures.backoff=-1.0: must be 0 or more seconds",
    "stages.motion.batch=0": "stages.motion.batch=0: must be 1 or more clips",
    "split.batch=-3": "split.batch=-3: must be 1 or more clips",
    "stages.motion.on=all": "stages.motion.on: it is called clips now; write clips: all",
    "split=7": "the name of one of its files, not a number",
    "split=null": "cannot be null",
    "word": "it is neither a command nor key=value",
    "stages=3": "stages",
    "split.length=[1": "it cannot be read",
}


@pytest.mark.parametrize("argument", WRONG)
def test_a_mistake_is_one_line(argument):
    """Every mistake names the key, what is wrong, and the nearest thing that is right."""
    arguments = [argument] if argument.startswith("+dataset") else ["+dataset=folder", "source.path=.", argument]
    with pytest.raises(UsageError) as raised:
        load(arguments)
    assert WRONG[argument] in str(raised.value)
    assert "\n" not in str(raised.value)


FILES = {
    "stages: {motion: {fps: 2}": "line 6: it is no YAML: expected ',' or '}'",
    "\tx: 1": "line 5: it is no YAML: found character",
    "stages: {motion: {fps: 2, fps: 3}}": "line 5: it is no YAML: found duplicate key fps",
    "name: \xff": "line 5: it is no UTF-8",
    "stages: {motion: {on: all}}": "stages.motion.on: it is called clips now; write clips: all",
    "where: {no: motion_mean > 0}": "where.False: YAML reads this name as false, as it does on, off, yes and no",
    "where: {1: motion_mean > 0}": "where.1: YAML reads this name as a number; put it in quotes",
    "where: {1.5: motion_mean > 0}": "where.1.5: YAML reads this name as a number; put it in quotes",
    "where: {null: motion_mean > 0}": "YAML reads a name in it as null",
    "stages: {transcode: {options: {1: 2}}}": "stages.transcode.options.1: YAML reads this name as a number",
    "12: x": "12: YAML reads this name as a number",
    "name: 007": "name=7: YAML reads it as a number or a date, not as a text; put it in quotes",
}


@pytest.mark.parametrize("line", FILES)
def test_a_mistake_in_a_file_is_one_line(line):
    """Of what is no YAML the file and the line are named, and of names that YAML takes for something else the key."""
    head = "# @package _global_\ndefaults:\n  - folder\n  - _self_\n"
    own("wrong", "")
    Path("conf/dataset/wrong.yaml").write_bytes(f"{head}{line}\n".encode("latin-1"))
    with pytest.raises(UsageError) as raised:
        load(["+dataset=wrong", "source.path=."])
    assert FILES[line] in str(raised.value)
    assert "\n" not in str(raised.value)
    if "line" in FILES[line].split(":")[0]:
        assert str(raised.value).startswith(f"{Path.cwd()}/conf/dataset/wrong.yaml line ")
    assert "wrong" in {declared.name for declared in datasets()}


def test_a_name_of_digits_is_a_name():
    """On the command line, and of a file; YAML takes 007 for 7."""
    own("2024", OWN)
    assert load(["+dataset=2024"]).name == "2024"
    assert load(["+dataset=2024", "name=007"]).name == "007"


def test_what_is_missing_is_named():
    """A value that has to be given is asked for by its key, and no dataset by the list of them."""
    with pytest.raises(UsageError, match=r"^source\.path: a value is needed, give source\.path=…$"):
        load(["+dataset=folder"])
    names = "curator, curator_light, demo, folder, world, world_light"
    with pytest.raises(UsageError, match=rf"no dataset is named; give \+dataset=NAME; there are {names}$"):
        load([])
    with pytest.raises(UsageError, match="several values are given"):
        load(["+dataset=demo,folder"])
    with pytest.raises(UsageError, match="it is given twice"):
        load(["+dataset=demo", "+dataset=folder"])


def yaml_blocks() -> list[str]:
    """Every dataset file that README shows."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if "@package _global_" in block]


def test_what_readme_shows_composes():
    """README shows dataset files, and each makes a configuration."""
    blocks = yaml_blocks()
    assert blocks
    for number, block in enumerate(blocks):
        own(f"shown{number}", block)
        assert isinstance(load([f"+dataset=shown{number}", "source.path=."]), Config)


def test_every_key_of_a_stage_is_told_of_in_its_yaml():
    """The comment over a stage or a splitter names each of its parameters."""
    for path in [*(CONF / "stage").glob("*.yaml"), *(CONF / "split").glob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        if f"Keys: see {PRESETS.get(path.stem)}." in text:
            continue
        keys = set(yaml.safe_load(text)) - {"_target_", "defaults"}
        assert all(re.search(rf"\b{key}\b", text.split("_target_")[0]) for key in keys), path


def test_nothing_is_left_in_the_working_directory(tmp_path):
    """To compose writes nothing."""
    load(["+dataset=folder", "source.path=."])
    assert not list(tmp_path.iterdir())
