# SPDX-License-Identifier: GPL-3.0-or-later
"""Compilation by NVRTC: finding the library, options, what is compiled once, and its errors.

The compiler itself runs where PyTorch for CUDA is installed, or where ``DRAGGAN_TEST_NVRTC`` names
the library; it needs no GPU. How its kernels are launched is tested on the CPU by ``test_fused``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stylegan2.ops.fused import BuildError, nvrtc
from stylegan2.ops.fused.kernels import grid_for


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_newest_library_of_nvidias_packages_is_found(tmp_path: Path) -> None:
    torch = tmp_path / "torch"
    assert nvrtc.candidates(tmp_path, torch, "linux") == []
    _touch(
        tmp_path,
        "nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
        "nvidia/cu13/lib/libnvrtc.so.13",
        "nvidia/cu13/lib/libnvrtc.alt.so.13",
        "nvidia/cu13/lib/libnvrtc-builtins.so.13.0",
        "nvidia/cu13/lib/libcublas.so.13",
    )
    assert [
        path.relative_to(tmp_path).as_posix() for path in nvrtc.candidates(tmp_path, torch, "linux")
    ] == [
        "nvidia/cu13/lib/libnvrtc.so.13",
        "nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
    ]


def test_on_windows_the_library_is_in_torch_or_in_nvidias_packages(tmp_path: Path) -> None:
    torch = tmp_path / "torch"
    _touch(
        tmp_path,
        "torch/lib/nvrtc64_120_0.dll",
        "torch/lib/nvrtc64_120_0.alt.dll",
        "torch/lib/nvrtc-builtins64_128.dll",
        "nvidia/cu13/bin/x86_64/nvrtc64_130_0.dll",
    )
    names = [path.name for path in nvrtc.candidates(tmp_path, torch, "win32")]
    assert names == ["nvrtc64_130_0.dll", "nvrtc64_120_0.dll"]


def test_a_gpu_gets_code_of_its_own_architecture() -> None:
    assert "--gpu-architecture=sm_90" in nvrtc.options_for((9, 0))
    assert "--gpu-architecture=sm_120" in nvrtc.options_for((12, 0))


def test_it_is_off_until_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(nvrtc.SWITCH, raising=False)
    assert not nvrtc.is_wanted()
    monkeypatch.setenv(nvrtc.SWITCH, "1")
    assert nvrtc.is_wanted()


def test_without_the_library_it_says_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.__file__", str(tmp_path / "torch" / "__init__.py"))
    with pytest.raises(BuildError, match="PyTorch came without NVRTC, which its CUDA packages"):
        nvrtc.find_library()


def test_a_file_that_is_not_nvrtc_is_named(tmp_path: Path) -> None:
    path = tmp_path / "libnvrtc.so.13"
    path.write_text("no library")
    with pytest.raises(BuildError, match=r"libnvrtc\.so\.13 cannot be loaded"):
        nvrtc.Compiler(path)


class _Fake:
    """A compiler that counts what it compiles."""

    compiled: list[tuple[str, ...]]
    version = "13.0"

    def __init__(self, _library: Path) -> None:
        pass

    def compile(self, source: str, headers: dict[str, str], options: list[str]) -> bytes:
        assert "widened_back_kernel" in source and set(headers) == {"border.h", "elements.h"}
        self.compiled.append(tuple(options))
        return b"cubin " + " ".join(options).encode()


def test_what_was_compiled_is_used_again_and_what_differs_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvrtc, "Compiler", _Fake)
    _Fake.compiled, library = [], tmp_path / "libnvrtc.so.13"
    folder = tmp_path / "new" / "folder"
    first = nvrtc.build_cubin(folder, (9, 0), library)
    assert first.read_bytes().startswith(b"cubin --gpu-architecture=sm_90")
    assert nvrtc.build_cubin(folder, (9, 0), library) == first
    assert len(_Fake.compiled) == 1
    other = nvrtc.build_cubin(folder, (8, 0), library)
    monkeypatch.setattr(_Fake, "version", "13.1")
    newer = nvrtc.build_cubin(folder, (9, 0), library)
    assert len({first, other, newer}) == len(list(folder.iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvrtc, "Compiler", _Fake)
    _Fake.compiled = []
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match=r"the fused operators were not built: .*file"):
        nvrtc.build_cubin(tmp_path / "file", (9, 0), tmp_path / "libnvrtc.so.13")


@pytest.mark.parametrize(
    ("maps", "channels", "items", "together", "grid"),
    [
        (3, 32, 8, False, (1, 3, 1)),
        (3, 33, 9, False, (2, 3, 2)),
        (1, 512, 10**6, False, (16, 1, 64)),
        (6, 512, 10**6, True, (16, 6, 1)),
    ],
)
def test_a_grid_has_a_block_for_32_channels_and_8_lanes(
    maps: int, channels: int, items: int, together: bool, grid: tuple[int, int, int]
) -> None:
    assert grid_for(maps, channels, items, together=together) == grid


def _real_library() -> Path | None:
    named = os.environ.get("DRAGGAN_TEST_NVRTC")
    if named:
        return Path(named)
    try:
        return nvrtc.find_library()
    except BuildError:
        return None


@pytest.mark.skipif(_real_library() is None, reason="needs NVRTC")
@pytest.mark.parametrize("capability", nvrtc.ARCHITECTURES)
def test_the_kernels_compile_for_each_architecture(
    capability: tuple[int, int], tmp_path: Path
) -> None:
    library = _real_library()
    assert library is not None
    data = nvrtc.build_cubin(tmp_path, capability, library).read_bytes()
    assert data.startswith(b"\x7fELF")
    for name in ("tiles", "tiles_back", "outputs", "outputs_back", "widened", "widened_back"):
        assert f".text.{name}_kernel".encode() in data


@pytest.mark.skipif(_real_library() is None, reason="needs NVRTC")
def test_an_error_in_a_source_is_shown() -> None:
    library = _real_library()
    assert library is not None
    with pytest.raises(BuildError, match=r"NVRTC .* failed with .*border\.h.*error"):
        nvrtc.Compiler(library).compile(
            '#include "border.h"\n', {"border.h": "int twice(int);"}, nvrtc.options_for((9, 0))
        )
