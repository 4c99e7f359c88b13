# SPDX-License-Identifier: GPL-3.0-or-later
"""The Flamenco job type, compiled by node with a fake of the Manager's API.

``tests/blender/test_farm.py`` tests in Blender that its tasks bake and render.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "extras" / "flamenco" / "draggan_bake.js"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")

IMAGES = [
    {"object": "Face", "image": "Face Bake", "file": "Face-01/Face_0001.png", "frames": "1-48"},
    {"object": "Cat", "image": "Cat Bake", "file": "Cat-02/Cat_0010.png", "frames": "10-20"},
]
SETTINGS: dict[str, Any] = {
    "frames": "1-48",
    "chunk_size": 20,
    "bake_chunk_size": 16,
    "bake_dir": "/shared/bakes",
    "render_output_root": "/shared/renders",
    "render_output_path": "/shared/renders/shot/{timestamp}/######",
    "images": json.dumps(IMAGES),
    "blendfile": "/shared/jobs/shot.flamenco.blend",
    "fps": 24.0,
    "format": "PNG",
    "image_file_extension": ".png",
    "has_previews": False,
}


def ask(**request: Any) -> dict[str, Any]:
    """Return the answer of ``manager.js`` to a request."""
    done = subprocess.run(
        [str(NODE), str(Path(__file__).with_name("manager.js"))],
        input=json.dumps({"script": str(SCRIPT), "jobname": "shot", **request}),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def tasks_of(**changes: Any) -> dict[str, dict[str, Any]]:
    """Return the tasks of a job by name, in their order, with changes to ``SETTINGS``."""
    answer = ask(settings={**SETTINGS, **changes})
    assert "error" not in answer, answer["error"]
    return {task["name"]: task for task in answer["tasks"]}


def arguments(task: dict[str, Any]) -> list[str]:
    """Return Blender's arguments after the file; empty for a task of another program."""
    (command,) = task["commands"]
    return list(command["parameters"]["args"]) if command["name"] == "blender-render" else []


def after(option: str, given: list[str]) -> str:
    return given[given.index(option) + 1]


def test_each_image_is_solved_once_and_before_its_frames() -> None:
    tasks = tasks_of()
    solves = [name for name, task in tasks.items() if "solve" in arguments(task)]
    assert solves == ["solve Face", "solve Cat"]
    for name, task in tasks.items():
        if name.startswith("bake "):
            assert task["dependencies"] == [f"solve {after('--object', arguments(task))}"]
    assert not any(tasks[name]["dependencies"] for name in solves)


def test_chunks_cover_each_frame_of_each_image_once() -> None:
    tasks = tasks_of(bake_chunk_size=2)
    for image, first, last in (("Face", 1, 48), ("Cat", 10, 20)):
        numbers: list[int] = []
        for name, task in tasks.items():
            if name.startswith(f"bake {image} "):
                given = arguments(task)
                assert after("--only", given) == "frames"
                numbers += [int(part) for part in after("--frames", given).split(",")]
        assert sorted(numbers) == list(range(first, last + 1))


def test_every_task_of_a_bake_says_the_same_folder_file_and_extension() -> None:
    for name, task in tasks_of(model="/m/face.pkl", device="cuda", engine_python="{py}").items():
        given = arguments(task)
        if name.startswith(("solve", "bake")):
            parameters = task["commands"][0]["parameters"]
            assert parameters["blendfile"] == SETTINGS["blendfile"]
            assert (parameters["exe"], parameters["exeArgs"]) == ("{blender}", "{blenderArgs}")
            assert given[:5] == [
                "--addons",
                "bl_ext.user_default.draggan_blender",
                "--command",
                "draggan",
                "bake",
            ]
            assert "--resume" in given
            for option, value in (
                ("--out", "/shared/bakes"),
                ("--model", "/m/face.pkl"),
                ("--device", "cuda"),
                ("--engine", "{py}"),
            ):
                assert after(option, given) == value
    assert "--model" not in arguments(tasks_of()["solve Face"])


def test_renders_depend_on_all_frames_and_show_the_baked_images() -> None:
    tasks = tasks_of()
    bakes = [name for name in tasks if name.startswith("bake ")]
    renders = [name for name in tasks if name.startswith("render ")]
    assert renders == ["render 1-20", "render 21-40", "render 41-48"]
    for name in renders:
        assert sorted(tasks[name]["dependencies"]) == sorted(bakes)
        given = arguments(tasks[name])
        assert given[given.index("--") + 1 :] == [
            "Face Bake",
            "/shared/bakes/Face-01/Face_0001.png",
            "Cat Bake",
            "/shared/bakes/Cat-02/Cat_0010.png",
        ]
        assert after("--render-frame", given) == name.removeprefix("render ").replace("-", "..")
        assert after("--render-output", given) == "/shared/renders/shot/2026-11-23_123000/######"


def test_the_video_is_made_last_from_the_renders() -> None:
    tasks = tasks_of()
    name, video = list(tasks.items())[-1]
    assert name == "video" and video["type"] == "ffmpeg"
    assert video["dependencies"] == [other for other in tasks if other.startswith("render ")]
    parameters = video["commands"][0]["parameters"]
    assert parameters["inputGlob"] == "/shared/renders/shot/2026-11-23_123000/*.png"
    assert parameters["outputFile"] == "/shared/renders/shot/2026-11-23_123000/shot.mp4"


def test_formats_that_ffmpeg_cannot_read_give_a_video_of_the_previews_or_no_video() -> None:
    exr = {"format": "OPEN_EXR", "image_file_extension": ".exr"}
    assert "video" not in tasks_of(**exr)
    video = tasks_of(**exr, has_previews=True)["video"]
    assert video["commands"][0]["parameters"]["inputGlob"].endswith("*.jpg")
    assert "video" not in tasks_of(fps=0.0)


def test_steps_are_counted_where_the_manager_can() -> None:
    counts = {
        name: task["commands"][0]["totalStepCount"] for name, task in tasks_of(frames="1-5").items()
    }
    assert (counts["solve Face"], counts["solve Cat"], counts["bake Cat 10-20"]) == (48, 11, 11)
    assert counts["render 1-5"] == 5
    old = ask(settings=SETTINGS, old=True)
    assert {task["commands"][0]["totalStepCount"] for task in old["tasks"]} == {0}


def test_the_bakes_have_the_task_type_that_was_chosen() -> None:
    types = {name.split()[0]: task["type"] for name, task in tasks_of().items()}
    assert types == {"solve": "blender", "bake": "blender", "render": "blender", "video": "ffmpeg"}
    types = {
        name.split()[0]: task["type"] for name, task in tasks_of(bake_task_type="gan-gpu").items()
    }
    assert (types["solve"], types["bake"], types["render"]) == ("gan-gpu", "gan-gpu", "blender")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": "[]"}, "press Prepare for Farm"),
        ({"format": "FFMPEG"}, "choose an image format"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(
    changes: dict[str, Any], words: str
) -> None:
    answer = ask(settings={**SETTINGS, **changes})
    assert words in answer["error"]


def test_windows_paths_stay_windows_paths() -> None:
    windows = tasks_of(
        bake_dir="S:\\bakes", render_output_path="S:\\renders\\shot\\{timestamp}\\######"
    )
    given = arguments(windows["render 1-20"])
    assert given[given.index("--") + 2] == "S:\\bakes\\Face-01\\Face_0001.png"
    assert windows["video"]["commands"][0]["parameters"]["outputFile"].endswith("\\shot.mp4")
