"""Tiny checkpoints of the encoder families, each with a tokenizer of its own kind, as pretraining leaves them."""

import io
import string
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
import transformers

TEXTS = ["Ada lives in Rome and Bob lives in Paris.", "Where does Carla live? She lives in Lima, where it rains."] * 2
_BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
         "max_position_embeddings": 64}  # fmt: skip
_ROBERTA = {**_BERT, "max_position_embeddings": 66, "type_vocab_size": 1}  # two of them are in front of the first token
# What makes each family small; the classes of its tokenizer.
FAMILIES: dict[str, tuple[dict[str, Any], str]] = {
    "bert": (_BERT, "BertTokenizer"),
    "distilbert": (
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64}, "BertTokenizer",
    ),
    "squeezebert": ({**_BERT, "embedding_size": 16}, "BertTokenizer"),
    "electra": ({**_BERT, "embedding_size": 8}, "BertTokenizer"),
    "albert": ({**_BERT, "embedding_size": 8}, "AlbertTokenizer"),
    "roberta": (_ROBERTA, "RobertaTokenizer"),
    "xlm-roberta": (_ROBERTA, "XLMRobertaTokenizer"),
    "camembert": (_ROBERTA, "CamembertTokenizer"),
    "mobilebert": (
        {**_BERT, "embedding_size": 8, "intra_bottleneck_size": 8, "true_hidden_size": 8}, "MobileBertTokenizer",
    ),
    "mpnet": ({**_BERT, "max_position_embeddings": 66}, "MPNetTokenizer"),
    "deberta": (
        {**_BERT, "relative_attention": True, "pos_att_type": "c2p|p2c", "max_relative_positions": -1,
         "position_biased_input": False}, "DebertaTokenizer",
    ),
    "deberta-v2": (  # as DeBERTa-v3 is published
        {**_BERT, "relative_attention": True, "pos_att_type": "p2c|c2p", "position_buckets": 16, "share_att_key": True,
         "norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0}, "DebertaV2Tokenizer",
    ),
    "modernbert": (
        {**_BERT, "global_attn_every_n_layers": 2, "local_attention": 16, "max_position_embeddings": 128},
        "ModernBertTokenizer",
    ),
    "convbert": ({**_BERT, "embedding_size": 16}, "BertTokenizer"),
    "megatron-bert": (_BERT, "BertTokenizer"),
    "ernie": (_BERT, "BertTokenizer"),
    "roformer": ({**_BERT, "embedding_size": 16}, "BertTokenizer"),
    "data2vec-text": (_ROBERTA, "RobertaTokenizer"),
    "big_bird": ({**_BERT, "block_size": 4, "num_random_blocks": 1}, "BigBirdTokenizer"),
    "longformer": ({**_ROBERTA, "attention_window": 16}, "RobertaTokenizer"),
    "funnel": (
        {"block_sizes": [1, 1], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32, "num_decoder_layers": 1},
        "FunnelTokenizer",
    ),
    "bart": (
        {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
         "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64},
        "RobertaTokenizer",
    ),
    "splinter": (_BERT, "SplinterTokenizer"),
    "rembert": ({**_BERT, "input_embedding_size": 8, "output_embedding_size": 8}, "RemBertTokenizer"),
    "fnet": ({**_BERT, "tpu_short_seq_length": 64}, "FNetTokenizer"),
    "nystromformer": ({**_BERT, "max_position_embeddings": 64}, "AlbertTokenizer"),
}  # fmt: skip
# Without a leading special token, so that no study can use them.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "t5": ({"d_model": 16, "num_layers": 1, "num_heads": 2, "d_ff": 32, "d_kv": 8}, "T5Tokenizer"),
    "xlnet": ({"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32}, "XLNetTokenizer"),
    "gpt2": ({"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}, "GPT2Tokenizer"),
}


def tokenizer_of(family: str, texts: list[str] = TEXTS) -> Any:
    """A tokenizer of the family's class that knows all of ASCII and the words of ``texts``."""
    name = (FAMILIES | REFUSED)[family][1]
    kind = getattr(transformers, name, None)
    words = sorted({word for text in texts for word in text.replace("?", " ").replace(".", " ").split()})
    if name == "RobertaTokenizer":
        return _bytes(kind, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    if name == "GPT2Tokenizer":
        return _bytes(kind, ["<|endoftext|>"])
    if name == "DebertaTokenizer":
        return _bytes(kind, ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"])
    if name == "ModernBertTokenizer":
        return _modern()
    if name == "CamembertTokenizer":
        first = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"]
        vocab = [*_pieces(first, words), ("<s>", 0.0), ("</s>", 0.0), ("<mask>", 0.0)]
        return kind(vocab=vocab)
    if name in _UNIGRAM:
        return kind(vocab=_pieces(_UNIGRAM[name], words))
    letters = [c for c in string.printable.lower() if not c.isspace()]
    pieces = dict.fromkeys([*letters, *(f"##{c}" for c in letters), *(word.lower() for word in words)])
    special = _WORDPIECE.get(name, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return kind(vocab={piece: i for i, piece in enumerate(dict.fromkeys([*special, *pieces]))})


_UNIGRAM = {
    "AlbertTokenizer": ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
    "FNetTokenizer": ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
    "XLMRobertaTokenizer": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    "DebertaV2Tokenizer": ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"],
    "BigBirdTokenizer": ["<pad>", "</s>", "<s>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
    "T5Tokenizer": ["<pad>", "</s>", "<unk>"],
    "XLNetTokenizer": ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"],
    "RemBertTokenizer": ["[PAD]", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
}
_WORDPIECE = {
    "MPNetTokenizer": ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"],
    "FunnelTokenizer": ["<pad>", "<unk>", "<cls>", "<sep>", "<mask>"],
    "SplinterTokenizer": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[QUESTION]", "."],
}


def _bytes(kind: Any, special: list[str]) -> Any:
    """Every byte is a token."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    return kind(vocab={piece: i for i, piece in enumerate([*special, *alphabet])}, merges=[])


def _modern() -> Any:
    """Bytes, and BERT's special tokens around a pair, whose parts have no types."""
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    core = tokenizers.Tokenizer(tokenizers.models.BPE({p: i for i, p in enumerate([*special, *alphabet])}, []))
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        mask_token="[MASK]", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def _pieces(special: list[str], words: list[str]) -> list[tuple[str, float]]:
    """Pieces with log probabilities, whole words before characters."""
    characters = [c for c in string.printable if not c.isspace()]
    pieces = dict.fromkeys(["▁", *characters, *(f"▁{word}" for word in words), *(f"▁{word.lower()}" for word in words)])
    return [(piece, 0.0) for piece in special] + [(p, -3.0 if len(p) > 1 else -9.0) for p in pieces]


def config_of(family: str, tokenizer: Any, **settings: Any) -> Any:
    """The family's config, for the tokenizer's vocabulary and special tokens."""
    known = transformers.AutoConfig.for_model(family).to_dict()
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.cls_token_id,
           "cls_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id,
           "sep_token_id": tokenizer.sep_token_id, "decoder_start_token_id": tokenizer.sep_token_id,
           "forced_eos_token_id": tokenizer.sep_token_id,
           "question_token_id": tokenizer.convert_tokens_to_ids("[QUESTION]")}  # fmt: skip
    own = {key: value for key, value in ids.items() if known.get(key) is not None or key == "pad_token_id"}
    sizes = {"vocab_size": len(tokenizer), **own, **(FAMILIES | REFUSED)[family][0], **settings}
    return transformers.AutoConfig.for_model(family, **sizes)


def checkpoint_of(family: str, folder: Path, kind: str = "AutoModel", **settings: Any) -> Path:
    """A checkpoint of the family with a head for another task, or without one, by ``kind``."""
    tokenizer = tokenizer_of(family)
    config = config_of(family, tokenizer, **settings)
    getattr(transformers, kind).from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


_FAIRSEQ = {"unk_id": 0, "bos_id": 1, "eos_id": 2}
# Tokenizers of some checkpoints without tokenizer.json: the file's name, and which pieces come first.
PIECES: dict[str, tuple[str, dict[str, Any]]] = {
    "deberta-v2": ("spm.model", {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]",
                                 "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}),
    "xlm-roberta": ("sentencepiece.bpe.model", _FAIRSEQ),
    "camembert": ("sentencepiece.bpe.model", _FAIRSEQ),
    "albert": ("spiece.model", {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1,
                                "control_symbols": "[CLS],[SEP],[MASK]"}),
}  # fmt: skip


def with_pieces_alone(family: str, folder: Path) -> Path:
    """The checkpoint of the family in this folder with only a SentencePiece model, of TEXTS, as its tokenizer."""
    for path in folder.glob("*token*.json"):
        path.unlink()
    name, first = PIECES[family]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=60, hard_vocab_limit=False, minloglevel=2, **first
    )
    (folder / name).write_bytes(model.getvalue())
    return folder
