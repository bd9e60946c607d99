"""The verb `completion`: a script that lets a shell complete what is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vbuild.cli.arguments import Namespace, Parser

ABOUT = 'prints a completion for a shell: eval "$(vbuild completion bash)" in its start-up file'

BASH = """\
_vbuild() {
    local IFS=$'\\n'
    COMPREPLY=($("${COMP_WORDS[0]}" complete "$COMP_LINE" "$COMP_POINT" 2>/dev/null))
    [[ ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace
}
complete -o default -F _vbuild vbuild
"""

ZSH = f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{BASH}"

SHELLS = {"bash": BASH, "zsh": ZSH}


def declare(parser: Parser) -> None:
    """Adds its arguments."""
    parser.add_argument("shell", choices=[*SHELLS], nargs="?", default="bash", metavar="SHELL", help="bash or zsh")


def run(args: Namespace) -> int:
    """Prints the script."""
    print(SHELLS[args.shell], end="")
    return 0
