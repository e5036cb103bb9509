"""Writes models of half a megabyte in the form that vLLM loads.

    python -m tests.real.tiny_transformers FOLDER

Run by the Python of a vLLM rig, which has torch and transformers. `tiny-nosystem` has
the weights of `tiny-llama` and a template that refuses a system message and two turns
of one role, as Gemma's does. Random weights from a fixed seed; needs no download.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.fakes.words import WORDS

CONTEXT_LENGTH = 512
WIDTH, BLOCKS, HEADS, FEED_FORWARD = 64, 2, 2, 128
CONTROL = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]
_TURNS = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_STRICT = (
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}"
    "{% elif (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}"
)
TEMPLATES = {
    "tiny-llama": "{{ bos_token }}" + _TURNS,
    "tiny-nosystem": "{{ bos_token }}" + _STRICT + _TURNS,
}


def write_models(folder: Path) -> None:
    tokenizer = _tokenizer()
    model = _model(words=len(WORDS), size=len(tokenizer))
    for name, template in TEMPLATES.items():
        tokenizer.chat_template = template
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def _tokenizer() -> PreTrainedTokenizerFast:
    """All bytes, so that any prompt can be read, and each word as one token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*CONTROL, *letters])}
    bare = Tokenizer(BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=CONTROL[3:],
        model_max_length=CONTEXT_LENGTH,
    )
    tokenizer.add_tokens([f" {word}" for word in WORDS])
    return tokenizer


def _model(*, words: int, size: int) -> LlamaForCausalLM:
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=WIDTH,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=BLOCKS,
        num_attention_heads=HEADS,
        max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # Only words get a score far from zero: the model never says a bare byte.
        model.lm_head.weight.mul_(20)
        model.lm_head.weight[: size - words] = 0
    return model


if __name__ == "__main__":
    write_models(Path(sys.argv[1]))
