"""The errors that scalekit raises, and the hints inside them.

Every error that a user can cause is a `ScalekitError`. Its message names where the trouble is
(file, row, column), what was found, what was expected, and what to do.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class ScalekitError(Exception):
    """Base of all errors raised on purpose; the command line prints it and exits with 1."""


class InputError(ScalekitError, ValueError):
    """The data or an argument cannot be used as given."""


class ColumnNotFoundError(InputError):
    """A named column or name is not there; the message offers the nearest one."""


class FormulaError(InputError):
    """The text of a law cannot be read or uses something outside the language."""


class FitError(ScalekitError, RuntimeError):
    """A law cannot be fitted to these runs."""


class OutputError(ScalekitError, OSError):
    """A result cannot be written to, or read from, the path that was asked for."""


class MissingDependencyError(ScalekitError, ImportError):
    """A feature needs a package that is not installed."""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return a sentence that offers the nearest of `options` and lists them, for error messages.

    >>> did_you_mean("tokns", ["params", "tokens", "loss"])
    "Did you mean 'tokens'? There are: params, tokens, loss."
    """
    names = [str(option) for option in options]
    if not names:
        return "There are none."
    by_lower = {option.lower(): option for option in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    hint = f"Did you mean '{by_lower[near[0]]}'? " if near else ""
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"{hint}There are: {shown}."


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or say which extra of scalekit brings it and what it is needed for."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} needs the package '{module.split('.')[0]}', which is not installed. "
            f"Install it with: pip install 'scalekit-analytics[{extra}]'"
        ) from error
