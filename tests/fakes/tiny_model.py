"""A language model of half a megabyte in Hugging Face layout, written by hand.

Its files are whole and valid: vLLM and transformers load them as they are. Random
weights from a fixed seed, so two runs give the same bytes. What it says is noise made
of real words. The shape is that of `tests/real/tiny_transformers.py`, without torch.
"""

import json
import random
import struct
from array import array
from functools import lru_cache

from tests.fakes.words import WORDS

CONTEXT_LENGTH = 512
WIDTH, BLOCKS, HEADS, FEED_FORWARD = 64, 2, 2, 128
CONTROL = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]
ORDINARY_DEVIATION, LOUDER = 0.02, 20
_TURNS = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WITH_SYSTEM = "{{ bos_token }}" + _TURNS
NO_SYSTEM = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}"
    "{% elif (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}"
) + _TURNS
Tensor = tuple[str, tuple[int, ...], bytes]  # dtype, shape, little-endian bytes


def tiny_files(template: str | None = WITH_SYSTEM) -> dict[str, bytes]:
    """Every file of the model by its path; without a template no chat is possible."""
    files = {
        "config.json": as_json(tiny_config()),
        "generation_config.json": as_json({"bos_token_id": 1, "eos_token_id": 2}),
        "model.safetensors": tiny_weights(),
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": as_json(tokenizer_config()),
    }
    if template is not None:
        files["chat_template.jinja"] = template.encode()
    return files


def as_json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def tiny_config() -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(vocabulary()),
        "hidden_size": WIDTH,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": WIDTH // HEADS,
        "max_position_embeddings": CONTEXT_LENGTH,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "dtype": "float32",
    }


def tokenizer_config() -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "additional_special_tokens": CONTROL[3:],
        "model_max_length": CONTEXT_LENGTH,
        "clean_up_tokenization_spaces": False,
    }


@lru_cache(maxsize=1)
def vocabulary() -> dict[str, int]:
    """Control tokens, one for each byte as GPT-2 writes bytes, one for each word."""
    tokens = [*CONTROL, *sorted(byte_letters()), *(f" {word}" for word in WORDS)]
    return {token: place for place, token in enumerate(tokens)}


def byte_letters() -> list[str]:
    """The 256 letters that stand for bytes: those that show stand for themselves."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*map(chr, shown), *(chr(256 + n) for n in range(256 - len(shown)))]


def tokenizer_json() -> bytes:
    """What the library `tokenizers` saves for a BPE of bytes without merges."""
    words = len(vocabulary()) - len(WORDS)
    added = [
        _added(token, place, is_special=place < len(CONTROL))
        for token, place in vocabulary().items()
        if place < len(CONTROL) or place >= words
    ]
    bytes_alone = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    vocab = {token: place for token, place in vocabulary().items() if place < words}
    return as_json(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", **bytes_alone},
            "post_processor": None,
            "decoder": {"type": "ByteLevel", **bytes_alone, "add_prefix_space": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "<unk>",
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": vocab,
                "merges": [],
            },
        }
    )


def _added(token: str, place: int, *, is_special: bool) -> dict[str, object]:
    return {
        "id": place,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": not is_special,
        "special": is_special,
    }


@lru_cache(maxsize=1)
def tiny_weights() -> bytes:
    """Only words get a score far from zero: the model never says a bare byte."""
    noise = random.Random(7)
    size, silent = len(vocabulary()), len(vocabulary()) - len(WORDS)
    tensors = {"model.embed_tokens.weight": _noise(noise, size, WIDTH)}
    for block in range(BLOCKS):
        tensors |= _block(noise, f"model.layers.{block}.")
    tensors["model.norm.weight"] = _ones(WIDTH)
    quiet = bytes(4 * silent * WIDTH)
    loud = _noise(noise, len(WORDS), WIDTH, ORDINARY_DEVIATION * LOUDER)[2]
    tensors["lm_head.weight"] = ("F32", (size, WIDTH), quiet + loud)
    return safetensors(tensors)


def _block(noise: random.Random, name: str) -> dict[str, Tensor]:
    shapes = {f"self_attn.{part}_proj": (WIDTH, WIDTH) for part in "qkvo"}
    shapes |= {f"mlp.{part}_proj": (FEED_FORWARD, WIDTH) for part in ("gate", "up")}
    shapes["mlp.down_proj"] = (WIDTH, FEED_FORWARD)
    block = {f"{name}{part}.weight": _noise(noise, *shapes[part]) for part in shapes}
    for norm in ("input_layernorm", "post_attention_layernorm"):
        block[f"{name}{norm}.weight"] = _ones(WIDTH)
    return block


def _noise(
    noise: random.Random, rows: int, width: int, deviation: float = ORDINARY_DEVIATION
) -> Tensor:
    numbers = array("f", (noise.gauss(0, deviation) for _ in range(rows * width)))
    return "F32", (rows, width), numbers.tobytes()


def _ones(width: int) -> Tensor:
    return "F32", (width,), array("f", [1.0] * width).tobytes()


def safetensors(tensors: dict[str, Tensor]) -> bytes:
    """A file of that format: length of the header, the header as JSON, the numbers."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, (dtype, shape, content) in tensors.items():
        offsets = [place, place := place + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    parts = [content for _, _, content in tensors.values()]
    return b"".join([struct.pack("<Q", len(raw)), raw, *parts])
