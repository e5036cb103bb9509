"""Writes a language model of half a megabyte that a real llama.cpp loads.

    python -m tests.real.tiny_gguf PATH CONTEXT

Its weights are random from a fixed seed, so it speaks nonsense in real words
and two runs write the same bytes. Used by `llama_server.py`; needs no download.
"""

import sys
from pathlib import Path

import gguf
import numpy

from tests.fakes.words import WORDS

NAME = "tiny-practice"
WIDTH, BLOCKS, HEADS, FEED_FORWARD = 64, 2, 2, 128
ROLES = ("user", "assistant", "system")
TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def write_tiny_gguf(path: Path, context: int) -> None:
    """Write the model file; an existing one is replaced."""
    vocabulary = _vocabulary()
    writer = gguf.GGUFWriter(str(path), "llama")
    _describe(writer, context)
    _add_tokenizer(writer, vocabulary)
    _add_tensors(writer, words_from=len(vocabulary) - len(WORDS), size=len(vocabulary))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _vocabulary() -> list[tuple[str, gguf.TokenType]]:
    control = ["<s>", "</s>", *(f"<|{role}|>" for role in ROLES)]
    return [
        ("<unk>", gguf.TokenType.UNKNOWN),
        *((token, gguf.TokenType.CONTROL) for token in control),
        # All bytes, so that any prompt can be read.
        *((f"<0x{byte:02X}>", gguf.TokenType.BYTE) for byte in range(256)),
        *((f"▁{word}", gguf.TokenType.NORMAL) for word in WORDS),
    ]


def _describe(writer: gguf.GGUFWriter, context: int) -> None:
    writer.add_name(NAME)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_tokenizer(
    writer: gguf.GGUFWriter, vocabulary: list[tuple[str, gguf.TokenType]]
) -> None:
    is_word = [kind is gguf.TokenType.NORMAL for _, kind in vocabulary]
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_scores([-1.0 if word else 0.0 for word in is_word])
    writer.add_token_types([int(kind) for _, kind in vocabulary])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)


def _add_tensors(writer: gguf.GGUFWriter, *, words_from: int, size: int) -> None:
    dice = numpy.random.default_rng(seed=7)

    def weights(*shape: int) -> numpy.ndarray:
        return dice.normal(0, 0.02, shape).astype(numpy.float32)

    ones = numpy.ones(WIDTH, dtype=numpy.float32)
    # Only words get a score far from zero: the model never says a bare byte.
    output = weights(size, WIDTH) * numpy.float32(20)
    output[:words_from] = 0
    writer.add_tensor("token_embd.weight", weights(size, WIDTH))
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", output)
    for block in range(BLOCKS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{block}.{norm}.weight", ones)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{block}.{part}.weight", weights(WIDTH, WIDTH))
        for part in ("ffn_gate", "ffn_up"):
            shape = (FEED_FORWARD, WIDTH)
            writer.add_tensor(f"blk.{block}.{part}.weight", weights(*shape))
        shape = (WIDTH, FEED_FORWARD)
        writer.add_tensor(f"blk.{block}.ffn_down.weight", weights(*shape))


if __name__ == "__main__":
    write_tiny_gguf(Path(sys.argv[1]), int(sys.argv[2]))
