"""The command `jnas completion`: what a shell needs to complete commands, options and their choices."""

import argparse
from collections.abc import Iterator
from typing import Any

from jnas.commands._words import add_command

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
# jnas completion bash: `eval "$(jnas completion bash)"` in ~/.bashrc
_jnas() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" path="jnas" word known
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
{deeper}
    esac
  done
  case "$path|$prev" in
{choices}
  esac
  case "$path" in
{words}
  esac
  if [[ $cur == -* || -z $cur ]]; then COMPREPLY=($(compgen -W "$known" -- "$cur"))
  else COMPREPLY=($(compgen -W "$known" -- "$cur") $(compgen -f -- "$cur")); fi
}}
complete -o filenames -F _jnas jnas
"""
_ZSH = """\
# jnas completion zsh: `eval "$(jnas completion zsh)"` in ~/.zshrc
autoload -U +X bashcompinit && bashcompinit
"""


def add_completion(commands: Any) -> None:
    """Adds `jnas completion`."""
    words = "print what a shell needs to complete commands and options"
    more = 'Say `eval "$(jnas completion bash)"` in ~/.bashrc, `eval "$(jnas completion zsh)"` in ~/.zshrc, or '
    more += "`jnas completion fish | source` in ~/.config/fish/config.fish."
    parser = add_command(commands, "completion", words, "_completion:print_completion", f"Prints w{words[7:]}. {more}")
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def print_completion(options: argparse.Namespace) -> None:
    """Runs `jnas completion`."""
    print(completion(options.shell, options.whole), end="")


def completion(shell: str, parser: argparse.ArgumentParser) -> str:
    """Returns a shell's script for a parser and all parsers below it."""
    if shell == "fish":
        return "\n".join(["# jnas completion fish", "complete -c jnas -f -n __fish_use_subcommand", *_fish(parser), ""])
    nodes = dict(_nodes("jnas", parser))
    deeper, choices, words = [], [], []
    for path, node in nodes.items():
        below = _below(node)
        deeper += [f'      "{path} {name}") path="{path} {name}";;' for name in below]
        for action in node._actions:
            for option in action.option_strings if action.choices else ():
                told = " ".join(map(str, action.choices or ()))
                choices.append(f'    "{path}|{option}") COMPREPLY=($(compgen -W "{told}" -- "$cur")); return;;')
        known = [*below, *_options(node), *_positional_choices(node)]
        words.append(f'    "{path}") known="{" ".join(known)}";;')
    script = _BASH.format(deeper="\n".join(deeper), choices="\n".join(choices), words="\n".join(words))
    return _ZSH + script.partition("\n")[2] if shell == "zsh" else script


def _nodes(path: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Gives each parser by the words that lead to it."""
    yield path, parser
    for name, inner in _below(parser).items():
        yield from _nodes(f"{path} {name}", inner)


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return {name: inner for action in found for name, inner in action.choices.items()}


def _options(parser: argparse.ArgumentParser) -> list[str]:
    shown = (action for action in parser._actions if action.help is not argparse.SUPPRESS)
    return [name for action in shown for name in action.option_strings]


def _positional_choices(parser: argparse.ArgumentParser) -> list[str]:
    plain = (a for a in parser._actions if not a.option_strings and not isinstance(a, argparse._SubParsersAction))
    return [str(choice) for action in plain for choice in action.choices or ()]


def _fish(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Gives a line for each command and option; fish reads which words were given from the command line itself."""
    for path, node in _nodes("jnas", parser):
        given = path.split()[1:]
        inner = list(_below(node))
        seen = " ".join(f"; and __fish_seen_subcommand_from {word}" for word in given)[6:]
        none = f"not __fish_seen_subcommand_from {' '.join(inner)}" if inner else ""
        condition = "; and ".join(filter(None, [seen, none]))
        where = f' -n "{condition}"' if condition else ""
        for name in [*inner, *_positional_choices(node)]:
            yield f"complete -c jnas -f{where} -a {name}"
        for action in node._actions:
            if action.help is argparse.SUPPRESS:
                continue
            takes = "" if action.nargs == 0 else " -r"
            told = f' -a "{" ".join(map(str, action.choices))}"' if action.choices and action.option_strings else ""
            for option in action.option_strings:
                kind = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
                yield f"complete -c jnas{where} {kind}{takes}{told}"
