"""What a folder in Hugging Face layout tells of its model."""

from __future__ import annotations

import json
import os

import pytest

from models_app.providers.folders import describe_folder, read_folder
from models_app.providers.safetensors import read_header
from tests.fakes.gguf import LLAMA as LLAMA_GGUF
from tests.fakes.gguf import write_gguf
from tests.models_app import chat_templates as templates
from tests.models_app.model_folders import LLAMA, model_folder, safetensors

DECLARED, TEMPLATE = "declared", "template"


def test_a_chat_model_is_described_with_who_said_what(tmp_path):
    folder = model_folder(tmp_path / "m", template=templates.THINKS)

    said = describe_folder(folder)

    assert said.context_length == 512
    assert said.supports_chat is said.supports_system_role is True
    assert said.supports_function_calling is said.supports_thinking is True
    assert said.supports_vision is said.supports_embedding is False
    assert said.allowed_roles == ("system", "user", "assistant", "tool")
    assert said.sources == {
        "context_length": DECLARED,
        "supports_vision": DECLARED,
        "supports_embedding": DECLARED,
        "supports_chat": TEMPLATE,
        "supports_system_role": TEMPLATE,
        "supports_function_calling": TEMPLATE,
        "supports_thinking": TEMPLATE,
        "allowed_roles": TEMPLATE,
        "template": TEMPLATE,
    }


def test_figures_come_with_weights_that_were_counted(tmp_path):
    figures = describe_folder(model_folder(tmp_path / "m")).figures

    assert figures.parameters == 300 * 64 + 64
    assert figures.weights_bytes == (tmp_path / "m/model.safetensors").stat().st_size
    assert (figures.layers, figures.kv_heads, figures.key_length) == (2, (2,), 32)
    assert figures.dtype == "bfloat16"


def test_packed_weights_are_not_counted(tmp_path):
    config = LLAMA | {"quantization_config": {"quant_method": "awq", "bits": 4}}

    figures = describe_folder(model_folder(tmp_path / "m", config=config)).figures

    assert figures.parameters is None
    assert figures.quantization == "AWQ 4-bit"


def test_the_template_of_its_own_file_goes_before_the_tokenizers(tmp_path):
    folder = model_folder(
        tmp_path / "m",
        template=templates.THINKS,
        chat_template__jinja=templates.FOLDS_SYSTEM,
    )

    said = describe_folder(folder)

    assert said.template == templates.FOLDS_SYSTEM
    assert said.supports_function_calling is False


def test_named_templates_beside_it_take_tools(tmp_path):
    folder = model_folder(tmp_path / "m", chat_template__jinja=templates.CHATML)
    more = folder / "additional_chat_templates"
    more.mkdir()
    (more / "tool_use.jinja").write_text(templates.THINKS)

    assert describe_folder(folder).supports_function_calling is True


def test_a_processors_template_counts(tmp_path):
    told = {"chat_template": templates.PARTS_ONLY}

    said = describe_folder(model_folder(tmp_path / "m", chat_template__json=told))

    assert said.supports_chat is said.supports_system_role is True


def test_special_tokens_reach_the_template(tmp_path):
    strict = "{{ bos_token + eos_token }}{{ messages[0].content }}"

    folder = read_folder(model_folder(tmp_path / "m", template=strict))

    assert folder.special == {"bos_token": "<s>", "eos_token": "</s>"}


def test_a_model_without_a_template_cannot_chat_and_the_rest_is_not_known(tmp_path):
    said = describe_folder(model_folder(tmp_path / "m"))

    assert said.supports_chat is False
    assert said.sources["supports_chat"] == DECLARED
    assert said.supports_system_role is said.supports_function_calling is None
    assert "supports_system_role" not in said.sources


def test_a_template_that_breaks_leaves_open_what_it_would_have_told(tmp_path):
    said = describe_folder(model_folder(tmp_path / "m", template="{% foo %}"))

    assert said.supports_chat is said.supports_system_role is None
    assert said.allowed_roles == ()


@pytest.mark.parametrize(
    ("config", "files"),
    [
        ({**LLAMA, "vision_config": {"hidden_size": 8}}, {}),
        (LLAMA, {"preprocessor_config__json": {"image_processor_type": "X"}}),
        (LLAMA, {"processor_config__json": {"image_processor": {}}}),
    ],
)
def test_a_model_that_sees_says_so_in_its_settings(tmp_path, config, files):
    folder = model_folder(tmp_path / "m", config=config, **files)

    assert describe_folder(folder).supports_vision is True


def test_a_model_that_hears_does_not_see(tmp_path):
    heard = {"feature_extractor_type": "WhisperFeatureExtractor"}
    folder = model_folder(tmp_path / "m", preprocessor_config__json=heard)

    assert describe_folder(folder).supports_vision is False


def test_figures_of_the_language_part_count(tmp_path):
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "vision_config": {},
        "text_config": LLAMA | {"max_position_embeddings": 131072},
    }

    said = describe_folder(model_folder(tmp_path / "m", config=config))

    assert (said.context_length, said.supports_vision) == (131072, True)


def test_sentence_transformers_embed_and_do_not_chat(tmp_path):
    config = {"architectures": ["BertModel"], "max_position_embeddings": 512}
    folder = model_folder(
        tmp_path / "m",
        config=config,
        modules__json="[]",
        sentence_bert_config__json={"max_seq_length": 256},
    )

    said = describe_folder(folder)

    assert said.supports_embedding is True
    assert said.supports_chat is False
    assert said.context_length == 256


def test_a_context_without_sense_is_not_taken(tmp_path):
    config = {"architectures": ["LlamaForCausalLM"]}
    told = {"model_max_length": 10**30}
    folder = model_folder(tmp_path / "m", config=config, tokenizer_config__json=told)

    assert describe_folder(folder).context_length is None

    (folder / "tokenizer_config.json").write_text('{"model_max_length": 8192}')

    assert describe_folder(folder).context_length == 8192


def test_the_licence_stands_at_the_head_of_the_card(tmp_path):
    card = "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\nlicense: mit\n"

    said = describe_folder(model_folder(tmp_path / "m", README__md=card))

    assert (said.license, said.sources["license"]) == ("apache-2.0", DECLARED)
    assert (
        describe_folder(model_folder(tmp_path / "n", README__md=card[3:])).license == ""
    )


def test_shards_that_an_index_promises_are_missed(tmp_path):
    index = {"weight_map": {"a": "one.safetensors", "b": "../../two.safetensors"}}
    folder = model_folder(
        tmp_path / "m", model__safetensors__index__json=index, one__safetensors=b"x"
    )
    (tmp_path.parent / "two.safetensors").write_bytes(b"x")

    found = read_folder(folder)

    assert found.missing == ("../../two.safetensors",)
    assert found.damaged == ("one.safetensors",)


def test_mistrals_second_copy_of_the_weights_does_not_count(tmp_path):
    folder = model_folder(tmp_path / "m", consolidated__safetensors=safetensors())

    assert read_folder(folder).safetensors == ("model.safetensors",)


@pytest.mark.parametrize("length", [0, 7, 8, 40, -1])
def test_a_cut_file_of_weights_is_seen(tmp_path, length):
    whole = safetensors()
    folder = model_folder(tmp_path / "m", model__safetensors=whole[:length])

    assert read_folder(folder).damaged == ("model.safetensors",)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"null",
        b'{"a": 5}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1e9], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}',
        b'{"a": {"dtype": "F32", "shape": "ab", "data_offsets": [0, 4]}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_header_of_nonsense_is_no_header(tmp_path, header):
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)

    assert read_header(path) is None
    path.write_bytes((2**63).to_bytes(8, "little") + header)
    assert read_header(path) is None


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (None, "is missing"),
        ("", "is not JSON that can be read"),
        ("[1]", "holds no object"),
        ('{"a":' * 200_000, "is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON that can be read"),
        ('{"a": "' + "x" * 10 * 2**20 + '"}', "is larger than 8 MB"),
        (b"\xff\xfe\x00", "is not JSON that can be read"),
    ],
)
def test_a_configuration_that_cannot_be_read_says_so(tmp_path, content, trouble):
    folder = model_folder(tmp_path / "m", config=None, config__json=content)

    assert str(read_folder(folder).trouble) == f"config.json {trouble}."
    assert describe_folder(folder).context_length is None


WRONG: list = [
    None,
    True,
    -1,
    0,
    1.5,
    10**40,
    "12",
    "\ud800",
    [],
    [[]],
    {},
    {"a": None},
]


@pytest.mark.parametrize("value", WRONG)
def test_fields_of_wrong_types_never_break_a_description(tmp_path, value):
    config = dict.fromkeys([*LLAMA, "vision_config", "quantization_config"], value)
    told = dict.fromkeys(["bos_token", "chat_template", "model_max_length"], value)
    index = {"weight_map": value}
    folder = model_folder(
        tmp_path / "m",
        config=config,
        tokenizer_config__json=told,
        preprocessor_config__json=dict.fromkeys(["image_mean"], value),
        model__safetensors__index__json=index,
    )

    said = describe_folder(folder)

    assert said.context_length is None
    assert said.supports_chat is not True


def test_nan_and_infinity_are_read_as_nothing(tmp_path):
    text = json.dumps(LLAMA | {"max_position_embeddings": float("nan")})
    folder = model_folder(tmp_path / "m", config=None, config__json=text)

    assert "NaN" in text
    assert not read_folder(folder).trouble
    assert describe_folder(folder).context_length is None


def test_a_pipe_in_the_place_of_a_file_is_not_opened(tmp_path):
    folder = model_folder(tmp_path / "m", config=None)
    os.mkfifo(folder / "config.json")
    os.mkfifo(folder / "chat_template.jinja")

    assert read_folder(folder).trouble.code == "json_missing"
    assert describe_folder(folder).supports_chat is None


def test_a_folder_that_is_not_there_tells_nothing(tmp_path):
    said = describe_folder(tmp_path / "nowhere")

    assert said.figures is None
    assert said.sources == {}


def test_a_folder_of_gguf_files_is_described_by_their_header(tmp_path):
    keys = LLAMA_GGUF | {
        "tokenizer.chat_template": templates.THINKS,
        "general.license": "apache-2.0",
    }
    write_gguf(tmp_path / "practice-Q4_K_M.gguf", keys, [("a", (32, 4), 0)])

    said = describe_folder(tmp_path)

    assert (said.context_length, said.license) == (8192, "apache-2.0")
    assert said.supports_chat is said.supports_function_calling is True
    assert said.supports_vision is said.supports_embedding is False
    assert said.figures.quantization == "Q4_K_M"
    assert said.sources["supports_chat"] == TEMPLATE


def test_a_projector_beside_a_gguf_file_sees(tmp_path):
    write_gguf(tmp_path / "a.gguf", LLAMA_GGUF)
    write_gguf(tmp_path / "mmproj-a.gguf", {"general.architecture": "clip"})

    assert describe_folder(tmp_path).supports_vision is True


def test_parts_of_a_split_file_count_together(tmp_path):
    split = {"split.no": 0, "split.count": 2}
    write_gguf(tmp_path / "a-00001-of-00002.gguf", LLAMA_GGUF | split)
    (tmp_path / "a-00002-of-00002.gguf").write_bytes(b"GGUF" + bytes(1000))
    first = (tmp_path / "a-00001-of-00002.gguf").stat().st_size

    assert describe_folder(tmp_path).figures.weights_bytes == first + 1004


def test_a_gguf_file_that_embeds_does_not_chat(tmp_path):
    keys = {"general.architecture": "bert", "bert.pooling_type": 1}
    write_gguf(tmp_path / "a.gguf", keys)

    said = describe_folder(tmp_path)

    assert (said.supports_embedding, said.supports_chat) == (True, False)


def test_a_damaged_gguf_file_tells_nothing(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + b"\xff" * 100)

    said = describe_folder(tmp_path)

    assert said.supports_chat is said.context_length is None
