# SPDX-License-Identifier: GPL-3.0-or-later
"""The fused operators and their kernels for GPUs against torch's, and the proof of both."""

from __future__ import annotations

import ctypes
import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ninja
import pytest
import torch
from torch import Tensor

from stylegan2 import WindowSynthesis, plan_windows
from stylegan2.network.layers import SynthesisLayer
from stylegan2.ops.fused import Activation, BuildError, FusedOperators, build, kernels
from stylegan2.ops.fused.build import Target, build_by, cuda_target
from stylegan2.ops.fused.driver import addresses_of
from stylegan2.ops.fused.kernels import KernelLibrary, Launch, Size
from stylegan2.ops.scratch import Scratch
from stylegan2.windows import fused_pass
from stylegan2.windows.fused_pass import FusedPass, compute_map
from stylegan2.windows.fused_proof import difference
from stylegan2.windows.layer_pass import LayerPass, LayerStyle, Place
from stylegan2.windows.prepared_layer import PreparedLayer

from ..making import random_generator
from ..windows.test_synthesis import CASES, SIDE, Whole, assert_close, everywhere

CPU = torch.device("cpu")
COMPILERS = ("c++", "g++", "clang++")
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS)), reason="needs a C++ compiler"
)
has_contexts = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX's contexts")


@pytest.fixture(
    scope="module",
    params=["fused.cpp", pytest.param("fused.cu", marks=has_contexts)],
)
def operators(
    request: pytest.FixtureRequest,
    operators_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> FusedOperators:
    """Build the operators of the CPU, or the kernels of the GPU for a CPU."""
    if request.param == "fused.cpp":
        return FusedOperators(build(operators_folder, CPU), CPU)
    header = Path(__file__).parent / "cuda_on_host"
    compiler = next(path for name in COMPILERS if (path := shutil.which(name)))
    language = ("-x", "c++", "-std=c++17", "-O1", "-Wno-unknown-pragmas")
    target = Target(
        name="cuda-on-host",
        sources=("fused.cu",),
        compile=(compiler, *language, "-fPIC", "-I", str(header)),
        link=(compiler, "-shared"),
    )
    return FusedOperators(build_by(target, tmp_path_factory.mktemp("fused")), CPU)


def launch_in(library: Path) -> Launch:
    """Return a function that runs kernels of a library on the CPU, as the driver does on a GPU."""
    run = ctypes.CDLL(str(library)).launch_by_name

    def launch(name: str, grid: Size, block: Size, arguments: list[Any], stream: int | None) -> int:
        assert stream is None
        sizes = [(ctypes.c_uint * 3)(*size) for size in (grid, block)]
        error: int = run(name.encode(), *sizes, addresses_of(arguments))
        return error

    return launch


def prepared(
    channels: tuple[int, int], shape: tuple[int, int], *, doubles: bool = False
) -> PreparedLayer:
    torch.manual_seed(4)
    layer = SynthesisLayer(*channels, w_dim=6, shape=shape, upsample=doubles, conv_clamp=0.9)
    layer.requires_grad_(False)
    for tensor in (*layer.parameters(), layer.noise_const):
        tensor.normal_()
    layer.freeze()
    return PreparedLayer.of(layer)


def assert_same(
    operators: FusedOperators, layer: PreparedLayer, x: Tensor, place: Place | None
) -> None:
    style = LayerStyle.of(layer, torch.randn(6))
    plain = LayerPass(layer, style, x, place)
    for keep in (True, False):
        fused = FusedPass(operators, layer, style, x, place, keep=keep, scratch=Scratch())
        assert_close(fused.result, plain.result)
        directions = torch.randn(3 * len(x), *plain.result.shape[1:])
        (of_x, of_style), expected = fused.pull_back(directions), plain.pull_back(directions)
        assert_close(of_x, expected[0])
        assert (of_style is not None) == keep
        if of_style is not None and expected[1] is not None:
            assert_close(of_style, expected[1])


@needs_compiler
@pytest.mark.parametrize("doubles", [False, True])
@pytest.mark.parametrize("channels", [(2, 3), (5, 70), (130, 17)])
@pytest.mark.parametrize("shape", [(1, 1), (4, 2), (5, 7)])
def test_a_whole_layer(
    operators: FusedOperators, doubles: bool, channels: tuple[int, int], shape: tuple[int, int]
) -> None:
    height, width = shape
    factor = 2 if doubles else 1
    layer = prepared(channels, (factor * height, factor * width), doubles=doubles)
    assert_same(operators, layer, torch.randn(1, height, width, channels[0]), None)


@needs_compiler
@pytest.mark.parametrize("doubles", [False, True])
@pytest.mark.parametrize("channels", [(32, 32), (96, 64), (64, 192)])
@pytest.mark.parametrize("shape", [(1, 1), (4, 2), (5, 7), (33, 40)])
def test_a_whole_map_with_its_products(
    operators: FusedOperators, doubles: bool, channels: tuple[int, int], shape: tuple[int, int]
) -> None:
    height, width = shape
    factor = 2 if doubles else 1
    layer = prepared(channels, (factor * height, factor * width), doubles=doubles)
    style, x = LayerStyle.of(layer, torch.randn(6)), torch.randn(1, height, width, channels[0])
    found = compute_map(operators, layer, style, x, keep=True, scratch=Scratch())
    if not operators.has_maps:
        assert found is None
        return
    assert found is not None and found.convolved is not None
    plain = LayerPass(layer, style, x).known()
    assert plain.convolved is not None
    assert_close(found.result, plain.result)
    assert_close(found.convolved, plain.convolved)
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            again = compute_map(operators, layer, style, x, keep=False, scratch=Scratch())
            assert again is not None and again.convolved is None
            assert torch.equal(again.result, found.result)
    finally:
        torch.set_num_threads(before)


@needs_compiler
def test_what_is_known_has_a_gradient_of_the_style_only_where_it_is_kept(
    operators: FusedOperators,
) -> None:
    layer, x = prepared((32, 64), (8, 8)), torch.randn(1, 8, 8, 32)
    style = LayerStyle.of(layer, torch.randn(6))
    known = FusedPass(operators, layer, style, x, None, keep=True, scratch=Scratch()).known()
    for keep in (True, False):
        again = FusedPass(
            operators, layer, style, x, None, keep=keep, scratch=Scratch(), known=known
        )
        assert (again.pull_back(torch.ones_like(known.result))[1] is None) is not keep


@needs_compiler
def test_only_layers_of_whole_panels_are_computed_with_their_products(
    operators: FusedOperators,
) -> None:
    for channels in ((32, 40), (40, 32), (32, 288)):
        layer = prepared(channels, (4, 4))
        style, x = LayerStyle.of(layer, torch.randn(6)), torch.randn(1, 4, 4, channels[0])
        assert compute_map(operators, layer, style, x, keep=False, scratch=Scratch()) is None


@needs_compiler
@pytest.mark.parametrize("side", [1, 6, 9])
def test_windows_of_a_layer(operators: FusedOperators, side: int) -> None:
    origins = torch.tensor([[-2, 3], [5, 30 - side], [4, 4], [7, 10]])
    layer = prepared((20, 36), (30, 30))
    place = Place.of(origins, side, (30, 30))
    assert_same(operators, layer, torch.randn(4, side + 2, side + 2, 20), place)
    layer = prepared((20, 36), (30, 30), doubles=True)
    below = (side - 2 + 8) // 2  # ``side_below`` of the block's result, which is two pixels smaller
    assert_same(operators, layer, torch.randn(4, below, below, 20), place)


@needs_compiler
@pytest.mark.parametrize("name", CASES)
def test_the_whole_computation(
    operators: FusedOperators, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused_pass, "_FEW_CHANNELS", 1)
    monkeypatch.setattr(fused_pass, "_FEW_PIXELS", 0)
    config, resolution, free = CASES[name]
    generator = random_generator(config).freeze()
    free = min(free, config.layers_below(resolution))
    whole, origins = Whole(generator, resolution, free), everywhere(config.block_shape(resolution))
    plan = plan_windows(config, resolution, SIDE, 2)
    synthesis = WindowSynthesis(generator, resolution, plan, whole.ws, free, operators)
    found = synthesis.run(whole.ws, origins)
    assert all(isinstance(layer, FusedPass) for layer in found._layers)
    assert_close(found.values, whole.cut(origins))
    directions = torch.randn_like(found.values)
    product = (whole.cut(origins) * directions).sum()
    (known,) = torch.autograd.grad(product, whole.leaf)
    assert_close(found.pull_back(directions, {}), known)
    each = found.pull_back_each(torch.stack([directions, -2 * directions]))
    assert_close(each[0].sum(dim=0), known)
    assert_close(each[1], -2 * each[0])


@needs_compiler
def test_the_result_does_not_depend_on_the_number_of_threads(operators: FusedOperators) -> None:
    layer = prepared((64, 64), (12, 12))
    style, x = LayerStyle.of(layer, torch.randn(6)), torch.randn(1, 12, 12, 64)
    directions = torch.randn(2, 12, 12, 64)
    fused = FusedPass(operators, layer, style, x, None, keep=True, scratch=Scratch())
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            tiles, products = torch.empty(16, 36, 64), torch.empty(16, 72, 64)
            sums, of_scale, g = torch.empty(2, 64), torch.empty(2, 64), torch.empty(2, 12, 12, 64)
            operators.tiles(x, style.scale, 1, tiles)
            operators.outputs_back(directions, fused._activation, products, sums)
            operators.tiles_back(products, style.scale, x, g, of_scale, 1)
            results.append((tiles, products, sums, of_scale, g))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(result, results[0], strict=True))


@needs_compiler
def test_nan_and_infinity_go_through(operators: FusedOperators) -> None:
    layer = dataclasses.replace(prepared((4, 4), (6, 6)), clamp=None)
    style, x = LayerStyle.of(layer, torch.randn(6)), torch.randn(1, 6, 6, 4)
    x[0, 0, 0, 0] = float("nan")
    fused = FusedPass(operators, layer, style, x, None, keep=True, scratch=Scratch())
    assert fused.result[0, :2, :2].isnan().all()
    assert fused.result[0, 2:].isfinite().all()


@needs_compiler
def test_the_proof_holds(operators: FusedOperators) -> None:
    assert difference(operators) is None


@needs_compiler
@pytest.mark.parametrize("what", ["result", "convolved"])
def test_the_proof_notices_what_is_wrong_in_tiles_of_4_x_4_results(
    operators: FusedOperators, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not operators.has_wide_tiles:
        pytest.skip("these operators have no such tiles")
    compute = operators.wide_outputs

    def wrong(products: Tensor, activation: Activation) -> None:
        compute(products, activation)
        getattr(activation, what)[0, 32, 32, 7] += 1.0

    monkeypatch.setattr(operators, "wide_outputs", wrong)
    assert "a whole map wrongly (channels=(288, 320)" in str(difference(operators))


@needs_compiler
@pytest.mark.parametrize("name", ["map_convolved", "map_widened"])
@pytest.mark.parametrize("what", ["result", "convolved"])
def test_the_proof_notices_what_is_wrong_in_a_whole_map(
    operators: FusedOperators, name: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not operators.has_maps:
        pytest.skip("these operators compute no whole maps")
    compute = getattr(operators, name)

    def wrong(x: Tensor, scale: Tensor, kernels: Tensor, activation: Activation) -> None:
        compute(x, scale, kernels, activation)
        getattr(activation, what)[0, 3, 5, 7] += 1.0

    monkeypatch.setattr(operators, name, wrong)
    assert "a whole map wrongly" in str(difference(operators))


@needs_compiler
def test_the_proof_notices_patches_that_are_compared_wrongly(
    operators: FusedOperators, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not operators.has_patch_costs:
        pytest.skip("these operators compare no patches")
    compute = operators.patch_costs
    monkeypatch.setattr(operators, "patch_costs", lambda *tensors: compute(*tensors) * 1.0001)
    assert difference(operators) == "they compare patches wrongly"


@pytest.mark.skipif(not shutil.which("nvcc"), reason="needs CUDA's compiler")
@pytest.mark.parametrize("capability", [(7, 5), (9, 0)])
def test_the_kernels_compile_for_gpus(tmp_path: Path, capability: tuple[int, int]) -> None:
    folder, target = tmp_path / "$in: é", cuda_target(capability)
    library = build_by(target, folder)
    operators = FusedOperators(library, CPU)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA's error"):
            difference(operators)
    made = [path.stat().st_mtime_ns for path in (library, library.with_stem("fused"))]
    assert build_by(target, folder) == library
    assert [path.stat().st_mtime_ns for path in (library, library.with_stem("fused"))] == made
    plan: list[str | Path] = [Path(ninja.BIN_DIR, "ninja"), "-C", library.parent, "-n"]
    for name in ("elements.h", "border.h"):
        (library.parent / name).touch()
        assert b"fused.cu.o" in subprocess.run(plan, check=True, capture_output=True).stdout


def test_there_are_none_for_other_devices(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no fused operators for mps"):
        build(tmp_path, torch.device("mps"))


@needs_compiler
@has_contexts
def test_kernels_that_are_launched_from_python_give_torchs_results(tmp_path: Path) -> None:
    """As those are that NVRTC compiles: only the driver is another one."""
    header, library = Path(__file__).parent / "cuda_on_host", tmp_path / "kernels.so"
    compiler = next(path for name in COMPILERS if (path := shutil.which(name)))
    folders = ("-I", str(header), "-I", str(Path(kernels.__file__).parent))
    command = [compiler, "-std=c++17", "-O1", "-Wno-unknown-pragmas", "-fPIC", "-shared", *folders]
    subprocess.run([*command, str(header / "by_name.cpp"), "-o", str(library)], check=True)
    launched: set[str] = set()

    def launch(name: str, *arguments: Any) -> int:
        launched.add(name)
        return launch_in(library)(name, *arguments)

    assert difference(FusedOperators.of_kernels(KernelLibrary(launch), CPU)) is None
    ways = ("tiles", "outputs", "widened")
    assert launched == {f"{way}{back}_kernel" for way in ways for back in ("", "_back")}
    with pytest.raises(RuntimeError, match="failed with CUDA's error 500"):
        operators = FusedOperators.of_kernels(KernelLibrary(lambda *_: 500), CPU)
        operators.tiles(torch.zeros(1, 4, 4, 32), torch.ones(32), 1, torch.zeros(16, 4, 32))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu(tmp_path: Path) -> None:
    device = torch.device("cuda", 0)
    torch.backends.cudnn.allow_tf32 = False
    assert difference(FusedOperators(build(tmp_path, device), device)) is None
