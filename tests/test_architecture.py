"""The house holds: who may import whom, and what is not imported before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "scalekit"
GROUND = {
    *("errors", "notes", "units", "seeds", "results", "files", "version", "loading"),
    *("columns", "rows", "tables", "axes", "moderation", "lazy", "names"),
}
ROOMS = {
    "data": GROUND,
    "fitters": GROUND,
    "evals": GROUND,
    "selectors": GROUND | {"fitters"},
    "cli": GROUND | {"data", "fitters", "evals", "selectors"},
    "__main__": {"cli"},
}
HEAVY = {"torch", "sklearn", "statsmodels", "ot", "matplotlib", "ray"}
STANDARD_LIBRARY = set(sys.stdlib_module_names)
FILES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path, module_level: bool) -> set[str]:
    """Return the dotted names that `path` imports; type-checking blocks are left out."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: write absolute imports"
                found.add(child.module or "")
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            elif (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)) or (
                module_level and isinstance(child, (ast.FunctionDef, ast.Lambda))
            ):
                continue
            else:
                visit(child)

    visit(ast.parse(path.read_text()))
    return found


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_the_design_allows(path: Path) -> None:
    room = room_of(path)
    allowed = ROOMS.get(room, GROUND) | {room}
    used = {
        name.split(".")[1] for name in imports_of(path, False) if name.startswith("scalekit.")
    } - {"__version__"}
    assert used <= allowed, f"{path} imports from {sorted(used - allowed)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_modules_are_imported_inside_functions(path: Path) -> None:
    at_top = {name.split(".")[0] for name in imports_of(path, True)}
    assert not at_top & HEAVY


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_has_the_name_of_a_standard_module_at_the_top(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    if relative.parts[0] in ("selectors",):  # inside the package the name is safe
        relative = Path(*relative.parts[1:])
    assert relative.stem == "__init__" or relative.stem not in STANDARD_LIBRARY


@pytest.mark.parametrize(
    "command",
    [
        "import scalekit, scalekit.data, scalekit.fitters",
        "import sys; sys.argv = ['scalekit', '--help']; "
        "from scalekit.cli.main import build_app; build_app()(standalone_mode=False)",
    ],
    ids=["import scalekit", "scalekit --help"],
)
def test_nothing_heavy_is_loaded_by(command: str) -> None:
    program = (
        f"{command}\nimport sys\nprint('LOADED', sorted(set(sys.modules) & {sorted(HEAVY)!r}))"
    ).replace(f"& {sorted(HEAVY)!r}", f"& set({sorted(HEAVY)!r})")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("LOADED []")


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    import scalekit

    for name in scalekit.__all__:
        value = getattr(scalekit, name)
        assert name == "__version__" or (value.__doc__ or "").strip(), name


def test_the_standard_library_survives_in_the_repository_root() -> None:
    """A top-level folder named `selectors` would break subprocess itself."""
    subprocess.run([sys.executable, "-c", "import subprocess, asyncio"], cwd=PACKAGE.parent,
                   check=True)  # fmt: skip


def test_no_code_uses_the_global_random_state() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np.random":
                assert node.attr in {"default_rng", "Generator", "SeedSequence"}, path
