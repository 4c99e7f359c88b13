# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes hostile model files: ``python tests/data/hostile/make.py FOLDER [NAME ...]``.

Each function makes one file, and its docstring says what the file tries. They write bytes by hand
or with the standard library, so that nothing of the project is needed to make them. Large files are
sparse. ``tests/stylegan2/checkpoints/test_corpus.py`` gives each one to the readers.
"""

from __future__ import annotations

import json
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

MAGIC = b"\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
NETWORK = b"cdnnlib.tflib.network\nNetwork\n"
MODULE = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(value: str) -> bytes:
    """Return the pickle instructions of a text."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def entry(key: str, value: bytes) -> bytes:
    """Return the pickle instructions of a key and a value."""
    return text(key) + value


def table(*entries: bytes) -> bytes:
    """Return the pickle instructions of a dictionary."""
    return b"}(" + b"".join(entries) + b"u"


def number(value: int) -> bytes:
    """Return the pickle instructions of an integer."""
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def module(class_name: str, *, parameters: bytes, buffers: bytes, children: bytes) -> bytes:
    """Return the pickle instructions of a network module of the StyleGAN2-ADA software."""
    state = table(
        entry("_parameters", parameters),
        entry("_buffers", buffers),
        entry("_modules", children),
    )
    meta = table(
        entry("type", text("class")),
        entry("version", b"K\x06"),
        entry("class_name", text(class_name)),
        entry("state", state),
    )
    return MODULE + meta + b"\x85R"


def network(variables: bytes, *, synthesis: bytes, mapping: bytes) -> bytes:
    """Return the pickle instructions of a network for TensorFlow."""
    parts = {"synthesis": synthesis, "mapping": mapping}
    components = table(
        *(
            entry(name, NETWORK + b")\x81" + table(entry("variables", value)) + b"b")
            for name, value in parts.items()
        )
    )
    state = table(
        entry("version", b"K\x05"),
        entry("static_kwargs", b"}"),
        entry("components", components),
        entry("variables", variables),
    )
    return NETWORK + b")\x81" + state + b"b"


def code_at_the_top(path: Path) -> None:
    """Run a command when it is unpickled."""
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")


def code_in_a_module(path: Path) -> None:
    """Run a command as an attribute of a layer, where a reader may look for a number."""
    payload = b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R"
    children = table(entry("synthesis", payload), entry("mapping", payload))
    root = module("Generator", parameters=b"}", buffers=b"}", children=children)
    path.write_bytes(b"\x80\x02" + table(entry("G_ema", root)) + b".")


def code_in_a_torch_zip(path: Path) -> None:
    """Run a command from the pickle of a torch archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.")


def code_in_the_older_torch_container(path: Path) -> None:
    """Run a command from the fourth pickle of the older container."""
    head = b"\x80\x02" + MAGIC[:2] + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
    head += b"\x80\x02M\xe9\x03." + b"\x80\x02" + table(entry("little_endian", b"\x88")) + b"."
    path.write_bytes(head + b"\x80\x02csubprocess\nPopen\nX\x02\x00\x00\x00ls\x85R.")


def method_of_an_allowed_name(path: Path) -> None:
    """Call an attribute of an allowed class through a dotted name."""
    path.write_bytes(b"\x80\x04\x8c\x0bcollections\x8c\x15OrderedDict.fromkeys.x\x93)R.")


def call_of_the_result_of_a_call(path: Path) -> None:
    """Call what an allowed call returned, as bypasses of filters do."""
    path.write_bytes(b"\x80\x02ccollections\nOrderedDict\n)R)R.")


def text_shared_by_many_arrays(path: Path) -> None:
    """Let a reader decode one text of a megabyte for each of 2,000 arrays."""
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85K\x01\x87R"
    dtype = b"cnumpy\ndtype\n" + text("f4") + b"K\x00K\x01\x87R(K\x03" + text("<") + b"NNNtb"
    data = b"c_codecs\nencode\nh\x01" + text("latin1") + b"\x86R"
    value = array + b"(K\x01K\x01K\x01\x86" + dtype + b"\x89" + data + b"tb"
    synthesis = b"](" + text("4x4/Conv/mod_weight") + value + b"\x86e"
    mapping = b"".join(
        text(f"Dense{n}/{kind}") + value + b"\x86"
        for n in range(1000)
        for kind in ("weight", "bias")
    )
    body = network(b"]", synthesis=synthesis, mapping=b"](" + mapping + b"e")
    # A state may have any entries, so the shared text is one of them.
    shared = text("build_module_src") + text("a" * 1_000_000) + b"q\x01"
    begin = len(NETWORK) + 2
    path.write_bytes(b"\x80\x02" + body[: begin + 2] + shared + body[begin + 2 :] + b".")


def huge_strides(path: Path) -> None:
    """Try strides of 2**63 on dimensions of one element, which overflow in torch."""
    storage = b"((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    storage += b"K\x01NtQ"
    tensor = REBUILD + b"(" + storage[1:] + b"K\x00" + b"(K\x01K\x01K\x01t"
    tensor += b"(" + number(2**63) * 3 + b"t" + b"\x89}tR"
    keys = ("synthesis.b4.const", "mapping.fc0.weight", "mapping.fc0.bias")
    body = table(*(entry(key, tensor) for key in keys))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02" + body + b".")
        archive.writestr("m/data/0", bytes(4))


def a_million_empty_tensors(path: Path) -> None:
    """Try a million tensors without elements."""
    tensor = REBUILD + b"(NK\x00K\x00\x85K\x01\x85\x89}tR" + b"r\x01\x00\x00\x00"
    more = b"".join(entry(f"t{n}", b"j\x01\x00\x00\x00") for n in range(1_000_000))
    path.write_bytes(b"\x80\x02}(" + entry("t", tensor) + more + b"u.")


def a_million_globals(path: Path) -> None:
    """Name an allowed global a million times."""
    path.write_bytes(b"\x80\x02](" + b"ccollections\nOrderedDict\n" * 1_000_000 + b"e.")


def long_names(path: Path) -> None:
    """Try thousands of names that are as long as a line may be."""
    names = b"".join(b"X" + struct.pack("<I", 4000) + b"n" * 4000 for _ in range(12_000))
    path.write_bytes(b"\x80\x02](" + names + b"e.")


def a_million_zip_entries(path: Path) -> None:
    """Try a zip archive whose table of contents has a million entries."""
    name = b"m/data.pkl"
    local = b"PK\x03\x04" + bytes(22) + struct.pack("<HH", len(name), 0) + name
    central = b"PK\x01\x02" + bytes(24) + struct.pack("<HHH", len(name), 0, 0) + bytes(12) + name
    directory = central * 1_000_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, len(directory), len(local), 0)
    path.write_bytes(local + directory + end)


def a_directory_of_4_gigabytes(path: Path) -> None:
    """Try a sparse zip archive that says that its table of contents has nearly 4 GiB."""
    size = (4 << 30) - 4096
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, size - 100, 40, 0)
    with path.open("wb") as file:
        file.write(b"PK\x03\x04" + bytes(30))
        file.seek(size)
        file.write(end)


def compressed_zeros(path: Path) -> None:
    """Try a torch archive whose pickle is 200 MB of compressed zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(200_000_000))


def sparse_pickle(path: Path) -> None:
    """Try a sparse pickle of 3 GiB, nearly all of it one bytes object."""
    size = 3 << 30
    with path.open("wb") as file:
        file.write(b"\x80\x04" + b"\x8e" + struct.pack("<Q", size))
        file.seek(size + 11)
        file.write(b".")


def sparse_text(path: Path) -> None:
    """Try a sparse pickle of 3 GiB, nearly all of it one text, the source of a module."""
    size = 3 << 30
    with path.open("wb") as file:
        file.write(b"\x80\x04" + b"\x8d" + struct.pack("<Q", size))
        file.seek(size + 11)
        file.write(b".")


def sparse_safetensors(path: Path) -> None:
    """Try a sparse safetensors file of 3 GiB with one tensor."""
    size = 3 << 30
    header = json.dumps(
        {"x": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    ).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)


def large_json(path: Path) -> None:
    """Try a safetensors file whose header is 10 MB of nested lists."""
    header = b'{"a":' + b"[" * 5_000_000 + b"]" * 5_000_000 + b"}"
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def many_json_keys(path: Path) -> None:
    """Try a safetensors file whose header has as many tensors without elements as fit."""
    described = b'{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = b"{" + b",".join(b'"%d":%s' % (n, described) for n in range(1_000_000)) + b"}"
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def overlapping_safetensors(path: Path) -> None:
    """Try a safetensors file with four thousand tensors that share the same 64 MB."""
    size = 64 << 20
    described = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    header = json.dumps({str(n): described for n in range(4000)}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)


def shared_table_of_nothing(path: Path) -> None:
    """Share one table of 100,000 empty parameters among hundreds of modules."""
    names = b"".join(entry(f"p{n}", b"N") for n in range(100_000))
    shared = b"}(" + names + b"u" + b"r\x01\x00\x00\x00"
    part = module("L", parameters=b"j\x01\x00\x00\x00", buffers=b"}", children=b"}")
    layers = table(*(entry(f"fc{n}", part) for n in range(64)))
    mapping = module("M", parameters=b"j\x01\x00\x00\x00", buffers=b"}", children=layers)
    block = module("B", parameters=b"j\x01\x00\x00\x00", buffers=b"}", children=layers)
    blocks = table(*(entry(f"b{4 << n}", block) for n in range(9)))
    synthesis = module("S", parameters=b"j\x01\x00\x00\x00", buffers=b"}", children=blocks)
    root = module(
        "Generator",
        parameters=b"}",
        buffers=b"}",
        children=table(entry("mapping", mapping), entry("synthesis", synthesis)),
    )
    path.write_bytes(b"\x80\x02" + table(entry("shared", shared), entry("G_ema", root)) + b".")


def sets_of_sets(path: Path) -> None:
    """Make as many empty sets, the largest empty values, as it has bytes."""
    path.write_bytes(b"\x80\x04](" + b"\x8f" * 5_000_000 + b"e.")


def memo_of_everything(path: Path) -> None:
    """Remember a value under millions of numbers."""
    puts = b"".join(b"r" + struct.pack("<I", n) for n in range(2_000_000))
    path.write_bytes(b"\x80\x02N" + puts + b".")


def equal_hashes(path: Path) -> None:
    """Try keys that all have the same hash, so that a dictionary becomes slow."""
    step = (1 << 61) - 1
    keys = b"".join(number(n * step) + b"N" for n in range(40_000))
    path.write_bytes(b"\x80\x02}(" + keys + b"u.")


def deep_nesting(path: Path) -> None:
    """Nest tuples as deep as it has bytes, which overflows the stack when they are freed."""
    path.write_bytes(b"\x80\x04N" + b"\x85" * 2_000_000 + b".")


def cyclic_dictionary(path: Path) -> None:
    """Try a state dict that contains itself under every name that a reader follows."""
    names = ("G_ema", "g_ema", "state_dict", "model", "models", "generator", "params_ema", "ema")
    more = b"".join(entry(name, b"h\x00") for name in names)
    path.write_bytes(b"\x80\x02}q\x00(" + more + b"u.")


def laughs(path: Path) -> None:
    """Double a list two hundred times, so that its written form would never end."""
    levels = (b"](" + (b"h" + bytes([n])) * 2 + b"eq" + bytes([n + 1]) for n in range(200))
    body = b"".join(entry(str(n), level) for n, level in enumerate(levels))
    path.write_bytes(b"\x80\x02}(" + entry("G_ema", b"]q\x00") + body + b"u.")


def text_as_a_number(path: Path) -> None:
    """Try an integer of a million digits."""
    path.write_bytes(b"\x80\x02\x8b" + struct.pack("<i", 500_000) + b"\x7f" * 500_000 + b".")


def wide_mapping(path: Path) -> None:
    """Try a safetensors model whose mapping network alone would take two gigabytes."""
    side = 16384
    shape = {"mapping.fc0.weight": [side, side], "mapping.fc0.bias": [side]}
    shape |= {f"mapping.fc1.{kind}": shape[f"mapping.fc0.{kind}"] for kind in ("weight", "bias")}
    _sparse_model(path, shape)


def valid_but_empty(path: Path) -> None:
    """Try a sparse file of 256 MB with a complete model of zeros, as large as a real one."""
    side = 8192
    shapes = {"mapping.fc0.weight": [side, side], "mapping.fc0.bias": [side]}
    shapes |= {"mapping.fc1.weight": [1, side], "mapping.fc1.bias": [1], "mapping.w_avg": [1]}
    block = {"const": [1, 4, 4], "conv1.weight": [1, 1, 3, 3], "conv1.bias": [1]}
    block |= {"torgb.weight": [3, 1, 1, 1], "torgb.bias": [3]}
    for layer in ("conv1", "torgb"):
        block |= {f"{layer}.affine.weight": [1, 1], f"{layer}.affine.bias": [1]}
    shapes |= {f"synthesis.b4.{key}": shape for key, shape in block.items()}
    _sparse_model(path, shapes, z_dim=side, use_noise=False)


def _sparse_model(path: Path, shapes: dict[str, list[int]], **change: object) -> None:
    header: dict[str, object] = {}
    offset = 0
    for key, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    config: dict[str, object] = {
        "z_dim": 1,
        "c_dim": 0,
        "w_dim": 1,
        "img_h": 4,
        "img_w": 4,
        "img_channels": 3,
    }
    config |= {"num_layers": 2, "lr_multiplier": 0.01, "conv_clamp": None, "use_noise": True}
    config |= {"architecture": "skip", "label_mode": "none"}
    config |= {"source_sha256": "", "license_note": "", **change}
    header["__metadata__"] = {
        "format": "pt",
        "architecture": "stylegan2",
        "config": json.dumps(config),
    }
    data = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(data)) + data)
        file.truncate(8 + len(data) + offset)


def long_old_pickle(path: Path) -> None:
    """Try a pickle of protocol 0 of 20 MB that ends as one does."""
    path.write_bytes(b"(lp0\n" + b"I1\na" * 5_000_000 + b".")


def names_with_control_characters(path: Path) -> None:
    """Name a global and keys that would change a terminal's title and colours."""
    evil = "\x1b]0;owned\x07\x1b[31m" + "x" * 3000
    path.write_bytes(pickle.dumps({evil: 1, evil + "2": evil}, 2))


def makers() -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Yield the name of each file and the function that makes it."""
    for name, value in list(globals().items()):
        is_maker = callable(value) and not isinstance(value, type) and not name.startswith("_")
        if is_maker and getattr(value, "__annotations__", {}) == {"path": "Path", "return": "None"}:
            yield name, value


def main(arguments: list[str]) -> int:
    """Write the files into a folder; return 0."""
    folder, wanted = Path(arguments[0]), arguments[1:]
    for name, make in makers():
        if not wanted or name in wanted:
            make(folder / f"{name}.bin")
            print(f"{name}: {(make.__doc__ or '').splitlines()[0]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
