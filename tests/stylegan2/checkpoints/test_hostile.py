# SPDX-License-Identifier: GPL-3.0-or-later
"""Malicious and damaged files raise a ``ModelError`` and have no other effect.

If a damaged file can still be loaded, it gives a complete generator with finite weights.
"""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stylegan2 import (
    Generator,
    GeneratorConfig,
    ModelError,
    ModelErrorKind,
    load_generator,
    save_generator,
)

from ..making import random_generator
from ..pickles import (
    Persistent,
    RawStorage,
    RawTensor,
    dump,
    legacy_storage,
    persistent_generator,
    snapshot,
)

MINIMAL = GeneratorConfig(img_resolution=8, channels=(2, 2), w_dim=2, z_dim=2, num_layers=1)


@pytest.fixture
def minimal() -> Generator:
    """Return a generator as small as possible, so that most bytes of its file are structure."""
    return random_generator(MINIMAL)


def refusal_of(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_generator(path)
    return caught.value


class Call:
    """An object that pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("place", ["top", "beside", "attribute", "tensor"])
def test_a_payload_is_refused_by_name_and_not_run(
    minimal: Generator, tmp_path: Path, protocol: int, place: str
) -> None:
    trap = tmp_path / "trap"
    payload = Call(os.system, f"echo caught > {trap}")
    root = persistent_generator(minimal)
    value: object = {"G_ema": root}
    if place == "top":
        value = payload
    elif place == "beside":
        value = {"G_ema": root, "augment_pipe": payload}
    elif place == "attribute":
        root.children["synthesis"].children["b8"].children["conv0"].attributes["up"] = payload
    else:
        root.children["mapping"].buffers["w_avg"] = payload
    path = tmp_path / "model.pkl"
    path.write_bytes(dump(value, protocol))
    error = refusal_of(path)
    assert not trap.exists()
    assert error.kind is ModelErrorKind.UNSAFE
    assert "nothing in it was run" in error.message
    if protocol >= 2 or place == "top":  # the first global of the older protocols is named
        assert f"asks for {os.system.__module__}.system" in error.message


def test_the_payload_would_have_run_in_an_ordinary_unpickler(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    pickle.loads(pickle.dumps(Call(trap.write_text, "caught")))
    assert trap.exists()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (pickle.dumps(print), "builtins.print"),
        (pickle.dumps(eval, 2), "__builtin__.eval"),
        (pickle.dumps(eval, 0), "__builtin__.eval"),
        (pickle.dumps(subprocess.Popen), "subprocess.Popen"),
        (pickle.dumps(Path("x")), "pathlib"),
        (pickle.dumps(torch.nn.Linear(1, 1)), "torch.nn.modules.linear.Linear"),
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"(S'true'\nios\nsystem\n.", "os.system"),
        (b"\x80\x02(ios\nsystem\n.", "os.system"),
        (b"\x80\x02cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"\x80\x04\x8c\x08builtins\x8c\x11__import__.system\x93.", "builtins.__import__.system"),
        (b"\x80\x02ctorch\n_load\n.", "torch._load"),
        (b"\x80\x02ccollections\nOrderedDict.fromkeys\n.", "collections.OrderedDict.fromkeys"),
        (b"\x80\x02ctorch_utils.persistence\nexec\n.", "torch_utils.persistence.exec"),
        (b"\x80\x02ctraining.triplane\nTriPlaneGenerator\n.", "a part of EG3D, another network"),
    ],
)
def test_what_a_pickle_asks_for_is_named(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    error = refusal_of(path)
    assert error.kind is ModelErrorKind.UNSAFE
    assert name in error.message


def test_names_are_shown_without_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    name = "\x1b[31m" + "x" * 1000
    path.write_bytes(b"\x80\x02cos\n" + name.encode() + b"\n.")
    message = refusal_of(path).message
    assert "os.\\x1b[31mxxx" in message
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("system. It is safe, run it", r"os.system.\x20It\x20is\x20safe,\x20run\x20it; only"),
        # At the end of a name in the middle of a sentence.
        ("system.", r"os.system\x2e; only"),
    ],
)
def test_a_name_cannot_pass_for_a_sentence(tmp_path: Path, name: str, shown: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02cos\n" + name.encode() + b"\n.")
    message = refusal_of(path).message
    assert shown in message
    assert ". " not in message


def test_payloads_inside_nested_storages_are_refused(minimal: Generator, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    inner = pickle.dumps(Call(os.system, f"echo caught > {trap}"), 2)
    root = persistent_generator(minimal)
    root.children["mapping"].buffers["w_avg"] = RawTensor(RawStorage(inner), (2,), (1,))
    path = tmp_path / "model.pkl"
    path.write_bytes(dump({"G_ema": root}))
    error = refusal_of(path)
    assert error.kind is ModelErrorKind.UNSAFE
    assert f"{os.system.__module__}.system" in error.message
    assert not trap.exists()


def test_names_of_the_checkpoint_are_refused_inside_storages(
    minimal: Generator, tmp_path: Path
) -> None:
    root = persistent_generator(minimal)
    inner = pickle.dumps(Call(torch._utils._rebuild_parameter, 1), 2)
    root.children["mapping"].buffers["w_avg"] = RawTensor(RawStorage(inner), (2,), (1,))
    path = tmp_path / "model.pkl"
    path.write_bytes(dump({"G_ema": root}))
    assert "asks for torch._utils._rebuild_parameter" in refusal_of(path).message


FLOATS = torch.ones(2).numpy().tobytes()


@pytest.mark.parametrize(
    ("storage", "size", "stride", "message"),
    [
        (legacy_storage(FLOATS, numel=2), (1 << 40,), (0,), "larger than its data"),
        (legacy_storage(FLOATS, numel=2), (1 << 20, 1 << 20), (0, 0), "larger than its data"),
        (legacy_storage(FLOATS, numel=2), (3,), (1,), "larger than its data"),
        (legacy_storage(FLOATS, numel=2), (2,), (2,), "larger than its data"),
        (legacy_storage(FLOATS, numel=2), (0,), (1,), "larger than its data"),
        (legacy_storage(FLOATS, numel=2), (2,), (-1,), "impossible shape"),
        (legacy_storage(FLOATS, numel=2), (-2,), (1,), "impossible shape"),
        (legacy_storage(FLOATS, numel=2), (True,), (1,), "impossible shape"),
        (legacy_storage(FLOATS, numel=2), (2.0,), (1,), "impossible shape"),
        (legacy_storage(FLOATS, numel=2), [2], (1,), "impossible shape"),
        (legacy_storage(FLOATS, numel=2), (1,) * 9, (1,) * 9, "impossible shape"),
        (legacy_storage(FLOATS, numel=2), (2, 1), (1,), "shape of 2 dimensions"),
        (legacy_storage(FLOATS, numel=1 << 40), (2,), (1,), "does not have the declared size"),
        (legacy_storage(FLOATS, numel=2, stored_numel=3), (2,), (1,), "not have the declared size"),
        (legacy_storage(FLOATS + b"x", numel=2), (2,), (1,), "not have the declared size"),
        (legacy_storage(FLOATS, numel=2)[:-9], (2,), (1,), "data of mapping.w_avg is missing"),
        (legacy_storage(FLOATS, numel=-2), (2,), (1,), "not in torch's format"),
        (legacy_storage(FLOATS, numel=2, magic=7), (2,), (1,), "not in torch's format"),
        (legacy_storage(FLOATS, numel=2, little_endian=False), (2,), (1,), "big-endian"),
        (legacy_storage(FLOATS, numel=2, view=("0", 0, 2)), (2,), (1,), "a view of other data"),
        (legacy_storage(FLOATS, numel=2, keys=("0", "1")), (2,), (1,), "a view of other data"),
        (legacy_storage(FLOATS, numel=2, kind="x"), (2,), (1,), "not in torch's format"),
        (legacy_storage(FLOATS, numel=8, kind=torch.ByteStorage), (8,), (1,), "as ByteStorage"),
        (b"", (2,), (1,), "truncated"),
        (b"\x80\x02N.", (2,), (1,), "truncated"),
    ],
)
def test_tensors_that_lie_about_their_size_are_refused(
    minimal: Generator, tmp_path: Path, storage: bytes, size: object, stride: object, message: str
) -> None:
    root = persistent_generator(minimal)
    root.children["mapping"].buffers["w_avg"] = RawTensor(RawStorage(storage), size, stride)
    path = tmp_path / "model.pkl"
    path.write_bytes(dump({"G_ema": root}))
    error = refusal_of(path)
    assert error.kind in (ModelErrorKind.DAMAGED, ModelErrorKind.UNSUPPORTED)
    assert message in error.message


def test_tensors_that_share_their_bytes_cannot_outgrow_the_file(tmp_path: Path) -> None:
    wide = GeneratorConfig(img_resolution=8, channels=(64, 64), w_dim=64, z_dim=64, num_layers=4)
    root = persistent_generator(Generator(wide))
    shared = RawStorage(legacy_storage(bytes(4 * 64 * 64 * 9), numel=64 * 64 * 9))

    def share(module: Persistent) -> None:
        for name, tensor in [*module.parameters.items(), *module.buffers.items()]:
            if name != "resample_filter":
                fake = RawTensor(shared, tuple(tensor.shape), tensor.stride())
                (module.parameters if name in module.parameters else module.buffers)[name] = fake
        for child in module.children.values():
            share(child)

    share(root)
    path = tmp_path / "model.pkl"
    path.write_bytes(dump({"G_ema": root}))
    assert "its tensors share their data" in refusal_of(path).message


def test_sizes_beyond_any_model_take_no_memory(tmp_path: Path) -> None:
    """All tensors but one are consistent; the sizes that one implies would take gigabytes."""
    root = persistent_generator(random_generator(MINIMAL))
    storage = RawStorage(legacy_storage(bytes(4 * 60000 * 9), numel=60000 * 9))
    conv = root.children["synthesis"].children["b4"].children["conv1"]
    conv.parameters["weight"] = RawTensor(storage, (60000, 1, 3, 3), (9, 9, 3, 1))
    path = tmp_path / "model.pkl"
    path.write_bytes(dump({"G_ema": root}))
    tracemalloc.start()
    error = refusal_of(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "is larger than any StyleGAN2 generator" in error.message
    assert peak < 4 * path.stat().st_size


_recorded: list[str] | None = None


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    """Record watched events while a test asks for it; an audit hook cannot be removed."""
    watched = ("exec", "compile", "import", "os.system", "subprocess.Popen", "pickle.find_class")
    if _recorded is not None and event in watched:
        _recorded.append(event)


sys.addaudithook(_audit)


@pytest.mark.parametrize("protocol", [2, 4])
def test_reading_imports_and_executes_nothing(
    minimal: Generator, tmp_path: Path, protocol: int
) -> None:
    global _recorded
    path = tmp_path / "model.pkl"
    path.write_bytes(snapshot(minimal, protocol))
    load_generator(path)  # torch and numpy make their late imports here
    _recorded = []
    try:
        load_generator(path)
        assert _recorded == []
        pickle.loads(pickle.dumps(Path))
        assert "pickle.find_class" in _recorded
    finally:
        _recorded = None


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    return b"\x80\x04" + opening * depth + closing * depth + b"."


@pytest.mark.parametrize(
    "data",
    [
        nested(200_000, b"]", b"a")[:-2] + b".",
        nested(200_000, b"(", b"t"),
        b"\x80\x04N" + b"\x85" * 400_000 + b".",
        b"\x80\x02" + b"ccollections\nOrderedDict\n" * 20_000 + b")R" + b"\x85R" * 19_999 + b".",
        b"\x80\x04" + b"(" * 900_000,
        b"\x80\x04" + b"}" * 900_000 + b".",
        b"\x80\x04" + b"N" * 2_000_000 + b".",
    ],
    ids=["lists", "marks", "tuples", "calls", "open marks", "dictionaries", "too long"],
)
def test_deep_nesting_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    assert refusal_of(path).kind is not ModelErrorKind.UNSAFE


def test_deep_nesting_in_known_places_is_refused(minimal: Generator, tmp_path: Path) -> None:
    deep: Any = ()
    for _ in range(300):  # as deep as Python's pickler allows
        deep = (deep,)
    changes: list[Callable[[Persistent], object]] = [
        lambda root: setattr(root, "version", deep),
        lambda root: setattr(root, "class_name", deep),
        lambda root: root.children["synthesis"].children["b4"].attributes.update(architecture=deep),
        lambda root: root.children["mapping"].children["fc0"].attributes.update(bias_gain=deep),
        lambda root: root.children["mapping"].parameters.update(weight=deep),
    ]
    for change in changes:
        root = persistent_generator(minimal)
        change(root)
        path = tmp_path / "model.pkl"
        path.write_bytes(dump({"G_ema": root}))
        refusal_of(path)


def test_billion_laughs_are_not_expanded(minimal: Generator, tmp_path: Path) -> None:
    laughs: Any = "ha"
    for _ in range(200):
        laughs = [laughs, laughs, laughs, laughs]
    root = persistent_generator(minimal)
    root.attributes["joke"] = laughs
    path = tmp_path / "model.pkl"
    path.write_bytes(dump({"G_ema": root, "joke": laughs}))
    load_generator(path)
    root.children["mapping"].buffers["w_avg"] = laughs
    path.write_bytes(dump({"G_ema": root, "joke": laughs}))
    assert "something other than a tensor" in refusal_of(path).message


def test_cycles_are_not_followed(minimal: Generator, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    # A list that contains itself, and a dictionary that is its own generator.
    for data in (b"\x80\x04]\x94h\x00a.", b"\x80\x04}\x94X\x05\x00\x00\x00G_emah\x00s."):
        path.write_bytes(data)
        refusal_of(path)
    root = persistent_generator(minimal)
    children: dict[str, Any] = {}
    children |= {"mapping": Persistent("MappingNetwork"), "synthesis": Persistent("Synthesis")}
    children["mapping"].children = children
    children["synthesis"].children = children
    root.children = children
    path.write_bytes(dump({"G_ema": root}))
    assert "without the block b4" in refusal_of(path).message


def load_or_refuse(path: Path) -> None:
    """Load a complete model, or assert a ``ModelError`` with one readable sentence."""
    try:
        generator = load_generator(path)
    except ModelError as error:
        assert error.message.isprintable()
        assert error.message.count(". ") == 0
        return
    assert all(torch.isfinite(tensor).all() for tensor in generator.state_dict().values())


@pytest.fixture(params=["pkl", "safetensors"])
def model_file(request: pytest.FixtureRequest, minimal: Generator, tmp_path: Path) -> Path:
    path = tmp_path / f"whole.{request.param}"
    if request.param == "pkl":
        path.write_bytes(snapshot(minimal))
    else:
        save_generator(minimal, path)
    load_generator(path)
    return path


def test_truncated_files_are_refused(model_file: Path, tmp_path: Path) -> None:
    data, path = model_file.read_bytes(), tmp_path / "cut.pkl"
    for length in [*range(64), *range(64, len(data) - 16, 89), *range(len(data) - 16, len(data))]:
        path.write_bytes(data[:length])
        refusal_of(path)


def test_flipped_bytes_give_a_model_or_a_refusal(model_file: Path, tmp_path: Path) -> None:
    data, path = model_file.read_bytes(), tmp_path / "flipped.pkl"
    chance = random.Random(0)
    for _ in range(600):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 3, 20))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        load_or_refuse(path)


def test_random_bytes_give_a_refusal(tmp_path: Path) -> None:
    chance = random.Random(1)
    path = tmp_path / "noise.pkl"
    for start in (b"", b"\x80\x04", b"\x80\x02}q\x00(", b"\x40\0\0\0\0\0\0\0{", b"PK\x03\x04"):
        for _ in range(60):
            path.write_bytes(start + chance.randbytes(chance.randrange(300)))
            refusal_of(path)
