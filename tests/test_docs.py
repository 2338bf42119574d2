"""Every code block of the README and the docs runs, top to bottom, as a reader would type it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example tables in it and where the clone has them, as pages assume."""
    for table in (ROOT / "scalekit" / "data" / "examples").glob("*.csv"):
        shutil.copy(table, tmp_path / table.name)
        folder = tmp_path / table.parent.relative_to(ROOT)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(table, folder / table.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_and_commands_of_a_page_run(page: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(BLOCK.findall(page.read_text())):
        exec(compile(block, f"{page.name}, block {number + 1}", "exec"), names)
    run_commands(page)


def run_commands(page: Path) -> None:
    """Run the lines `$ scalekit ...` of console blocks; after a backslash a line goes on."""
    import shlex

    from typer.testing import CliRunner

    from scalekit.cli.main import build_app

    text = "\n".join(COMMANDS.findall(page.read_text())).replace("\\\n", " ")
    for line in re.findall(r"^\$ scalekit (.*)$", text, re.MULTILINE):
        done = CliRunner().invoke(build_app(), shlex.split(line, comments=True))
        assert done.exit_code in (0, 3), f"scalekit {line}\n{done.output}\n{done.exception}"
