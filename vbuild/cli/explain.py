"""The verb `explain`: what keys are made of, and why actions hit or miss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbuild.cli import arguments
from vbuild.cli.printer import document, hanging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbuild.cli.arguments import Namespace, Parser
    from vbuild.plan.explain import ExplainedAction, Explanation, Stands

ABOUT = "what keys are made of, and why actions hit or miss"


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    arguments.add_keys(parser)
    parser.add_argument("--clip", metavar="ID", help="of one clip: its id, or the beginning of it")
    parser.add_argument("--video", metavar="URI", help="of one video: its path, or the end of it")
    parser.add_argument("--stage", metavar="NAME", help="of one stage")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Prints what was asked for."""
    config = arguments.config_of(args)
    from vbuild.engine import explain

    explanation = explain(config, clip=args.clip, video=args.video, stage=args.stage)
    if args.json:
        print(document(explanation), end="")
    else:
        print("".join(map(hanging, explained(explanation).splitlines())), end="")
    return 0


def explained(explanation: Explanation) -> str:
    """What people read of an explanation."""
    lines = [explanation.subject] if explanation.subject else []
    for stage in explanation.stages:
        lines += _stage_lines(stage)
    for action in explanation.actions:
        lines += _action_lines(action)
    return "\n".join(lines)


def _stage_lines(stage: Stands) -> list[str]:
    made = {name: value for name, value in stage.manifest.items() if not isinstance(value, dict)}
    fields = [f"{name} {value}" for name, value in made.items()]
    for name, values in stage.manifest.items():
        fields += [f"{name}: {_values(values)}"] if isinstance(values, dict) and values else []
    counts = f"{stage.hits} hit, {stage.to_run} to run, {stage.unknown} not known yet, {stage.failed} failed before"
    lines = [f"{stage.stage}: {counts}", f"  recipe {stage.recipe}: {', '.join(fields)}"]
    lines += [f"  by default, so left out: {_values(stage.defaults)}"] if stage.defaults else []
    lines += [f"  in no key: {_values(stage.unkeyed)}"] if stage.unkeyed else []
    lines.append(f"  input: {', '.join(stage.inputs)}")
    lines += [f"  since recipe {former[:8]}: {what}" for former, what in stage.former]
    return lines + [f"  to run: {reason} ({n})" for reason, n in sorted(stage.reasons.items(), key=lambda r: -r[1])]


def _action_lines(action: ExplainedAction) -> list[str]:
    lines = [f"{action.stage}: {action.state}: {action.text}"]
    lines.append(f"  key {action.key or 'not known yet'} under recipe {action.recipe}")
    for part in action.inputs:
        was = f", was {part.was}" if part.was else ""
        lines.append(f"  {part.name} ({part.source}) {part.digest or 'not known yet'}{was}")
    return lines + ([f"  compared with the result under recipe {action.former}"] if action.former else [])


def _values(values: Mapping[str, Any]) -> str:
    from vbuild.plan.reasons import shown_value

    return ", ".join(f"{name} {shown_value(value)}" for name, value in values.items())
