"""Which architectures vLLM runs, as `config.json` names them in `architectures`.

Taken from vLLM 0.33.0, `model_executor/models/registry.py`, November 2026: the whole
list of text generation and of what runs through transformers, the common ones of those
that see or hear. What stands in none of them is not refused: vLLM then tries the
Transformers backend (`--model-impl auto`).
"""

from __future__ import annotations

SOURCE = "vLLM 0.33.0"

_TEXT = """
Afmoe Apertus BailingMoe BailingMoeV2 BailingMoeV2_5 BailingMoeV3 Bloom Cohere Cohere2
Cohere2Moe Dbrx DeciLM Deepseek DeepseekV2 DeepseekV3 DeepseekV32 DeepseekV4 Ernie4_5
Ernie4_5_Moe Exaone Exaone4 ExaoneMoe Falcon FalconMamba FalconH1 Gemma Gemma2 Gemma3
Gemma3n Gemma4 Glm4 Glm4Moe Glm4MoeLite GlmMoeDsa GPTJ GptOss Granite GraniteMoe
GraniteMoeHybrid GraniteMoeShared GraniteSWA HYV3 HyperCLOVAX InternLM2 InternLM3 Jamba
KimiLinear Lfm2 Lfm2Moe Llama LLaMA Llama4 LongcatFlash Mamba Mamba2 MiMo MiMoV2 MiniCPM
MiniCPM3 MiniMaxM2 Ministral3 Mistral MistralLarge3 Mixtral Nemotron NemotronH Olmoe
OlmoHybrid OPT Orion Phi3 PhiMoE Qwen2 Qwen2Moe Qwen3 Qwen3Moe Qwen3Next Qwen3_5
Qwen3_5Moe SarvamMoE Solar StableLm Step3p5 TeleChat2 TeleChat3 Zamba2
"""
_THROUGH_TRANSFORMERS = """
Arcee Cwm FlexOlmo Glm GPTBigCode GPTNeoX HunYuanDenseV1 HunYuanMoEV1 Jais2 Olmo Olmo2
Olmo3 Phi SeedOss SmolLM3 Starcoder2 VaultGemma
"""
_SEES_OR_HEARS = """
Gemma3 Gemma3n Gemma4 Qwen2VL Qwen2_5_VL Qwen3VL Qwen3VLMoe Qwen3_5 Qwen3_5Moe Llava
LlavaNext Llama4 Mistral3 Pixtral Idefics3 SmolVLM PaliGemma KimiVL Whisper
"""

NATIVE = frozenset(
    {f"{name}ForCausalLM" for name in _TEXT.split()}
    | {f"{name}ForConditionalGeneration" for name in _SEES_OR_HEARS.split()}
    | {"GPT2LMHeadModel", "ChatGLMModel", "ChatGLMForConditionalGeneration"}
    | {"InternVLChatModel", "Phi3VForCausalLM", "Phi4MMForCausalLM"}
)
THROUGH_TRANSFORMERS = frozenset(
    f"{name}ForCausalLM" for name in _THROUGH_TRANSFORMERS.split()
)
# The last version that ran it.
REMOVED = {
    "MllamaForConditionalGeneration": "0.10.2",
    "Phi3SmallForCausalLM": "0.9.2",
    "QWenLMHeadModel": "0.23.0",
    "InternLMForCausalLM": "0.23.0",
    "BaichuanForCausalLM": "0.23.0",
    "MPTForCausalLM": "0.28.0",
}

# The least compute capability of each `quant_method`, from the code of 0.33; its wheels
# (CUDA 13) need 7.5 of everything.
WHEEL_CAPABILITY = (7, 5)
METHODS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("awq", "auto_awq", "awq_marlin"), (7, 5)),
    **dict.fromkeys(("gptq", "auto_gptq", "gptq_marlin"), (7, 5)),
    **dict.fromkeys(("fp8", "torchao", "humming", "modelopt_fp4"), (7, 5)),
    **dict.fromkeys(("compressed-tensors", "quark", "moe_wna16", "inc"), (7, 5)),
    **dict.fromkeys(("modelopt", "modelopt_mxfp8", "modelopt_mixed"), (8, 0)),
    **dict.fromkeys(("mxfp4", "gpt_oss_mxfp4", "experts_int8"), (8, 0)),
    "fbgemm_fp8": (8, 0),
    "deepseek_v4_fp8": (7, 5),
    "fp_quant": (10, 0),
}
# What vLLM makes of plain weights while it loads them.
ONLINE: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("online", "fp8", "mxfp8", "fp8_per_tensor"), (7, 5)),
    **dict.fromkeys(("fp8_per_block", "fp8_per_channel"), (7, 5)),
    **dict.fromkeys(("int8_per_channel_weight_only", "nvfp4_per_token"), (7, 5)),
    "experts_int8": (8, 0),
}
# Fast only from here on; below, weights are unpacked for every step.
FAST_FROM = {"fp8": (8, 9), "modelopt_fp4": (10, 0), "nvfp4_per_token": (10, 0)}
FAMILIES = (
    frozenset({"awq", "auto_awq", "awq_marlin"}),
    frozenset({"gptq", "auto_gptq", "gptq_marlin"}),
    frozenset({"mxfp4", "gpt_oss_mxfp4"}),
    frozenset({"modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed"}),
)
GONE_METHODS = frozenset({"bitsandbytes", "gguf"})  # left the core in 2026

DTYPES = {
    "auto": "auto",
    "half": "float16",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float": "float32",
    "float32": "float32",
}
BFLOAT16_CAPABILITY = (8, 0)
# These lose their numbers in 16 bits with few exponents; vLLM refuses float16.
NO_FLOAT16 = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4", "plamo2"})


def same_family(one: str, other: str) -> bool:
    """Names of one format: `awq_marlin` reads what `awq` wrote."""
    return one == other or any({one, other} <= family for family in FAMILIES)
