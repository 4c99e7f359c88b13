# SPDX-License-Identifier: GPL-3.0-or-later
"""The hostile files of ``tests/data/hostile/make.py`` are refused at small cost.

Each is read in a process of its own. The limits are two seconds of the processor and 300 MB beyond
what a process with torch has; nothing may be run or imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stylegan2 import ModelError, ModelErrorKind, load_generator, save_generator
from stylegan2.checkpoints.byte_source import open_bytes
from stylegan2.checkpoints.refusal import Refusal
from stylegan2.checkpoints.safetensors_header import read_header

from ..making import random_generator, tiny_config

ROOT = Path(__file__).parents[3]
MAKE = ROOT / "tests" / "data" / "hostile" / "make.py"
RUNNER = Path(__file__).with_name("corpus_runner.py")
MAX_SECONDS = 2.0
MAX_MEGABYTES = 300

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the runner forks")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("hostile")
    subprocess.run([sys.executable, str(MAKE), str(folder)], check=True, capture_output=True)
    files = sorted(folder.iterdir())
    assert len(files) > 30
    done = subprocess.run(
        [sys.executable, str(RUNNER), *map(str, files)],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    for file in files:
        file.unlink()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["file"] for each in found] == [file.name for file in files]
    return found


def test_every_hostile_file_is_refused_in_one_sentence(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert result["error"] is None, result
        assert result["message"], result
        assert result["message"].isprintable(), result
        assert result["message"].count(". ") == 0, result
        assert len(result["message"]) < 400, result


def test_nothing_in_a_hostile_file_is_run(results: list[dict[str, Any]]) -> None:
    assert [result for result in results if result["ran"]] == []


def test_hostile_files_cost_little(results: list[dict[str, Any]]) -> None:
    dear = [
        result
        for result in results
        if result["seconds"] > MAX_SECONDS or result["megabytes"] > MAX_MEGABYTES
    ]
    assert dear == []


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_generator(random_generator(tiny_config()), path)
    with open_bytes(path) as source:
        _, recipes = read_header(source)
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(Refusal, match="became shorter while it was read"):
            for key, recipe in recipes.items():
                recipe.tensor(key)
    with pytest.raises(ModelError) as caught:
        load_generator(path)
    assert caught.value.kind is ModelErrorKind.DAMAGED
