# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of ``dev.py``: what it refuses, what it runs, what it prints, and what is in the zip."""

from __future__ import annotations

import collections
import contextlib
import functools
import re
import subprocess
import sys
import threading
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import IO

import pytest

import dev

ROOT = Path(__file__).resolve().parents[1]

# A stand-in for pip, found by ``python -m pip`` in the folder that it runs in.
PIP = """\
import subprocess
import sys
import threading

NOISE = "WARNING: Location 'file:///missing' is ignored: it is neither a file nor a directory"
print("Collecting torch==2.13.0 (from -r dev.txt (line 2))")
print("  Downloading torch-2.13.0.whl (200.0 MB)")
print("Processing /wheels/numpy-1.26.4-cp311-cp311-linux_x86_64.whl (from -r dev.txt (line 3))")
print("Collecting ast-serialize<1.0.0,>=0.12.1 (from mypy==2.4.1->-r dev.txt (line 8))")
for _ in range(300):
    print(NOISE, file=sys.stderr)
print("Installing collected packages: mpmath, torch")
if {code}:
    print("ERROR: No space left on device")
    for _ in range(300):
        print(NOISE, file=sys.stderr)
sys.exit({code})
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that ``dev`` takes for the project, whose ``.venv`` takes no time to make."""
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    for name in ("engine.txt", "dev.txt"):
        (requirements / name).write_text("torch==2.13.0\n")
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(dev, "venv_python", lambda: Path(sys.executable))
    monkeypatch.setattr(venv, "create", lambda path, **_: path.mkdir(exist_ok=True))
    return tmp_path


def test_another_python_is_refused_with_the_versions_that_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version = collections.namedtuple("version", "major minor micro releaselevel serial")
    monkeypatch.setattr(sys, "version_info", version(3, 12, 0, "final", 0))
    monkeypatch.setattr(sys, "argv", ["dev.py", "build"])
    assert dev.main() == 1
    message = capsys.readouterr().err
    assert "Python 3.11 or 3.13 is needed" in message
    assert "this is 3.12" in message


def test_unknown_arguments_go_to_pytest_and_the_benchmark_and_nowhere_else() -> None:
    assert dev.parse(["bench", "--quick"]).rest == ["--quick"]
    assert dev.parse(["test", "-k", "mask"]).rest == ["-k", "mask"]
    assert dev.parse(["test", "--blender", "blender"]).blender == ["blender"]
    with pytest.raises(SystemExit):
        dev.parse(["demo", "--quick"])


@pytest.mark.parametrize("arguments", [["--coverage"], ["-k", "mask"]])
def test_arguments_without_effect_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        dev.parse(["test", "--blender", "blender", *arguments])
    assert "--blender runs without pytest" in capsys.readouterr().err


def test_a_phase_prints_its_title_before_and_its_time_after(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with dev.phase("Building"):
        assert capsys.readouterr().out == "== Building ...\n"
    assert re.fullmatch(r"== Building \.\.\. done in \d+ s\n", capsys.readouterr().out)
    with pytest.raises(dev.SetupError), dev.phase("Building"):
        raise dev.SetupError
    assert re.search(r"== Building \.\.\. failed after \d+ s\n", capsys.readouterr().out)


def test_set_up_shows_the_steps_of_pip_and_logs_the_rest(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "pip.py").write_text(PIP.format(code=0))
    dev.set_up()
    shown = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in shown[1:-1]] == [
        "Collecting torch",
        "Collecting numpy",
        "Collecting ast-serialize",
        "Installing collected packages",
    ]
    assert shown[0].startswith("== Setting up .venv")
    assert "done in" in shown[-1]
    log = (checkout / ".venv" / "pip.log").read_text(encoding="utf-8")
    assert "200.0 MB" in log
    assert log.count("is ignored") == 300
    dev.set_up()
    assert capsys.readouterr().out == ""


def test_a_failure_of_pip_is_shown_with_its_last_lines_and_the_log(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "pip.py").write_text(PIP.format(code=2))
    monkeypatch.setattr(sys, "argv", ["dev.py", "build"])
    assert dev.main() == 1
    out, err = capsys.readouterr()
    assert "failed after" in out
    assert "pip failed with exit code 2" in err
    assert "ERROR: No space left on device" in err
    assert str(checkout / ".venv" / "pip.log") in err
    assert "is ignored" not in out + err
    # The next run tries again.
    assert dev.main() == 1
    assert "pip failed" in capsys.readouterr().err


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that receives what ``dev`` runs with ``python -m``, without running it."""
    found: list[str] = []
    monkeypatch.setattr(dev, "VENV", tmp_path)

    def run(*command: str, **_: object) -> None:
        found.append(" ".join(command[command.index("-m") + 1 :]))

    monkeypatch.setattr(dev, "run", run)
    monkeypatch.setattr(dev, "set_up", lambda: Path("python"))
    monkeypatch.setattr(dev, "build", lambda python: Path("draggan.zip"))
    monkeypatch.setattr(dev, "installed_blenders", list)
    monkeypatch.setattr(dev, "test_in_blender", lambda *arguments: found.append("tests/blender"))
    return found


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-k", "mask"], ["pytest -k mask"]),
        (
            ["--coverage"],
            [
                "coverage run -m pytest",
                "coverage combine --quiet",
                "coverage report",
            ],
        ),
        (
            ["--coverage", "-k", "mask"],
            [
                "coverage run -m pytest -k mask",
                "coverage combine --quiet",
                "coverage report --fail-under=0",
            ],
        ),
    ],
    ids=["some", "coverage of all", "coverage of some"],
)
def test_test_runs_pytest_and_the_tests_in_blender(
    commands: list[str], arguments: list[str], expected: list[str]
) -> None:
    options = dev.parse(["test", *arguments])
    options.command(options)
    commands.remove("tests/blender")  # it runs at the same time
    assert commands == expected


def test_all_tests_run_in_parts_which_together_have_each_test_once(commands: list[str]) -> None:
    options = dev.parse(["test"])
    options.command(options)
    assert sorted(commands) == sorted(
        ["tests/blender", *(f"pytest {' '.join(part)}" for part in dev.PYTEST_PARTS)]
    )
    *parts, rest = dev.PYTEST_PARTS
    folders = [folder for part in parts for folder in part]
    assert all((ROOT / folder).is_dir() for folder in folders)
    assert not [one for one in folders for other in folders if one.startswith(f"{other}/")]
    assert rest == ["tests", *(f"--ignore={folder}" for folder in folders)]


@pytest.mark.parametrize("fails", [False, True])
def test_two_suites_run_at_once_and_their_output_is_shown_in_order(
    fails: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    both = threading.Barrier(2, timeout=60.0)

    def suite(name: str, output: IO[str] | None) -> None:
        if name != "third":
            both.wait()
        code = f"print({name!r}); raise SystemExit({int(fails and name == 'first')})"
        dev.run(sys.executable, "-c", code, output=output)

    suites = [functools.partial(suite, name) for name in ("first", "second", "third")]
    with pytest.raises(subprocess.CalledProcessError) if fails else contextlib.nullcontext():
        dev.at_once(*suites)
    assert capfd.readouterr().out.split() == ["first", "second", "third"]


def test_an_earlier_measurement_does_not_count(commands: list[str]) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    data = dev.VENV / Path(settings["tool"]["coverage"]["run"]["data_file"]).relative_to(".venv")
    data.parent.mkdir()
    data.touch()
    dev.run_pytest(Path("python"), [], coverage=True)
    assert list(data.parent.iterdir()) == []


@pytest.fixture(scope="module")
def archive_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with pytest.MonkeyPatch.context() as patch:
        # Not where the tests in Blender, which run at the same time, have theirs.
        patch.setattr(dev, "DIST", tmp_path_factory.mktemp("dist"))
        archive = dev.build(Path(sys.executable))
    with zipfile.ZipFile(archive) as names:
        return set(names.namelist())


def test_the_zip_holds_extension_engine_and_model(archive_names: set[str]) -> None:
    assert archive_names >= {
        "__init__.py",
        "blender_manifest.toml",
        "LICENSE",
        "requirements/engine.txt",
        "draggan_blender/registration.py",
        "draggan_blender/protocol/messages.py",
        "engine/__main__.py",
        "stylegan2/network/generator.py",
        "stylegan2/models/suzanne.safetensors",
    }


def test_the_zip_holds_nothing_of_development(archive_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in archive_names}
    assert not tops & {"tests", "tools", "docs", "dev.py", "pyproject.toml", "dist", ".venv"}
    assert not [name for name in archive_names if "__pycache__" in name or name.startswith(".")]


def test_the_newest_version_in_the_changelog_is_that_of_the_manifest() -> None:
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    if headings[:1] == ["Unreleased"]:  # the changes of the next version
        del headings[0]
    assert headings[:1] == [manifest["version"]]
