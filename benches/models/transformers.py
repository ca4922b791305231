"""Whole transformers as ONNX: nanogpt (trained), minilm (real weights), gpt2 (124 M seeded weights).

    python transformers.py [--out DIR] [--spelling written|operators] [NAME ...]

Each is written in one of two spellings: as PyTorch's exporter of TorchScript
writes it (normalizations, GELU and attention in primitives, masks by Where), or
with the operators that newer exporters use (LayerNormalization, Gelu, Attention;
opset 23). Files go to generated/: NAME.onnx, NAME_calibration.npz,
NAME_input.npz and, for nanogpt and minilm, NAME_held_out.npz.
"""

import argparse
import math
from pathlib import Path

from common import HERE, Graph, TensorProto, np, run, save_model, save_npz, truncated_normal

SPELLINGS = ("written", "operators")


class Writer:
    """A graph with the blocks of a transformer; `operators` picks the newer spelling."""

    def __init__(self, name, operators):
        self.graph, self.operators, self.count = Graph(name), operators, 0

    def op(self, kind, *inputs, **attrs):
        """A node; arrays among the inputs become initializers."""
        self.count += 1
        names = []
        for i, x in enumerate(inputs):
            names.append(x if isinstance(x, str) else self.graph.init(f"c{self.count}_{i}", x))
        return self.graph.node(kind, names, f"/{kind}_{self.count}", **attrs)

    def param(self, name, value):
        return self.graph.init(name, value)

    def shape(self, x, *extents):
        return self.op("Reshape", x, np.array(extents, np.int64))

    def linear(self, x, weight, bias):
        return self.op("Add", self.op("MatMul", x, weight), bias)

    def norm(self, x, gain, bias, epsilon):
        if self.operators:
            return self.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=epsilon)
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1]))
        variance = self.op("ReduceMean", self.op("Pow", centred, np.float32(2)), axes=[-1])
        root = self.op("Sqrt", self.op("Add", variance, np.float32(epsilon)))
        return self.op("Add", self.op("Mul", self.op("Div", centred, root), gain), bias)

    def gelu(self, x, tanh):
        if self.operators:
            return self.op("Gelu", x, approximate="tanh" if tanh else "none")
        half = lambda v, y: self.op("Mul", self.op("Mul", v, np.float32(0.5)), self.op("Add", y, np.float32(1)))
        if not tanh:
            return half(x, self.op("Erf", self.op("Div", x, np.float32(math.sqrt(2)))))
        cube = self.op("Mul", self.op("Pow", x, np.float32(3)), np.float32(0.044715))
        inner = self.op("Mul", self.op("Add", x, cube), np.float32(math.sqrt(2 / math.pi)))
        return half(x, self.op("Tanh", inner))

    def heads(self, x, steps, heads, width, axes=(0, 2, 1, 3)):
        return self.op("Transpose", self.shape(x, 1, steps, heads, width // heads), perm=list(axes))

    def attention(self, q, k, v, steps, heads, width, mask=None, causal=False):
        """`mask`: what is added to the scores, broadcast."""
        scale = 1 / math.sqrt(width / heads)
        if self.operators:
            inputs = [q, k, v] + ([mask] if mask else [])
            return self.op(
                "Attention", *inputs, q_num_heads=heads, kv_num_heads=heads, is_causal=int(causal), scale=scale
            )
        q, v = self.heads(q, steps, heads, width), self.heads(v, steps, heads, width)
        scores = self.op("MatMul", q, self.heads(k, steps, heads, width, (0, 2, 3, 1)))
        scores = self.op("Mul", scores, np.float32(scale))
        if causal:
            allowed = np.tril(np.ones((1, 1, steps, steps), bool))
            scores = self.op("Where", allowed, scores, np.float32(-np.inf))
        if mask:
            scores = self.op("Add", scores, mask)
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        return self.shape(self.op("Transpose", mixed, perm=[0, 2, 1, 3]), 1, steps, width)

    def model(self, output, shape):
        graph = self.graph
        graph.node("Identity", [output], "output", name="result")
        return graph.model({"output": shape}, opset=23 if self.operators else 17)


def gpt(name, operators, p, steps, heads, layers, epsilon=1e-5):
    """A GPT with parameters by the names of train_gpt.py; the last position's logits."""
    w = Writer(name, operators)
    for key, value in p.items():
        w.param(key, value)
    width = p["wte"].shape[1]
    ids = w.graph.input("input_ids", [1, steps], TensorProto.INT64)
    if operators:
        positions = w.op("Gather", "wpe", np.arange(steps, dtype=np.int64))
    else:
        positions = w.op("Slice", "wpe", *(np.array([v], np.int64) for v in (0, steps, 0)))
    x = w.op("Add", w.op("Gather", "wte", ids), positions)
    for i in range(layers):
        at = lambda key: f"h{i}.{key}"
        h = w.norm(x, at("ln_1.gain"), at("ln_1.bias"), epsilon)
        h = w.linear(h, at("qkv"), at("qkv.bias"))
        names = [f"/h{i}/{c}" for c in "qkv"]
        w.graph.node("Split", [h, w.param(f"h{i}.parts", np.array([width] * 3, np.int64))], names, axis=-1)
        h = w.attention(*names, steps, heads, width, causal=True)
        x = w.op("Add", x, w.linear(h, at("proj"), at("proj.bias")))
        h = w.norm(x, at("ln_2.gain"), at("ln_2.bias"), epsilon)
        h = w.gelu(w.linear(h, at("fc"), at("fc.bias")), tanh=True)
        x = w.op("Add", x, w.linear(h, at("out"), at("out.bias")))
    last = w.op("Gather", x, np.array(steps - 1, np.int64), axis=1)
    head = "head" if "head" in p else w.op("Transpose", "wte", perm=[1, 0])
    logits = w.op("MatMul", w.norm(last, "ln_f.gain", "ln_f.bias", epsilon), head)
    return w.model(logits, [1, p["wte"].shape[0]])


def bert(name, operators, p, steps, heads, layers, epsilon=1e-12):
    """A BERT encoder with its usual names; the normalised mean of the unmasked positions."""
    w = Writer(name, operators)
    kept = {}

    def use(key, transposed=False):
        if key not in kept:
            value = p[key].T if transposed else p[key]
            kept[key] = w.param(key, np.ascontiguousarray(value))
        return kept[key]

    def dense(x, prefix):
        return w.linear(x, use(f"{prefix}.weight", True), use(f"{prefix}.bias"))

    def norm(x, prefix):
        return w.norm(x, use(f"{prefix}.weight"), use(f"{prefix}.bias"), epsilon)

    width = p["embeddings.word_embeddings.weight"].shape[1]
    ids, mask, types = (
        w.graph.input(n, [1, steps], TensorProto.INT64) for n in ("input_ids", "attention_mask", "token_type_ids")
    )
    words = w.op("Gather", use("embeddings.word_embeddings.weight"), ids)
    kinds = w.op("Gather", use("embeddings.token_type_embeddings.weight"), types)
    places = w.op("Slice", use("embeddings.position_embeddings.weight"), *(np.array([v], np.int64) for v in (0, steps, 0)))
    x = norm(w.op("Add", w.op("Add", words, kinds), places), "embeddings.LayerNorm")
    wide = w.op("Unsqueeze", mask, np.array([1, 2], np.int64))
    if operators:
        added = w.op("Cast", wide, to=TensorProto.BOOL)
        added = w.op("Where", added, np.float32(0), np.float32(np.finfo(np.float32).min))
        added = w.op("Expand", added, np.array([1, 1, steps, steps], np.int64))
    else:
        inverted = w.op("Sub", np.float32(1), w.op("Cast", wide, to=TensorProto.FLOAT))
        added = w.op("Mul", inverted, np.float32(np.finfo(np.float32).min))
    for i in range(layers):
        at = f"encoder.layer.{i}"
        q, k, v = (dense(x, f"{at}.attention.self.{n}") for n in ("query", "key", "value"))
        h = w.attention(q, k, v, steps, heads, width, mask=added)
        x = norm(w.op("Add", dense(h, f"{at}.attention.output.dense"), x), f"{at}.attention.output.LayerNorm")
        h = w.gelu(dense(x, f"{at}.intermediate.dense"), tanh=False)
        x = norm(w.op("Add", dense(h, f"{at}.output.dense"), x), f"{at}.output.LayerNorm")
    weight = w.op("Cast", w.op("Unsqueeze", mask, np.array([-1], np.int64)), to=TensorProto.FLOAT)
    axis = np.array([1], np.int64)
    total = w.op("ReduceSum", w.op("Mul", x, weight), axis, keepdims=0)
    count = w.op("Clip", w.op("ReduceSum", weight, axis, keepdims=0), np.float32(1e-9))
    mean = w.op("Div", total, count)
    if operators:
        length = w.op("ReduceL2", mean, axis, keepdims=1)
    else:
        length = w.op("ReduceL2", mean, axes=[1], keepdims=1)
    return w.model(w.op("Div", mean, w.op("Clip", length, np.float32(1e-12))), [1, width])


def nanogpt(operators):
    import train_gpt as t

    p = t.train(301)
    model = gpt("nanogpt", operators, p, t.STEPS, t.HEADS, t.LAYERS)
    some = lambda rows, n: rows[np.linspace(0, len(rows) - 1, n).astype(int)]
    seen, unseen = some(t.windows(False), 32), some(t.windows(True), 256)
    targets = {"target": unseen[:, -1]}
    return model, {"input_ids": seen[:, None, :-1]}, {"input_ids": unseen[:, None, :-1]}, targets


def gpt2(operators):
    """The shape of GPT-2 small: 12 layers, 768 wide, 50,257 tokens, tied weights; nothing is trained."""
    layers, width, vocabulary, steps = 12, 768, 50257, 64
    rng = np.random.default_rng(302)
    draw = lambda shape, scale=0.02: truncated_normal(rng, shape, scale)
    p = {"wte": draw((vocabulary, width)), "wpe": draw((1024, width), 0.01)}
    for i in range(layers):
        shapes = {"qkv": (width, 3 * width), "proj": (width, width), "fc": (width, 4 * width), "out": (4 * width, width)}
        for n in ("ln_1", "ln_2"):
            p[f"h{i}.{n}.gain"], p[f"h{i}.{n}.bias"] = 1 + draw((width,), 0.1), draw((width,), 0.1)
        for n, shape in shapes.items():
            p[f"h{i}.{n}"], p[f"h{i}.{n}.bias"] = draw(shape, 0.02 if n in ("qkv", "fc") else 0.01), draw((shape[1],))
    p["ln_f.gain"], p["ln_f.bias"] = 1 + draw((width,), 0.1), draw((width,), 0.1)
    model = gpt("gpt2", operators, p, steps, 12, layers)
    ids = rng.integers(0, vocabulary, (6, 1, steps))
    return model, {"input_ids": ids[:2]}, {"input_ids": ids[2:]}, {}


def minilm(operators):
    import minilm as m

    steps = 32
    p = m.weights()
    model = bert("minilm", operators, p, steps, 12, 6)
    rows = m.sentences()
    ids, mask = m.tokenize(rows, steps)
    feeds = {"input_ids": ids[:, None], "attention_mask": mask[:, None], "token_type_ids": np.zeros_like(ids[:, None])}
    part = lambda s: {k: v[s] for k, v in feeds.items()}
    return model, part(slice(1, 49, 2)), part(slice(0, 128, 2)), {}


MODELS = {"nanogpt": nanogpt, "gpt2": gpt2, "minilm": minilm}


def generate(name, spelling, out):
    """Builds one model, runs it on all inputs and writes it with them."""
    model, calibration, held_out, extra = MODELS[name](spelling == "operators")
    out.mkdir(parents=True, exist_ok=True)
    save_model(model, out / f"{name}.onnx")
    file = (out / f"{name}.onnx").read_bytes()
    count = len(held_out["input_ids"])
    feeds = [{k: v[i] for k, v in held_out.items()} for i in range(count)]
    results = np.stack([run(file, f)[0] for f in feeds])
    assert np.isfinite(results).all() and results.std(axis=0).max() > 0
    save_npz(out / f"{name}_calibration.npz", **calibration)
    save_npz(out / f"{name}_input.npz", **{k: v[:1] for k, v in held_out.items()})
    save_npz(out / f"{name}_held_out.npz", **held_out)
    save_npz(out / f"{name}_expected.npz", output=results, **extra)
    size = sum(math.prod(t.dims) for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)
    print(f"{name} ({spelling}): {size} parameters, {len(model.graph.node)} nodes, {count} held-out inputs")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["nanogpt"], help=f"any of {', '.join(MODELS)}")
    parser.add_argument("--out", type=Path, default=HERE / "generated")
    parser.add_argument("--spelling", choices=SPELLINGS, default="written")
    args = parser.parse_args()
    for name in args.names:
        if name not in MODELS:
            parser.error(f"unknown model {name!r}")
        generate(name, args.spelling, args.out)


if __name__ == "__main__":
    main()
