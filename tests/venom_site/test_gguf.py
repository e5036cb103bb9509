"""The header of a GGUF file: what it says, and that no file can hurt who reads it."""

from __future__ import annotations

import contextlib
import random
import struct
import time
import tracemalloc

import gguf
import numpy
import pytest

from tests.fakes.gguf import LLAMA, Raw, gguf_bytes, string, write_gguf
from venom_site.clients.gguf import GgufRefused, header_of, read_header
from venom_site.clients.gguf_words import FILE_TYPES, TENSOR_TYPES
from venom_site.lib.errors import WireError

TENSORS = [("token_embd.weight", (64, 2000), 12), ("output.weight", (64, 2000), 14)]


@pytest.fixture
def llama(tmp_path):
    return write_gguf(tmp_path / "practice.gguf", LLAMA, TENSORS)


def test_a_header_says_what_the_model_is(llama):
    header = read_header(llama)

    assert (header.version, header.architecture) == (3, "llama")
    assert (header.context_length, header.layers, header.heads) == (8192, 2, (4,))
    assert (header.file_type, header.quantization) == (15, "Q4_K_M")
    assert header.chat_template == "{{ messages }}"
    assert header.parameters == 2 * 64 * 2000
    assert header.tensors == 2
    assert header.vocabulary == 2000
    assert header.split is None
    assert header.is_whole
    assert not header.is_projector


def test_long_arrays_are_stepped_over_and_only_counted(llama):
    header = read_header(llama)
    assert "tokenizer.ggml.tokens" not in header.keys
    assert header.lengths["tokenizer.ggml.tokens"] == 2000


def test_every_kind_of_value_is_read(tmp_path):
    keys = {
        "u8": Raw(0, b"\xff"),
        "i8": Raw(1, b"\xff"),
        "u16": Raw(2, b"\xff\xff"),
        "i16": Raw(3, b"\xfe\xff"),
        "i32": Raw(5, struct.pack("<i", -3)),
        "f32": 0.5,
        "yes": True,
        "u64": Raw(10, struct.pack("<Q", 2**63)),
        "i64": -(2**40),
        "f64": Raw(12, struct.pack("<d", 0.25)),
        "words": ["a", "b"],
        "heads": [8, 0, 8],
    }
    header = read_header(write_gguf(tmp_path / "all.gguf", keys))
    assert dict(header.keys) == {
        "u8": 255,
        "i8": -1,
        "u16": 65_535,
        "i16": -2,
        "i32": -3,
        "f32": 0.5,
        "yes": True,
        "u64": 2**63,
        "i64": -(2**40),
        "f64": 0.25,
        "words": ("a", "b"),
        "heads": (8, 0, 8),
    }


def test_the_first_bytes_of_a_file_are_enough(llama):
    whole = llama.read_bytes()
    header = header_of(whole[: read_header(llama).data_offset])
    assert header == read_header(llama)


def test_bytes_that_end_within_the_header_tell_what_they_reach(llama):
    whole = llama.read_bytes()
    cut = whole[: whole.index(b"tokenizer.chat_template")]

    header = header_of(cut)

    assert not header.is_whole
    assert header.architecture == "llama"
    assert (header.chat_template, header.parameters) == ("", None)


def test_the_parts_of_a_split_model_say_which_they_are(tmp_path):
    keys = LLAMA | {"split.no": 0, "split.count": 3, "split.tensors.count": 9}
    assert read_header(write_gguf(tmp_path / "a.gguf", keys)).split == (0, 3)


@pytest.mark.parametrize(
    "keys", [{"general.architecture": "clip"}, {"general.type": "mmproj"}]
)
def test_a_projector_is_no_model(tmp_path, keys):
    assert read_header(write_gguf(tmp_path / "mmproj.gguf", keys)).is_projector


@pytest.mark.parametrize(
    ("file_type", "name"),
    [(15, "Q4_K_M"), (15 | 1024, "Q4_K_M"), (38, "MXFP4_MOE"), (999, "Q6_K")],
)
def test_the_quantization_has_its_usual_name(tmp_path, file_type, name):
    keys = LLAMA | {"general.file_type": file_type}
    tensors = [("small", (256,), 0), ("large", (256, 9), 14)]
    path = write_gguf(tmp_path / "a.gguf", keys, tensors)
    assert read_header(path).quantization == name


def test_our_tables_are_those_of_the_package():
    sizes = {
        int(kind): (kind.name, *gguf.GGML_QUANT_SIZES[kind])
        for kind in gguf.GGMLQuantizationType
        if kind in gguf.GGML_QUANT_SIZES
    }
    named = {
        int(kind): kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")
        for kind in gguf.LlamaFileType
        if kind.name != "GUESSED"
    }
    assert sizes == TENSOR_TYPES
    assert named == FILE_TYPES


def test_what_the_package_writes_is_read_as_the_package_reads_it(tmp_path):
    path = tmp_path / "written.gguf"
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_context_length(32_768)
    writer.add_block_count(3)
    writer.add_head_count([4, 4, 0])
    writer.add_head_count_kv([2, 2, 0])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_chat_template("{{ messages }} ąß")
    writer.add_token_list([f"tok{n}" for n in range(5000)])
    writer.add_tensor("a.weight", numpy.zeros((16, 32), dtype=numpy.float16))
    writer.add_tensor("b.weight", numpy.zeros((7,), dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    ours, theirs = read_header(path), gguf.GGUFReader(path)

    assert ours.parameters == sum(int(t.n_elements) for t in theirs.tensors)
    assert ours.data_offset == theirs.data_offset
    for name, value in ours.keys.items():
        said = theirs.fields[name].contents()
        assert value == (tuple(said) if isinstance(said, list) else said)
    skipped = {"tokenizer.ggml.tokens"}
    held = {name for name in theirs.fields if not name.startswith("GGUF.")}
    assert set(ours.keys) == held - skipped


HOSTILE = {
    "no magic": b"GGML" + bytes(60),
    "empty": b"",
    "only magic": b"GGUF",
    "version 1": gguf_bytes({}, version=1),
    "version 99": gguf_bytes({}, version=99),
    "big-endian": gguf_bytes({}, order=">"),
    "keys without end": gguf_bytes({}, key_count=2**64 - 1),
    "tensors without end": gguf_bytes({}, tensor_count=2**64 - 1),
    "more keys than there are": gguf_bytes({"a": 1}, key_count=50_000),
    "an endless string": gguf_bytes({"a": Raw(8, struct.pack("<Q", 2**63))}),
    "a string of 2 MiB": gguf_bytes({"a": "x" * (2 << 20)}),
    "an endless key": struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**62),
    "an endless array": gguf_bytes({"a": Raw(9, struct.pack("<IQ", 10, 2**61))}),
    "an array that wraps": gguf_bytes({"a": Raw(9, struct.pack("<IQ", 10, 2**64 - 1))}),
    "endless words": gguf_bytes({"a": Raw(9, struct.pack("<IQ", 8, 2**60))}),
    "an array of arrays": gguf_bytes({"a": Raw(9, struct.pack("<IQ", 9, 3))}),
    "an unknown type": gguf_bytes({"a": Raw(77, b"")}),
    "an array of an unknown type": gguf_bytes({"a": Raw(9, struct.pack("<IQ", 77, 1))}),
    "too many dimensions": gguf_bytes({}, [("t", (1,) * 9, 0)]),
    "a tensor beyond all sizes": gguf_bytes(
        {}, [("t", (2**62, 2**62), 0)], weights=False
    ),
    "more than is kept": gguf_bytes({f"k{n}": "x" * (1 << 20) for n in range(40)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_by_name_and_costs_no_memory(tmp_path, name):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(HOSTILE[name])
    tracemalloc.start()
    try:
        with pytest.raises(GgufRefused) as refused:
            read_header(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 80 << 20
    assert refused.value.permanent
    assert str(refused.value).endswith(".")
    assert isinstance(refused.value, WireError)


def test_weights_that_are_cut_off_are_noticed(tmp_path):
    path = write_gguf(tmp_path / "cut.gguf", LLAMA, TENSORS)
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole - 1000)  # the last 24 were padding
    with pytest.raises(GgufRefused, match=r"cut\.gguf is cut off: 976 bytes"):
        read_header(path)


def test_a_tensor_of_a_new_type_hides_only_its_size(tmp_path):
    path = write_gguf(tmp_path / "new.gguf", LLAMA, [("t", (64, 64), 250)])
    header = read_header(path)
    assert (header.parameters, header.tensor_bytes) == (4096, None)


def test_text_that_no_database_takes_is_cleaned(tmp_path):
    keys = {"general.name": b"a\0b\xff\xfe"}
    header = read_header(write_gguf(tmp_path / "odd.gguf", keys))
    assert header.text("general.name") == "ab\ufffd\ufffd"


def test_a_number_where_text_is_wanted_is_no_text(tmp_path):
    keys = {"general.architecture": 7, "tokenizer.chat_template": ["a"]}
    header = read_header(write_gguf(tmp_path / "odd.gguf", keys))
    assert (header.architecture, header.chat_template) == ("", "")


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_is_read_or_refused_but_never_breaks(seed):
    dice = random.Random(seed)
    whole = bytearray(gguf_bytes(LLAMA | {"words": ["a"] * 5}, TENSORS))
    for _ in range(dice.randint(1, 20)):
        whole[dice.randrange(200)] = dice.randrange(256)
    held = bytes(whole[: dice.randint(0, len(whole))])
    with contextlib.suppress(GgufRefused):
        header_of(held)


def test_a_vocabulary_of_256_thousand_words_takes_seconds_at_most(tmp_path):
    words = b"".join(string(f"token-{n}") for n in range(256_000))
    array = Raw(9, struct.pack("<IQ", 8, 256_000) + words)
    path = write_gguf(tmp_path / "big.gguf", LLAMA | {"tokenizer.ggml.tokens": array})
    began = time.perf_counter()
    header = read_header(path)
    assert header.vocabulary == 256_000
    assert header.chat_template
    assert time.perf_counter() - began < 10
