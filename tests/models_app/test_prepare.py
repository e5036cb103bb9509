"""Would vLLM run it here: every reason it might not, and what to do then."""

from __future__ import annotations

import pytest

from models_app.models import Operation
from models_app.providers.catalogue import Access, Details, Listed, Variant
from models_app.providers.figures import ModelFigures
from models_app.reasons import said
from models_app.services import prepare_architectures as known
from models_app.services.fit_room import GpuRoom, Machine
from models_app.services.nodes import this_node
from models_app.services.prepare import prepare_for_vllm
from tests.factories import InstalledModelFactory
from tests.fakes.gguf import LLAMA as LLAMA_GGUF
from tests.fakes.gguf import write_gguf
from tests.models_app import chat_templates as templates
from tests.models_app.model_folders import LLAMA as CONFIG
from tests.models_app.model_folders import model_folder
from tests.models_app.shelves import LLAMA

pytest_plugins = (
    "tests.models_app.ollama_fixtures",
    "tests.models_app.catalog_fixtures",
)

GIB = 1 << 30
BASE = "/api/v1/models/prepare"


def machine(capability=(8, 6), *, gib=12, name="RTX 3060"):
    gpu = GpuRoom(
        index=0,
        name=name,
        free_bytes=gib * GIB,
        total_bytes=gib * GIB,
        capability=capability,
    )
    return Machine(
        gpus=(gpu,),
        memory_free_bytes=16 * GIB,
        memory_total_bytes=32 * GIB,
        store_free_bytes=50 * GIB,
    )


NO_GPU = Machine(
    memory_free_bytes=16 * GIB, memory_total_bytes=32 * GIB, store_free_bytes=50 * GIB
)


def whole(tmp_path, **changes):
    given = {"template": templates.CHATML, "config": CONFIG} | changes
    return model_folder(tmp_path / "m", **given)


def check(found, name):
    [it] = [each for each in found.checks if each.name == name]
    return it


def test_a_whole_model_of_a_known_kind_needs_nothing(tmp_path):
    found = prepare_for_vllm(whole(tmp_path), machine=machine())

    assert {each.verdict for each in found.checks} == {"ok"}
    assert [each.name for each in found.checks] == [
        "weights",
        "architecture",
        "gpu",
        "quantization",
        "dtype",
        "context",
        "tokenizer",
        "template",
    ]
    assert found.action == "none"
    assert found.arguments == ()
    assert found.fit.verdict == "fits"
    assert found.plan == ("Start vLLM on m as it is.",)
    assert "92 %" in found.effects[-1]


def test_nothing_in_the_folder_is_changed(tmp_path):
    folder = whole(tmp_path)
    before = {path: path.stat() for path in folder.iterdir()}

    prepare_for_vllm(folder, machine=machine())

    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }


@pytest.mark.parametrize(
    ("named", "verdict", "words"),
    [
        (["LlamaForCausalLM"], "ok", "runs LlamaForCausalLM itself"),
        (["NewThing", "LlamaForCausalLM"], "ok", "itself"),
        (["Starcoder2ForCausalLM"], "ok", "through transformers"),
        (["MPTForCausalLM"], "refused", "until version 0.28.0"),
        (["NewThingForCausalLM"], "warning", "not on the list"),
        ([], "refused", "names no architecture"),
        (None, "refused", "names no architecture"),
    ],
)
def test_the_architecture_is_looked_up(tmp_path, named, verdict, words):
    folder = whole(tmp_path, config=CONFIG | {"architectures": named})

    it = check(prepare_for_vllm(folder, machine=machine()), "architecture")

    assert it.verdict == verdict
    assert words in it.message
    assert bool(it.remedy) is (verdict != "ok")


QUANTIZED = [
    ("awq", (7, 5), "ok"),
    ("awq", (7, 0), "refused"),
    ("gptq_marlin", (8, 6), "ok"),
    ("modelopt", (7, 5), "refused"),
    ("modelopt_fp4", (8, 9), "warning"),
    ("fp8", (8, 9), "ok"),
    ("fp8", (8, 6), "warning"),
    ("mxfp4", (8, 0), "ok"),
    ("mxfp4", (7, 5), "refused"),
    ("fp_quant", (9, 0), "refused"),
    ("fp_quant", (10, 0), "ok"),
    ("compressed-tensors", (8, 6), "ok"),
    ("awq", None, "warning"),
    ("bitsandbytes", (9, 0), "refused"),
    ("nonsense", (9, 0), "refused"),
]


@pytest.mark.parametrize(("method", "capability", "verdict"), QUANTIZED)
def test_a_quantization_needs_a_gpu_that_reads_it(
    tmp_path, method, capability, verdict
):
    config = CONFIG | {"quantization_config": {"quant_method": method}}
    folder = whole(tmp_path, config=config)

    it = check(prepare_for_vllm(folder, machine=machine(capability)), "quantization")

    assert it.verdict == verdict
    assert it.ok is (verdict != "refused")
    assert bool(it.remedy) or it.verdict != "refused"


def test_without_a_gpu_a_quantization_is_a_warning(tmp_path):
    config = CONFIG | {"quantization_config": {"quant_method": "awq"}}
    found = prepare_for_vllm(whole(tmp_path, config=config), machine=NO_GPU)

    assert check(found, "quantization").verdict == "warning"
    assert check(found, "gpu").verdict == "warning"
    assert found.action == "none"


def test_a_quantization_of_the_language_part_counts(tmp_path):
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": CONFIG | {"quantization_config": {"quant_method": "mxfp4"}},
    }
    folder = whole(tmp_path, config=config)

    it = check(prepare_for_vllm(folder, machine=machine((7, 5))), "quantization")

    assert it.verdict == "refused"


def wish_for(tmp_path, quantization, method=""):
    settings = {"quantization_config": {"quant_method": method}} if method else {}
    folder = whole(tmp_path, config=CONFIG | settings)
    return prepare_for_vllm(folder, machine=machine(), quantization=quantization)


def test_plain_weights_are_quantized_while_they_load(tmp_path):
    found = wish_for(tmp_path, "FP8_per_tensor")

    assert found.action == "none"
    assert found.arguments == ("--quantization", "fp8_per_tensor")
    assert "--quantization fp8_per_tensor" in found.plan[0]
    assert any("rounded" in effect for effect in found.effects)


@pytest.mark.parametrize(
    ("wanted", "has", "words"),
    [
        ("awq", "", "does not quantize to awq while it loads"),
        ("gptq", "awq", "quantized as awq, not as gptq"),
        ("gguf", "", "no longer reads gguf"),
        ("nonsense", "", "knows no quantization called nonsense"),
    ],
)
def test_a_quantization_that_cannot_be_had_is_refused(tmp_path, wanted, has, words):
    found = wish_for(tmp_path, wanted, has)

    assert found.action == "refuse"
    assert words in check(found, "quantization").message
    assert check(found, "quantization").remedy
    assert found.plan == found.effects == found.arguments == ()


def test_another_name_of_the_same_format_is_no_contradiction(tmp_path):
    found = wish_for(tmp_path, "awq_marlin", "awq")

    assert check(found, "quantization").verdict == "ok"
    assert found.arguments == ()


def dtype_of(tmp_path, *, dtype="", capability=(8, 6), **config):
    folder = whole(tmp_path, config=CONFIG | config)
    found = prepare_for_vllm(folder, machine=machine(capability), dtype=dtype)
    return check(found, "dtype"), found


def test_a_gpu_without_bfloat16_gets_float16_and_says_so(tmp_path):
    it, found = dtype_of(tmp_path, capability=(7, 5))

    assert it.verdict == "warning"
    assert found.arguments == ("--dtype", "float16")
    assert found.action == "none"


def test_a_model_that_cannot_float16_gets_float32_there(tmp_path):
    _, found = dtype_of(tmp_path, capability=(7, 5), model_type="gemma3")

    assert found.arguments == ("--dtype", "float32")


@pytest.mark.parametrize(
    ("dtype", "capability", "model_type", "verdict"),
    [
        ("bfloat16", (7, 5), "llama", "refused"),
        ("bfloat16", (8, 0), "llama", "ok"),
        ("bfloat16", None, "llama", "ok"),
        ("half", (7, 5), "llama", "ok"),
        ("half", (9, 0), "gemma2", "refused"),
        ("float", (7, 5), "gemma2", "ok"),
        ("int3", (9, 0), "llama", "refused"),
        ("AUTO", (9, 0), "llama", "ok"),
    ],
)
def test_a_chosen_type_of_numbers_is_kept_or_refused(
    tmp_path, dtype, capability, model_type, verdict
):
    it, _ = dtype_of(
        tmp_path, dtype=dtype, capability=capability, model_type=model_type
    )

    assert it.verdict == verdict


def test_a_gpu_too_old_for_vllm_refuses(tmp_path):
    found = prepare_for_vllm(whole(tmp_path), machine=machine((6, 1), name="GTX 1080"))

    assert check(found, "gpu").verdict == "refused"
    assert "GTX 1080" in check(found, "gpu").message
    assert found.action == "refuse"


def test_a_context_longer_than_the_models_is_refused(tmp_path, environment):
    environment(VLLM_MAX_MODEL_LEN=4096)

    it = check(prepare_for_vllm(whole(tmp_path), machine=machine()), "context")

    assert (it.verdict, it.remedy) == (
        "refused",
        "Set VLLM_MAX_MODEL_LEN to 512 or less.",
    )


def test_a_context_that_nobody_told_is_a_warning(tmp_path):
    folder = whole(tmp_path, config={"architectures": ["LlamaForCausalLM"]})

    it = check(prepare_for_vllm(folder, machine=machine()), "context")

    assert it.verdict == "warning"


CODE = {"auto_map": {"AutoModelForCausalLM": "modeling_x.X"}}


def test_code_that_a_model_brings_runs_only_when_told_to(tmp_path, environment):
    own = CONFIG | CODE | {"architectures": ["XForCausalLM"]}
    folder = whole(tmp_path, config=own)

    assert check(prepare_for_vllm(folder, machine=machine()), "code").ok is False

    environment(VLLM_EXTRA_ARGS="--trust-remote-code --seed 1")
    found = prepare_for_vllm(folder, machine=machine())

    assert check(found, "code").verdict == "warning"
    assert found.action == "none"


def test_code_that_vllm_does_not_need_is_fine(tmp_path):
    folder = whole(tmp_path, config=CONFIG | CODE)

    assert check(prepare_for_vllm(folder, machine=machine()), "code").verdict == "ok"


FILES = [
    ({"weights": False}, "weights", "has no weights"),
    ({"model__safetensors": b"\x10"}, "weights", "cut short"),
    (
        {"model__safetensors__index__json": {"weight_map": {"a": "gone.safetensors"}}},
        "weights",
        "the first is gone.safetensors",
    ),
    (
        {"weights": False, "config": None, "adapter_config__json": {}},
        "weights",
        "adapter",
    ),
    ({"tokenizer__json": None}, "tokenizer", "no tokenizer"),
    ({"config": None}, "config", "config.json is missing"),
    ({"config": None, "config__json": "{"}, "config", "is not JSON"),
]


@pytest.mark.parametrize(("changes", "name", "words"), FILES)
def test_files_that_are_missing_or_broken_are_refused(tmp_path, changes, name, words):
    found = prepare_for_vllm(whole(tmp_path, **changes), machine=machine())

    assert words in check(found, name).message
    assert check(found, name).remedy
    assert found.action == "refuse"


def test_gguf_files_belong_to_ollama(tmp_path):
    write_gguf(tmp_path / "a.gguf", LLAMA_GGUF)

    found = prepare_for_vllm(tmp_path, machine=machine())

    assert "vLLM does not read" in check(found, "weights").message
    assert "Ollama" in check(found, "weights").remedy
    assert [each.name for each in found.checks] == ["weights", "gpu"]
    assert found.action == "refuse"


def test_pickles_are_a_warning(tmp_path):
    folder = whole(tmp_path, weights=False, pytorch_model__bin=b"x" * 100)

    found = prepare_for_vllm(folder, machine=machine())

    assert check(found, "weights").verdict == "warning"
    assert found.action == "none"


@pytest.mark.parametrize("template", ["", "{% foo %}"])
def test_a_template_that_is_missing_or_broken_is_a_warning(tmp_path, template):
    found = prepare_for_vllm(whole(tmp_path, template=template), machine=machine())

    assert check(found, "template").verdict == "warning"
    assert check(found, "template").remedy
    assert found.action == "none"


def huge(context=131_072):
    return CONFIG | {
        "num_hidden_layers": 80,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": context,
    }


def test_a_context_that_does_not_fit_is_shortened(tmp_path):
    found = prepare_for_vllm(whole(tmp_path, config=huge()), machine=machine())

    assert found.fit.verdict == "tight"
    longest = str(found.fit.longest_context)
    assert found.arguments == ("--max-model-len", longest)
    assert any(longest in effect for effect in found.effects)


def test_what_is_too_big_for_the_gpu_is_refused_and_without_one_it_is_not():
    figures = ModelFigures(weights_bytes=40 * GIB, layers=2, kv_heads=(2,))
    details = of_catalogue(figures=figures, size_bytes=40 * GIB)

    assert prepare_for_vllm(details, machine=machine()).action == "refuse"
    assert prepare_for_vllm(details, machine=NO_GPU).action == "none"


def of_catalogue(*, access=Access.OPEN, architectures=("LlamaForCausalLM",), **variant):
    given = {
        "name": "org/m",
        "label": "main",
        "size_bytes": 10**9,
        "format": "safetensors",
        "context_length": 8192,
    } | variant
    listed = Listed(provider="huggingface", name="org/m", display_name="m")
    return Details(
        listed=listed,
        access=access,
        architectures=architectures,
        variants=(Variant(**given),),
    )


def test_a_catalogue_is_asked_what_it_can_know():
    found = prepare_for_vllm(of_catalogue(), machine=machine())

    assert found.action == "none"
    assert "tokenizer" not in {each.name for each in found.checks}
    assert found.plan[0] == "Install org/m."


@pytest.mark.parametrize("words", ["F32", "BF16", "F16"])
def test_plain_numbers_of_a_catalogue_are_no_quantization(words):
    found = prepare_for_vllm(of_catalogue(quantization=words), machine=machine())
    assert found.action == "none"


@pytest.mark.parametrize(
    ("details", "name"),
    [
        (of_catalogue(access=Access.TOKEN_MISSING), "access"),
        (of_catalogue(format="gguf"), "weights"),
        (of_catalogue(complaint=said("No files.")), "weights"),
        (of_catalogue(quantization="bitsandbytes 4-bit"), "quantization"),
        (of_catalogue(architectures=("MPTForCausalLM",)), "architecture"),
    ],
)
def test_a_catalogue_tells_enough_to_refuse(details, name):
    found = prepare_for_vllm(details, machine=machine())

    assert check(found, name).verdict == "refused"
    assert found.action == "refuse"


def test_every_method_that_loads_names_a_capability_that_vllms_wheels_run_on():
    methods = known.METHODS | known.ONLINE

    assert all(least >= known.WHEEL_CAPABILITY for least in methods.values())
    assert known.NATIVE.isdisjoint(known.REMOVED)
    assert known.NATIVE.isdisjoint(known.THROUGH_TRANSFORMERS)
    assert len(known.NATIVE) > 100


# The call


@pytest.fixture
def full(environment):
    environment(VENOM_RUNTIME_PROFILE="full")


@pytest.fixture
def installed(db, full, tmp_path):
    folder = whole(tmp_path)
    return InstalledModelFactory(
        provider="huggingface", name="org/m", path=str(folder), node=this_node()
    )


def ask(client, **body):
    return client.post(BASE, body, content_type="application/json")


def test_the_call_answers_for_an_installed_model(installed, api_client):
    answer = ask(api_client("read"), name="org/m", runtime="vllm")

    body = answer.json()
    assert (answer.status_code, body["success"]) == (200, True)
    assert body["action"] == "none"
    assert set(body["checks"][0]) == {"name", "ok", "verdict", "message", "remedy"}
    assert body["fit"]["verdict"] in {"fits", "tight", "partial"}
    assert body["plan"]
    assert not Operation.objects.exists()


def test_the_call_takes_what_is_wished_for(installed, api_client):
    body = ask(
        api_client("read"), name="org/m", runtime="vllm", dtype="int3", provider="hf"
    ).json()

    assert body["action"] == "refuse"


def test_the_call_asks_the_catalogue_for_what_is_not_installed(
    db, full, hub, api_client
):
    client = api_client("read")

    known = ask(client, name=LLAMA.name, runtime="vllm")
    unknown = ask(client, name="org/nobody", runtime="vllm")

    assert known.status_code == 200
    assert {check["name"] for check in known.json()["checks"]} >= {"weights", "gpu"}
    assert unknown.status_code == 404
    assert "org/nobody" in unknown.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "org/m", "runtime": "ollama", "provider": "hf"}, 409, None),
        ({"name": "org/m", "runtime": "nonsense"}, 422, "invalid_body"),
        ({"name": "org/m"}, 422, "invalid_body"),
        ({"name": "nobody:1b", "runtime": "ollama"}, 404, "not_found"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(
    installed, ollama, api_client, body, status, code
):
    answer = ask(api_client("read"), **body)

    assert answer.status_code == status
    assert code in (None, answer.json()["code"])


def test_ollamas_own_models_need_nothing(db, ollama, api_client):
    InstalledModelFactory(name="gemma3:4b", size_bytes=3_300_000_000, node=this_node())

    body = ask(api_client("read"), name="gemma3:4b", runtime="ollama").json()

    assert [check["name"] for check in body["checks"]] == ["runtime"]
    assert body["action"] == "none"


# The page


PAGE = "/models/huggingface/org/m/prepare/"


def test_the_page_shows_every_finding_and_what_would_be_done(installed, page_client):
    client = page_client("Viewer")

    page = client.get(PAGE).content.decode()

    assert "runs LlamaForCausalLM itself" in page
    assert "Start vLLM on org/m as it is." in page
    assert PAGE in client.get("/models/huggingface/org/m/").content.decode()


def test_the_page_takes_wishes_in_its_address(installed, page_client):
    client = page_client("Viewer")

    page = client.get(PAGE, {"quantization": "mxfp8", "dtype": "int3"}).content.decode()

    assert "--quantization mxfp8" in page
    assert '<option value="mxfp8" selected>' in page
    assert "--dtype" not in page
    assert "int3 is not one of the available choices" in page


def test_the_page_says_when_it_would_not_run(installed, page_client, tmp_path):
    (tmp_path / "m" / "model.safetensors").write_bytes(b"cut")

    page = page_client("Viewer").get(PAGE).content.decode()

    assert "It would not run here as it is." in page
    assert "Install the model again." in page
    assert "What activating would do" not in page


def test_the_page_of_a_model_of_ollama_offers_no_options_of_vllm(db, page_client):
    InstalledModelFactory(name="gemma3:4b", node=this_node())

    page = page_client("Viewer").get("/models/ollama/gemma3:4b/prepare/")

    assert "Ollama runs its models as it keeps them." in page.content.decode()
    assert "quantization" not in page.content.decode()


def test_a_model_whose_name_ends_like_the_page_is_shown(db, page_client):
    InstalledModelFactory(name="odd/prepare", node=this_node())

    answer = page_client("Viewer").get("/models/ollama/odd/prepare/")

    assert "odd/prepare" in answer.content.decode()
    assert page_client("Operator").get(PAGE).status_code in {403, 404}
