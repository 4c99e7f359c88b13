# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands and environments for every system, with awkward paths; nothing is run here."""

from __future__ import annotations

import json
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from draggan_blender.installing import commands, machine
from draggan_blender.installing.commands import Network
from draggan_blender.installing.machine import Machine
from draggan_blender.installing.places import (
    LONGEST_INSIDE,
    WINDOWS_LONGEST,
    Places,
    longest_path,
    python_in,
)
from draggan_blender.installing.request import InstallRequest
from draggan_blender.installing.variants import Locks, backend

WINDOWS = PureWindowsPath(r"C:\Users\Zoë Müller\AppData\Roaming\Blender Foundation")
MACOS = PurePosixPath("/Users/zoë müller/Library/Application Support/Blender")


@pytest.mark.parametrize("folder", [WINDOWS, MACOS, WINDOWS / ("long " * 50), MACOS / "-r"])
def test_a_path_is_one_argument_whatever_is_in_it(
    folder: PureWindowsPath | PurePosixPath,
) -> None:
    uv, lock, python = folder / "uv.exe", folder / "engine-cpu.lock", folder / "python.exe"
    made = [
        commands.installer_command(python, folder),
        commands.make_pip(python, folder),
        commands.pip_download(python, lock, folder),
        commands.make_environment(uv, python, folder),
        commands.list_packages(uv, lock, python, folder / "out.toml", "cpu"),
        commands.install_packages(uv, lock, python, folder),
        commands.self_test(python, folder, "auto"),
        commands.check_python(python, ("torch",)),
    ]
    for command in made:
        assert all(isinstance(part, str) for part in command)
        whole = [part for part in command if str(folder) in part]
        assert all(part.startswith(str(folder)) for part in whole)
        assert str(folder) not in " ".join(part for part in command if part not in whole)


def test_packages_are_installed_from_the_folder_with_hashes_and_without_the_network() -> None:
    command = commands.install_packages(*[WINDOWS / name for name in ("uv", "l", "py", "d")])
    assert {"--offline", "--no-index", "--require-hashes", "--no-deps"} <= set(command)
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert "--require-hashes" in commands.pip_download("py", WINDOWS / "l", WINDOWS)


def test_pytorch_s_own_index_is_asked_only_where_the_usual_one_lacks_the_variant() -> None:
    def asked(variant: str, system: str) -> list[str]:
        own = backend(variant, Machine(system, "x86_64"))
        command = commands.list_packages(MACOS, MACOS, MACOS, MACOS, own)
        return [command[command.index("--torch-backend") + 1]] if own else []

    assert asked("cpu", "linux") == ["cpu"]
    assert asked("cuda", "linux") == asked("cpu", "windows") == asked("apple", "macos") == []
    assert asked("cuda", "windows") == ["cu130"]


def test_windows_opens_no_console_and_others_get_a_group() -> None:
    flags = commands.popen_options("windows")["creationflags"]
    assert flags & commands.CREATE_NO_WINDOW
    assert flags & commands.CREATE_NEW_PROCESS_GROUP
    assert commands.popen_options("macos") == commands.popen_options("linux")
    assert commands.popen_options("linux") == {"start_new_session": True}


def environment(inherited: dict[str, str], network: Network) -> dict[str, str]:
    return commands.environment(inherited, network, pythons=MACOS / "python", cache=MACOS / "uv")


def test_the_person_s_settings_come_before_the_environment() -> None:
    inherited = {
        "PIP_INDEX_URL": "https://a.example/simple",
        "HTTPS_PROXY": "http://old.example:1",
        "PYTHONPATH": "/elsewhere",
        "VIRTUAL_ENV": "/elsewhere",
        "HOME": "/home/zoë",
    }
    usual = environment(inherited, Network())
    assert usual["UV_DEFAULT_INDEX"] == "https://a.example/simple"
    assert usual["HTTPS_PROXY"] == "http://old.example:1"
    assert usual["HOME"] == "/home/zoë"
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & set(usual)
    assert usual["UV_PYTHON_INSTALL_DIR"] == str(MACOS / "python")
    proxy = "http://name:word@new.example:8080"
    own = environment(inherited, Network("https://b.example/simple", proxy))
    assert own["UV_DEFAULT_INDEX"] == own["PIP_INDEX_URL"] == "https://b.example/simple"
    assert own["HTTPS_PROXY"] == own["ALL_PROXY"] == proxy
    folder = environment(inherited, Network("/wheels"))
    assert folder["UV_FIND_LINKS"] == "/wheels"
    assert folder["UV_NO_INDEX"] == folder["PIP_NO_INDEX"] == "1"


def test_without_settings_the_index_is_that_of_uv() -> None:
    usual = environment({"PATH": "/bin"}, Network())
    assert not commands.has_own_source(usual)
    assert not [name for name in usual if "INDEX" in name or "LINKS" in name]
    assert commands.has_own_source(environment({"PIP_FIND_LINKS": "/w"}, Network()))


def test_a_password_travels_on_standard_input_and_not_as_an_argument() -> None:
    request = InstallRequest("install", "/root", "/user", proxy="http://n:secret@p:1")
    assert "secret" not in " ".join(commands.installer_command(sys.executable, MACOS))
    assert InstallRequest.from_line(request.to_line()) == request
    for line in ("{}", "[]", json.dumps({"mode": "format", "root": "", "user": ""})):
        with pytest.raises(ValueError):
            InstallRequest.from_line(line)


def test_interpreters_and_lengths_by_system() -> None:
    assert python_in(Path("e"), "windows") == Path("e", "Scripts", "python.exe")
    assert python_in(Path("e"), "macos") == Path("e", "bin", "python")
    assert Places(Path("u")).uv("windows").name == "uv.exe"
    short = PureWindowsPath(r"C:\b\engine\env\e12345678")
    assert longest_path(short) < WINDOWS_LONGEST
    assert longest_path(WINDOWS / ("x" * 100)) > WINDOWS_LONGEST
    assert longest_path(short) == len(str(short / "Lib" / "site-packages")) + 1 + LONGEST_INSIDE


@pytest.mark.parametrize(
    ("found", "variant"),
    [
        (Machine("linux", "x86_64"), "cpu"),
        (Machine("linux", "x86_64", "RTX", "580.65.06"), "cuda"),
        (Machine("windows", "x86_64", "GTX", "472.12"), "cpu"),
        (Machine("linux", "x86_64", "AMD GPU", has_amd=True), "rocm"),
        (Machine("macos", "aarch64", "Apple GPU"), "apple"),
        (Machine("macos", "x86_64"), "cpu"),
    ],
)
def test_the_variant_follows_the_machine(found: Machine, variant: str) -> None:
    assert machine.suggested_variant(found) == variant


@pytest.mark.parametrize(
    ("found", "begins"),
    [
        (Machine("linux", "x86_64"), ""),
        (Machine("linux", "x86_64", "RTX", "580.65.06"), ""),
        (Machine("linux", "x86_64", "AMD GPU", has_amd=True), "ROCm (AMD) cannot be installed"),
        (Machine("windows", "x86_64"), "CUDA cannot be installed on Windows yet; for an NVIDIA"),
        (Machine("windows", "x86_64", "RTX", "580.65.06"), "CUDA (NVIDIA) cannot be installed"),
        (Machine("macos", "aarch64", "Apple GPU"), ""),
        (Machine("macos", "x86_64"), "CPU cannot be installed on this system yet; for it, set up"),
    ],
)
def test_a_gpu_that_nothing_can_be_installed_for_is_named(
    found: Machine, begins: str, tmp_path: Path
) -> None:
    sizes = {"pythons": ["3.11"], "download_bytes": 1, "installed_bytes": 2}
    platforms = {
        "cpu": ("linux-x86_64", "windows-x86_64", "macos-aarch64"),
        "cuda": ("linux-x86_64",),
        "apple": ("macos-aarch64",),
    }
    table = {name: dict.fromkeys(keys, sizes) for name, keys in platforms.items()}
    (tmp_path / "locks.json").write_text(json.dumps(table))
    for name in platforms:
        (tmp_path / f"engine-{name}.lock").touch()
    locks = Locks(tmp_path)
    sentence = locks.gap(found)
    assert sentence.startswith(begins) and bool(sentence) == bool(begins)
    assert not sentence or sentence.endswith("choose it as Engine Python")
    if sentence:
        assert locks.best(found) == "cpu"


def test_names_of_systems_and_what_nvidia_smi_prints() -> None:
    assert machine.named("Darwin", "arm64") == ("macos", "aarch64")
    assert machine.named("Windows", "AMD64") == ("windows", "x86_64")
    assert machine.named("Linux", "x86_64") == ("linux", "x86_64")
    printed = "NVIDIA GeForce RTX 4090, 580.65.06\nNVIDIA A2, 580.65.06\n"
    assert machine.parse_nvidia(printed) == ("NVIDIA GeForce RTX 4090", "580.65.06")
    assert machine.parse_nvidia("NVIDIA-SMI has failed because ...") == ("", "")


def test_at_a_glance_linux_says_its_nvidia_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "version"
    monkeypatch.setattr(machine, "_NVIDIA_MODULE", module)
    monkeypatch.setattr(machine, "_AMD_DEVICE", tmp_path / "kfd")
    monkeypatch.setattr(machine, "this_platform", lambda: Machine("linux", "x86_64"))
    assert machine.at_a_glance() == Machine("linux", "x86_64")
    (tmp_path / "kfd").touch()
    assert machine.at_a_glance().has_amd
    module.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27\n")
    assert machine.at_a_glance().nvidia_driver == "580.65.06"
    assert machine.suggested_variant(machine.at_a_glance()) == "cuda"
