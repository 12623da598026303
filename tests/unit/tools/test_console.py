from pathlib import Path

import pytest

from tools.console import Console
from tools.errors import ToolError


def test_a_step_says_how_long_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(tmp_path / "log.txt")
    with console.step("baking"):
        pass
    printed = capsys.readouterr().out
    assert "baking ..." in printed
    assert "baking: done in" in printed
    assert (tmp_path / "log.txt").read_text() == printed


def test_a_failed_program_is_quoted_with_the_way_out(tmp_path: Path) -> None:
    console = Console(tmp_path / "log.txt")
    with pytest.raises(ToolError, match=r"exit code 3.*(?s:.)*no space left(?s:.)*-> free some space"):
        console.run(["sh", "-c", "echo no space left; exit 3"], fix="free some space")
    assert "no space left" in (tmp_path / "log.txt").read_text()


def test_a_missing_program_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="could not be started"):
        Console(tmp_path / "log.txt").run(["/nowhere/program"], fix="install it")
