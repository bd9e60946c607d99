"""What the code of a user's stage says, as a digest: comments, docstrings and format are nothing to it."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import Any

from vbuild import digest


@cache
def source(cls: Any) -> str | None:
    """A digest of a class and of what it uses of its module, hex; None where there is no file of it, or it is vbuild's.

    Its bases outside vbuild count too.
    """
    users = [c for c in cls.__mro__[:-1] if c.__module__.partition(".")[0] != "vbuild"]
    if cls not in users:
        return None
    try:
        said = [_reached(c) for c in users]
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    return digest.of("code", *said).hex()


def _reached(cls: type) -> list[str]:
    """The class and, of its module, what it names, what that names, and so on; and what has no name."""
    tree = _tree(Path(inspect.getfile(cls)).read_text(encoding="utf-8"))
    named: dict[str, list[ast.stmt]] = {}
    loose = []
    for node in tree.body:
        names = _names(node)
        for name in names:
            named.setdefault(name, []).append(node)
        if not names and not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
            loose.append(node)
    left, seen, nodes = [cls.__name__], set[str](), loose
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            nodes = nodes + named.get(name, [])
            left += [n.id for node in named.get(name, ()) for n in ast.walk(node) if isinstance(n, ast.Name)]
    return sorted({ast.dump(_bare(node)) for node in nodes})


@cache
def _tree(text: str) -> ast.Module:
    """What a module says, parsed once for all its classes."""
    return ast.parse(text)


def _names(node: ast.stmt) -> list[str]:
    """What a statement of a module gives a name to."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return []


def _bare(node: ast.AST) -> ast.AST:
    """A tree without its docstrings."""
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if isinstance(body, list):
            inner.body = [n for n in body if not _is_text(n)]  # type: ignore[attr-defined]
    return node


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
