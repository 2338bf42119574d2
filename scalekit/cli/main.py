"""The `scalekit` command: a table of commands, each in its own module."""

from __future__ import annotations

import importlib

import typer

from scalekit.version import __version__

# command -> (module in scalekit.cli, function); a new command is one line here
COMMANDS = {
    "read": ("read", "read"),
    "fit": ("fit", "fit"),
    "predict": ("predict", "predict"),
    "choose-law": ("choose_law", "choose_law"),
    "heldout": ("choose_law", "heldout"),
    "laws": ("laws", "laws"),
    "compare": ("compare", "compare"),
    "crossover": ("compare", "crossover"),
    "frontier": ("frontier", "frontier"),
    "isoflop": ("frontier", "isoflop"),
    "next-runs": ("next_runs", "next_runs"),
    "mix": ("mix", "mix"),
    "cooldown": ("cooldown", "cooldown"),
    "demo": ("demo", "demo"),
    "variance": ("variance", "variance"),
    "compare-models": ("compare_models", "compare_models"),
    "power": ("power", "power"),
    "signal": ("signal_to_noise", "signal"),
    "distance": ("distance", "distance"),
    "transport": ("transport", "transport"),
    "project": ("project", "project"),
    "prune": ("prune", "prune"),
    "agreement": ("agreement", "agreement"),
    "prototypes": ("prototypes", "prototypes"),
    "transferability": ("transferability", "transferability"),
    "curriculum": ("curriculum", "curriculum"),
    "theory": ("theory", "theory"),
    "score": ("score", "score"),
    "scores": ("scores", "scores"),
}


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"scalekit {__version__}")
        raise typer.Exit()


def build_app() -> typer.Typer:
    """Return the typer application with all commands; their modules import nothing heavy."""
    app = typer.Typer(
        name="scalekit",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Decide what to train before you can afford to train it. "
        "Exit codes: 0 fine, 1 handled error, 2 wrong usage, "
        "3 done, but the result carries a note of severity error.",
    )

    @app.callback()
    def options(
        version: bool = typer.Option(
            False, "--version", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ) -> None: ...

    for name, (module, function) in COMMANDS.items():
        command = getattr(importlib.import_module(f"scalekit.cli.{module}"), function)
        app.command(name)(command)
    return app


def main() -> None:
    """Run the command line."""
    build_app()()


if __name__ == "__main__":
    main()
