"""Which files of a repository are fetched, by the layouts that one meets on the Hub."""

import pytest

from models_app.providers.huggingface_files import choose_files
from models_app.reasons import NO_REASON
from tests.fakes.huggingface_shelf import Shelf
from venom_site.clients.huggingface import HubFile

BESIDE = ["config.json", "tokenizer.json", "tokenizer_config.json"]


def choose(*paths, repo=""):
    files = [HubFile(path=path, size_bytes=10, git_sha1="a" * 40) for path in paths]
    return choose_files(files, repo)


def names(choice):
    return [file.path for file in choice.files]


def test_safetensors_with_what_belongs_to_them():
    more = [
        "chat_template.jinja",
        "generation_config.json",
        "merges.txt",
        "spiece.model",
    ]
    choice = choose(*BESIDE, *more, "model.safetensors", "README.md", ".gitattributes")
    assert names(choice) == sorted([*BESIDE, *more, "model.safetensors"])
    assert (choice.format, choice.complaint) == ("safetensors", NO_REASON)
    assert (choice.total_bytes, choice.weights_bytes) == (80, 10)


@pytest.mark.parametrize(
    "other",
    [
        *("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5"),
        *("flax_model.msgpack", "consolidated.safetensors", "consolidated.00.pth"),
        *("original/params.json", "original/model.safetensors", "model-q4.gguf"),
        *("onnx/model.onnx", "onnx/config.json", "openvino/openvino_model.bin"),
        *("metal/model.bin", "model.fp16.safetensors", "training_args.bin"),
        *("adapter_model.safetensors", "adapter_config.json", "trainer_state.json"),
        *("checkpoint-500/model.safetensors", "images/picture.png", "run.py"),
        *("notes/1.txt", "eval/results.json"),
    ],
)
def test_the_same_weights_again_and_what_nobody_loads_stay_away(other):
    assert names(choose(*BESIDE, "model.safetensors", other)) == sorted(
        [*BESIDE, "model.safetensors"]
    )


def shards(total, *, but=(), stem="model", suffix="safetensors"):
    return [
        f"{stem}-{number:05d}-of-{total:05d}.{suffix}"
        for number in range(1, total + 1)
        if number not in but
    ]


def test_shards_are_taken_and_the_whole_beside_them_is_not():
    index = "model.safetensors.index.json"
    choice = choose(*BESIDE, index, *shards(3), "model.safetensors")
    assert names(choice) == sorted([*BESIDE, index, *shards(3)])
    assert choice.weights_bytes == 30


def test_shards_that_repeat_the_suffix_are_shards():
    odd = shards(2, stem="model.safetensors")
    assert names(choose(*BESIDE, *odd)) == sorted([*BESIDE, *odd])


def test_a_missing_shard_is_told():
    choice = choose(*BESIDE, *shards(3, but=[2]))
    assert "model-00002-of-00003 is not there" in str(choice.complaint)


def test_parts_of_sentence_transformers_and_more_templates_come_along():
    below = [
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
    ]
    below += ["additional_chat_templates/tools.jinja"]
    choice = choose(*BESIDE, "modules.json", "model.safetensors", *below)
    assert set(below) <= set(names(choice))
    assert len(names(choice)) == len(set(names(choice)))


def test_pickles_are_the_last_resort_and_complained_about():
    choice = choose(*BESIDE, "pytorch_model.bin", "training_args.bin")
    assert names(choice) == sorted([*BESIDE, "pytorch_model.bin"])
    assert choice.format == "pytorch"
    assert "pickle" in str(choice.complaint)


def test_gguf_is_for_ollama():
    choice = choose("model-Q4_K_M.gguf", "config.json", repo="owner/name-GGUF")
    assert (choice.files, choice.format) == ((), "gguf")
    assert "hf.co/owner/name-GGUF" in str(choice.complaint)
    assert "hf.co/<owner>/<name>" in str(choose("a.gguf").complaint)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["config.json", "README.md"], "no weights"),
        ([], "no weights"),
        (["adapter_config.json", "adapter_model.safetensors"], "adapter"),
        (["model_index.json", "unet/model.safetensors"], "pipeline"),
        (["consolidated.safetensors", "params.json"], "Mistral"),
        (["model.safetensors"], "no config.json"),
        (["pytorch_model.bin"], "no config.json"),
    ],
)
def test_without_loadable_weights_there_is_a_reason(paths, words):
    choice = choose(*paths)
    assert words in str(choice.complaint)


def test_empty_weights_are_told():
    files = [HubFile(path=path, size_bytes=0) for path in ("model.safetensors",)]
    assert "no bytes" in str(choose_files(files).complaint)


def test_an_unknown_size_makes_the_sum_unknown_and_not_smaller():
    files = [HubFile(path="config.json", size_bytes=None)]
    files += [HubFile(path="model.safetensors", size_bytes=7)]
    choice = choose_files(files)
    assert (choice.total_bytes, choice.weights_bytes) == (None, 7)


@pytest.mark.parametrize(
    ("name", "format_", "count"),
    [
        ("practice/tiny-llama", "safetensors", 6),
        ("practice/sharded-12m", "safetensors", 9),
        ("practice/many-files", "safetensors", 6),
        ("practice/pickled", "pytorch", 6),
        ("practice/tiny-GGUF", "gguf", 0),
        ("practice/no-weights", "", 0),
        ("practice/pictures", "", 0),
    ],
)
def test_repositories_of_the_practice_hub(name, format_, count):
    kept = Shelf().find(name).files.values()
    files = [HubFile(path=file.path, size_bytes=1) for file in kept]
    choice = choose_files(files, name)
    assert (choice.format, len(choice.files)) == (format_, count)
    assert bool(choice.complaint) == (format_ != "safetensors")
