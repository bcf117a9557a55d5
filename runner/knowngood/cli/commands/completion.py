"""`knowngood completion`: what a shell needs to complete commands, options and choices."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from knowngood.cli.options import debug_option
from knowngood.cli.terminal import say
from knowngood.model.text import page

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
ASKS = "_KNOWNGOOD_COMPLETE"
"""The variable by which the script asks us, as click reads it."""


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@debug_option
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print what a shell needs to complete commands, options and choices.

    The script asks knowngood itself, so that it need not be made again for a newer one.

    \b
    Examples:
      knowngood completion bash > ~/.local/share/bash-completion/completions/knowngood
      knowngood completion zsh > ~/.zfunc/_knowngood          where ~/.zfunc is in fpath
      knowngood completion fish > ~/.config/fish/completions/knowngood.fish

    \b
    Exit codes: 0 printed, 2 another shell
    """
    root = ctx.find_root()
    script = SHELLS[shell](root.command, {}, "knowngood", ASKS)
    say(page((script.source_template % script.source_vars()).strip().split("\n")))
    return 0
