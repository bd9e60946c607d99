"""The verb `stages`: what stages, splitters and decisions there are, and what each takes and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.cli import arguments
from vbuild.cli.printer import document, table, wrapped

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.decisions.decision import Decision
    from vbuild.described import Described
    from vbuild.stage import Stage

ABOUT = "every stage, splitter and decision; of one, its parameters and columns; of a dataset, its instances"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_keys(
        parser,
        "a stage, a splitter, the path of a class, or a dataset and its keys (+dataset=NAME is always a dataset)",
    )
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints what was asked for. Raises UsageError for a name of which there is nothing."""
    name = args.keys[0] if args.keys else ""
    if not name:
        return _all(json=args.json)
    if len(args.keys) == 1 and "=" not in name and (one := _one(name)) is not None:
        print(document(one) if args.json else _told(one), end="")
        return 0
    return _instances(args)


def _all(*, json: bool) -> int:
    from vbuild.described import shipped

    every = [*shipped().values()]
    if json:
        print(document(every), end="")
        return 0
    for title, kind in (("stages.NAME", "stage"), ("stages.NAME, decisions", "decision"), ("split", "splitter")):
        rows = [[d.name, d.phase, d.about] for d in every if d.kind == kind]
        print(f"{title}:")
        print(table(["name", "phase", "what it does"], rows), end="\n")
    print(wrapped("vbuild stages NAME tells parameters, defaults, units and columns of one"), end="")
    return 0


def _one(name: str) -> Described | None:
    """A stage by its name or by the path of its class; None for a name that may be a dataset's."""
    from vbuild.check import hint
    from vbuild.contract import member_class
    from vbuild.declared import names
    from vbuild.described import described, shipped, shipped_files
    from vbuild.errors import UsageError

    if name in shipped_files():
        return shipped()[name]
    if name in names():
        return None
    if "." in name:
        return described(member_class(name, "stages"), name.rpartition(".")[2].lower())
    raise UsageError(f"{name}: there is no such stage, splitter or dataset{hint(name, [*shipped_files(), *names()])}")


def _told(one: Described) -> str:
    """All that a stage says of itself."""
    used = f"split={one.name}" if one.kind == "splitter" else f"stage@stages.NAME={one.name}"
    version = "" if one.version is None else f", version {one.version}"
    lines = [f"{one.name}: a {one.kind}{f' of phase {one.phase}' if one.phase else ''}{version}\n"]
    lines += [f"  {used}, or _target_: {one.target}\n\n"]
    lines += [wrapped(" ".join(part.split())) + "\n" for part in one.text.split("\n\n")]
    rows = [
        [
            p.name,
            p.kind,
            "(needed)" if p.default is None else p.default,
            {"parameter": "yes", "weights": "what they are"}.get(p.role, ""),
            p.about,
        ]
        for p in one.parameters
    ]
    lines.append(table(["parameter", "values", "default", "in keys", "what it is"], rows))
    if one.columns:
        named = {name.replace(one.name, "NAME", 1): kind for name, kind in one.columns.items()}
        lines += ["\n", table(["column", "type"], [[*row] for row in named.items()])]
    return "".join(lines)


def _instances(args: Namespace) -> int:
    """The stages of a dataset, in the order in which they run, and its decisions."""
    from vbuild.decisions.decision import Decision
    from vbuild.described import as_yaml, parameters, shown_columns
    from vbuild.plan.order import arrange

    config = arguments.config_of(args, sourced=False)
    order = arrange(config, {})
    places = [i.name for i in (*order.video_stages[1:-1], *order.clip_stages)]
    stages = config.by_path()
    ranked = sorted(stages, key=lambda path: _place(path, places))
    rows: list[dict[str, Any]] = []
    for path in ranked:
        stage = stages[path]
        name = path.removeprefix("stages.")
        values = {p.name: (as_yaml(getattr(stage, p.name)), p) for p in parameters(type(stage))}
        rows.append(
            {
                "instance": path,
                "stage": stage.title(),
                "phase": "" if path == "split" else stage.at or stage.phase,
                "set": {n: v for n, (v, p) in values.items() if v != p.default},
                "values": {n: v for n, (v, _) in values.items()},
                "columns": [] if path == "split" else [*_columns(stage, shown_columns(stage, name))],
            }
        )
    rows += [_decision(name, one) for name, one in config.under(Decision).items()]
    rows += [{"instance": f"where.{name}", "stage": "predicate", "phase": "", "set": {"": sql}, "values": {"": sql},
              "columns": []} for name, sql in config.where.items()]  # fmt: skip
    if args.json:
        print(document(rows), end="")
        return 0
    cells = [[r["instance"], r["stage"], r["phase"], _set(r["set"]), ", ".join(r["columns"])] for r in rows]
    print(table(["instance", "stage", "phase", "set, other than the default", "columns"], cells), end="")
    return 0


def _decision(name: str, one: Decision) -> dict[str, Any]:
    """A decision as a row."""
    from vbuild.described import as_yaml, parameters, shown_columns

    values = {p.name: (as_yaml(getattr(one, p.name)), p) for p in parameters(type(one))}
    return {
        "instance": f"stages.{name}",
        "stage": type(one).__name__.lower(),
        "phase": one.at or one.phase,
        "set": {n: v for n, (v, p) in values.items() if v != p.default},
        "values": {n: v for n, (v, _) in values.items()},
        "columns": [*shown_columns(one, name)],
    }


def _place(path: str, places: list[str]) -> int:
    """Where an instance stands: stages of videos, the split, stages of clips, decisions."""
    name = path.removeprefix("stages.")
    return places.index(name) if name in places else -1 if path == "split" else len(places)


def _columns(stage: Stage, columns: dict[str, str]) -> dict[str, str]:
    """Those that stand in a table: a stage of videos has some only where it makes files."""
    return columns if stage.scope == "clip" or any(name.endswith("_uri") for name in columns) else {}


def _set(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" if name else value for name, value in values.items())
