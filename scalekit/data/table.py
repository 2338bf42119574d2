"""Which column plays which role: names that real run tables use, and the units inside them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from scalekit.columns import NUMBERS, ROLES, SCALES, Reading
from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.notes import Note
from scalekit.units import PF_DAY, parse_quantity

# Names seen in public run tables, by role: lower case, words joined by "_", units taken off. Single
# letters count in upper case only. A path such as "eval/x/val_loss" is looked up whole, then by its
# last part; "model_size__x" (simple-scaling-laws) by what stands before the two underscores.
ALIASES = {
    "params": "N n_params num_params param_count params_count parameter_count parameters "
    "n_parameters num_parameters total_params total_parameters params_total model_params "
    "model_parameters model_size",
    "params without embeddings": "params_no_embed params_no_embedding params_non_embedding "
    "non_embedding_params non_embedding_parameters n_params_non_embedding num_non_embedding_params "
    "params_wo_embeddings",
    "tokens": "D n_tokens num_tokens total_tokens tokens_total token_count tokens_seen "
    "training_tokens train_tokens trained_tokens num_input_tokens_seen dataset_size dataset_tokens",
    "samples": "n_samples num_samples samples_seen total_samples training_samples consumed_samples "
    "examples n_examples num_examples examples_seen seen_examples images_seen train_set_size",
    "unique_tokens": "U n_unique_tokens num_unique_tokens tokens_unique unique_token_count",
    "flops": "C flop compute total_flops flops_total total_flos training_flop training_flops "
    "train_flops total_training_flops training_compute train_compute total_compute budget",
    "loss": "L final_loss val_loss valid_loss validation_loss eval_loss test_loss train_loss "
    "training_loss lm_loss macro_loss cross_entropy cross_entropy_loss test_cross_entropy nll",
    "run": "run_id run_name run_uuid training_run_id training_run name",
    "step": "steps global_step n_steps num_steps train_steps num_train_steps iter iteration "
    "iterations",
    "seed": "random_seed rng_seed optimizer_seed train_seed training_seed model_seed",
    "group": "recipe system method variant",
    "weight": "weights sample_weight",
    "noise": "loss_se loss_sem loss_stderr loss_std_err loss_standard_error",
}
ROLE_OF = {
    **{role: (role, "") for role in ROLES},
    **{
        name: (key.split()[0], key.partition(" ")[2])
        for key, names in ALIASES.items()
        for name in names.split()
    },
}
UNIT_WORDS = {
    **dict.fromkeys(("k", "thousand", "thousands"), (1e3, "thousands")),
    **dict.fromkeys(("m", "mn", "million", "millions"), (1e6, "millions")),
    **dict.fromkeys(("b", "bn", "g", "billion", "billions"), (1e9, "billions")),
    **dict.fromkeys(("t", "trillion", "trillions"), (1e12, "trillions")),
    **dict.fromkeys(("p",), (1e15, "units of 1e15")),
    **dict.fromkeys(("e",), (1e18, "units of 1e18")),
    **dict.fromkeys(("z",), (1e21, "units of 1e21")),
    **dict.fromkeys(("pf_day", "pf_days", "pfdays", "petaflop_s_days"), (PF_DAY, "PF-days")),
}
_SUFFIX = re.compile(rf"(.+?)_(?:in_)?({'|'.join(sorted(UNIT_WORDS, key=len, reverse=True))})")
_PREFIX = re.compile(r"(?:(.*)_)?([kmbgtpez])(params|parameters|tokens|samples|flops?|flos)(_.*)?")
_COMPLEMENT = re.compile(r"(1|100)\s*-\s*(.+)")  # an error rate: one less an accuracy
# words in a name that has "loss" in it and yet is no loss: bounds, spreads, coefficients
_NOT_A_LOSS = re.compile(
    r"(lo|hi|low|high|lower|upper|min|max|std|stdev|logstd|stderr|se|sem|var|ci|n|boot|scale|"
    r"weight|coef|coefficient|lambda|mask|ratio|delta|count|type|fn|function|name)\d*"
)


@dataclass(frozen=True)
class Candidate:
    """A column that may play a role; `rank` 0 is the role's own name, 1 an alias, 2 a likeness."""

    column: Hashable
    rank: int
    reading: Reading


def resolve_roles(
    head: pd.DataFrame, chosen: Mapping[str, object], source: str, needs_loss: bool = True
) -> tuple[list[Reading], list[Note]]:
    """Return how to read each role of a table whose first rows are `head`, and what to tell.

    `chosen` maps a role to the column that the user named ("column" or "column:unit"; for a loss
    also "1-column" or "100-column"; None for none). Raises InputError where several columns fit a
    scale or the loss equally well, ColumnNotFoundError where a named column or the loss (unless
    the table `needs_loss` not) is not there.
    """
    unknown = next((role for role in chosen if role not in ROLES), None)
    if unknown is not None:
        raise InputError(f"'{unknown}' is no role of a column. {did_you_mean(unknown, ROLES)}")
    by_role = {role: _chosen_reading(role, chosen[role], head, source) for role in chosen}
    taken = {reading.column for reading in by_role.values() if reading}
    candidates = [found for column in head for found in [_candidate(column, head)] if found]
    notes: list[Note] = []
    for role in ROLES:
        if role not in by_role:
            fitting = [
                found
                for found in candidates
                if found.reading.role == role and str(found.column) not in taken
            ]
            by_role[role], told = _pick(role, fitting, source)
            notes += told
    if by_role["loss"] is None and needs_loss:
        taken = {reading.column for reading in by_role.values() if reading}
        raise ColumnNotFoundError(_no_loss(head, taken, source))
    ordered = [reading for role in ROLES if (reading := by_role[role])]
    return [_say_embeddings(reading, candidates) for reading in ordered], notes


def unit_factor(text: str) -> float:
    """Return the factor that a unit stands for: "M" is 1e6, "GFLOP" 1e9, "1e6" itself.

    >>> unit_factor("M"), unit_factor("GFLOP"), unit_factor("1000")
    (1000000.0, 1000000000.0, 1000.0)
    """
    return parse_quantity(text if text[:1].isdigit() else f"1 {text}")


def normalise(name: object) -> str:
    """Return a column name in the form of the alias table.

    >>> normalise("Model Size"), normalise("CrossEntropyLoss"), normalise("N")
    ('model_size', 'cross_entropy_loss', 'N')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name))
    words = [word for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]
    return "_".join(
        word if i == 0 and len(word) == 1 else word.lower() for i, word in enumerate(words)
    )


def _forms(column: object) -> list[str]:
    """Return the normalised forms to look a column up by: whole, last part, before "__"."""
    name = str(column)
    before, _, after = name.partition("__")
    forms = [normalise(name), normalise(re.split(r"[/.]", name)[-1])]
    return forms if after.lower() in ("", "min", "max") else [*forms, normalise(before)]


def _without_unit(form: str) -> tuple[str, float, str]:
    """Return the name without its unit, the factor, and the unit in words."""
    suffix, prefix = _SUFFIX.fullmatch(form), _PREFIX.fullmatch(form)
    if suffix:
        factor, words = UNIT_WORDS[suffix[2]]
        return suffix[1], factor, words
    if prefix:
        factor, words = UNIT_WORDS[prefix[2]]
        words = f"{prefix[2].upper()}FLOP" if prefix[3].startswith("flo") else words
        parts = (prefix[1], prefix[3], (prefix[4] or "").removeprefix("_"))
        return "_".join(part for part in parts if part), factor, words
    return form, 1.0, ""


def _candidate(column: Hashable, head: pd.DataFrame) -> Candidate | None:
    forms = _forms(column)
    for position, form in enumerate(forms):
        for name, factor, unit in ((form, 1.0, ""), _without_unit(form)):
            role, convention = ROLE_OF.get(name, ("", ""))
            own_name = name == role and not position and not unit
            fits = own_name or _may_hold(role, head[column])
            if role and fits and (factor == 1 or role in SCALES):
                remark = "; ".join(filter(None, (unit and f"in {unit} by its name", convention)))
                return Candidate(
                    column, int(not own_name), Reading(role, str(column), factor, remark)
                )
    words = forms[0].split("_")
    is_loss = "loss" in words and not any(_NOT_A_LOSS.fullmatch(word) for word in words)
    if is_loss and _may_hold("loss", head[column]):
        return Candidate(column, 2, Reading("loss", str(column)))
    return None


def _may_hold(role: str, column: pd.Series) -> bool:
    """Tell whether the first values of `column` may be what `role` needs: numbers, or labels."""
    if role not in NUMBERS:
        return True
    if pd.api.types.is_bool_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column):
        return True  # also where the first values are all missing: a loss is logged now and then
    return any(re.match(r"[+-]?\.?\d", str(value).strip()) for value in column.dropna())


def _pick(role: str, fitting: list[Candidate], source: str) -> tuple[Reading | None, list[Note]]:
    """Return the reading of the one candidate that fits best, and a note on the others."""
    if not fitting:
        return None, []
    best = min(found.rank for found in fitting)
    first = [found for found in fitting if found.rank == best]
    others = ", ".join(str(found.column) for found in fitting if found is not first[0])
    if len(first) == 1:
        words = (
            f"{role} is read from '{first[0].column}'; {others} could also be meant: choose with "
            f"--columns {role}=COLUMN."
        )
        note = Note("other_columns", "info", words)
        return first[0].reading, [note] if others else []
    if role in SCALES or role == "loss":
        names = [str(found.column) for found in first]
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise InputError(
            f"{source}: {len(names)} columns could be {role}: {shown}. Choose one: "
            f"read_runs(..., {role}={names[0]!r}), or --columns '{role}={names[0]}'."
        )
    message = (
        f"No column is taken for {role}, since {first[0].column}, {others} all could be; "
        f"choose with --columns {role}=COLUMN."
    )
    return None, [Note("role_not_taken", "info", message)]


def _chosen_reading(role: str, choice: object, head: pd.DataFrame, source: str) -> Reading | None:
    """Return the reading that the user asked for: a column, perhaps with ":unit" behind it."""
    if choice is None:
        return None
    by_name = {str(column): column for column in head}
    name, colon, unit = str(choice), "", ""
    less = _COMPLEMENT.fullmatch(name) if role == "loss" and name not in by_name else None
    if less and less[2] in by_name:
        return Reading(role, less[2], complement=float(less[1]))
    if name not in by_name:
        name, colon, unit = name.rpartition(":") if ":" in name else (name, "", "")
    if name not in by_name:
        if name.lower() == "none":
            return None
        raise ColumnNotFoundError(
            f"{source} has no column '{name}', which was asked for as {role}. "
            f"{did_you_mean(name, by_name)}"
        )
    if colon:
        return Reading(role, name, unit_factor(unit), f"unit {unit} as you said")
    named = _candidate(by_name[name], head)
    if named and (named.reading.role == role or {named.reading.role, role} <= set(SCALES)):
        return replace(named.reading, role=role)
    return Reading(role, name)


def _no_loss(head: pd.DataFrame, taken: set[str], source: str) -> str:
    """Return the message for a table without a loss: the columns that could be named."""
    free = [str(name) for name in head if str(name) not in taken and _may_hold("loss", head[name])]
    listed = ", ".join(free[:20]) + (", ..." if len(free) > 20 else "")
    return (
        f"{source}: no column looks like a loss. Name one: read_runs(..., loss='COLUMN'), or "
        f"--columns 'loss=COLUMN' (an accuracy: 'loss=1-COLUMN', in percent 'loss=100-COLUMN'). "
        f"Other columns with numbers: {listed or 'none'}."
    )


def _say_embeddings(reading: Reading, candidates: list[Candidate]) -> Reading:
    """Return the reading of params with a remark on whether the embeddings are counted."""
    if reading.role != "params" or "embeddings" in reading.remark:
        return reading
    beside = [found.column for found in candidates if "embeddings" in found.reading.remark]
    said = f"with embeddings, since {beside[0]} is there too" if beside else "embeddings: unknown"
    return replace(reading, remark="; ".join(filter(None, (reading.remark, said))))
