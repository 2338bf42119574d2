"""A model from a file: `my_model.py:build` names a function that returns the model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scalekit.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from torch.nn import Module

    from scalekit.selectors.scores.columns import Prepare


def load_factory(text: str) -> tuple[Module, Prepare | None]:
    """Return what `file.py:function` makes: a model, or (model, prepare); the file is run.

    Raises InputError where the file or the function is missing, fails, or makes something else.
    """
    from torch.nn import Module

    name, colon, function = text.rpartition(":")
    path = Path(name)
    if not colon or path.suffix != ".py" or not path.is_file():
        raise InputError(
            f"--model {text!r}: expected file.py:function, where the function returns the model "
            "(or the model and a function that prepares its inputs)."
            + (f" There is no file {path}." if colon and path.suffix == ".py" else "")
        )
    name = f"scalekit_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as Python does, so that dataclasses in the file work
    beside = str(path.resolve().parent)
    if beside not in sys.path:  # last, so that the file may import its neighbours and hide nothing
        sys.path.append(beside)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, function):
            known = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
            raise InputError(
                f"{path} has no function '{function}'. {did_you_mean(function, known)}"
            )
        made = getattr(module, function)()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{text} failed: {type(error).__name__}: {error}") from error
    model, prepare = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, Module) or not (prepare is None or callable(prepare)):
        raise InputError(
            f"{text} returned {type(made).__name__}; expected a torch module, or (module, "
            "prepare) with prepare(columns) -> inputs."
        )
    return model, prepare
