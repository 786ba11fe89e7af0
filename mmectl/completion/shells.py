"""How each shell asks and how it wants its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mmectl.completion.line import Asked

PATHS = {"file": ":file", "folder": ":dir", "models_or_folders": ":dir"}


def written(asked: Asked, found: Iterable[tuple[str, str]], breaks: str) -> list[str]:
    """One line a candidate. `breaks` are the letters that bash takes for ends of words."""
    cut = _cut(asked.prefix + asked.start, breaks)
    lines = [_line(f"{asked.prefix}{value}"[cut:], text) for value, text in found]
    return [*lines, *_paths(asked)]


def _cut(word: str, breaks: str) -> int:
    """How much of a word bash leaves out, since it begins a new one there."""
    return max((word.rfind(letter) + 1 for letter in breaks if letter in "=:"), default=0)


def _line(value: str, text: str) -> str:
    return f"{value}\t{text}" if text else value


def _paths(asked: Asked) -> Iterator[str]:
    if isinstance(asked.kind, str) and asked.kind in PATHS:
        yield PATHS[asked.kind]


SCRIPTS = {
    "bash": """\
_mmectl_completion() {
    local line path cur=${COMP_WORDS[COMP_CWORD]}
    case $cur in [=:]) cur= ;; esac
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :file | :dir)
                compopt -o filenames
                while IFS= read -r path; do COMPREPLY+=("$path"); done < <(
                    if [ "$line" = :dir ]; then compgen -d -- "$cur"; else compgen -f -- "$cur"; fi
                ) ;;
            *)
                line=${line%%$'\\t'*}
                case $line in *=) compopt -o nospace ;; esac
                COMPREPLY+=("$line") ;;
        esac
    done < <(_MMECTL_COMPLETE=bash command mmectl "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" \\
        2>/dev/null </dev/null)
}
complete -o nosort -F _mmectl_completion mmectl
""",
    "zsh": """\
#compdef mmectl
_mmectl() {
    local line
    local -a plain described open
    (( $+commands[mmectl] )) || return 1
    for line in "${(@f)$(_MMECTL_COMPLETE=zsh command mmectl "${(@Q)words[2,CURRENT]}" \\
        2>/dev/null </dev/null)}"; do
        case $line in
            '') ;;
            :file) compset -P '--*='; _files ;;
            :dir) compset -P '--*='; _files -/ ;;
            *$'\\t'*) described+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}") ;;
            *=) open+=("$line") ;;
            *) plain+=("$line") ;;
        esac
    done
    (( $#described )) && _describe -V -t commands mmectl described
    (( $#open )) && compadd -V keys -S '' -a open
    (( $#plain )) && compadd -V values -a plain
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _mmectl "$@"
else
    compdef _mmectl mmectl
fi
""",
    "fish": """\
function _mmectl_completion
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -e words[1]
    for line in (_MMECTL_COMPLETE=fish command mmectl $words "$last" 2>/dev/null </dev/null)
        switch $line
            case ':file'
                __fish_complete_path "$last"
            case ':dir'
                __fish_complete_directories "$last" ''
            case '*'
                printf '%s\\n' $line
        end
    end
end
complete --no-files --keep-order --command mmectl --arguments '(_mmectl_completion)'
""",
}
