//! Every operator of the ONNX standard: how it is proven and at what cost, or that it is refused. docs/operators.md is made of this
//! table; the conformance suite compares both with what happens.

use std::fmt::Write;

/// What becomes of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Proven: how, lookups a value of the result, values committed for each, limits.
    Proven(&'static str, &'static str, &'static str, &'static str),
    /// Computed when the model is compiled, from shapes and constants; on data it is refused, and why.
    Constant(&'static str),
    /// Refused, and why.
    Refused(&'static str),
}

/// Operators of a domain with one fate: the domain, names, the fate.
pub type Row = (&'static str, &'static str, Fate);

const NONE: &str = "0";
const ONE: &str = "1";

/// The table, family by family.
pub const OPERATORS: &[Row] = {
    use Fate::{Constant, Proven, Refused};
    &[
        (
            "",
            "Identity Reshape Squeeze Unsqueeze Flatten Transpose Slice Split Concat DepthToSpace SpaceToDepth Expand Tile ReverseSequence Compress CenterCropPad Col2Im Trilu",
            Proven(
                "linear view",
                NONE,
                NONE,
                "shapes, axes, lengths and repeats are constants; Trilu multiplies by a mask",
            ),
        ),
        ("", "Pad", Proven("linear view", NONE, NONE, "every mode; pads and value are constants")),
        ("", "Dropout", Proven("identity", NONE, NONE, "inference; no mask as an output")),
        (
            "",
            "Cast CastLike",
            Proven(
                "nothing where no value changes, else a table",
                "0 or 1",
                "0 or 1",
                "no text, no types of 8 or 4 bits of floats",
            ),
        ),
        (
            "",
            "Neg Mean Sum Add Sub",
            Proven(
                "integer combination at a common scale",
                NONE,
                NONE,
                "integers that may wrap around in their type are refused",
            ),
        ),
        ("", "CumSum", Proven("matrix of ones along the axis", NONE, NONE, "a constant axis of at most 2,048 entries")),
        (
            "",
            "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log Mish Not PRelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu",
            Proven(
                "table; a chain of such functions, and rounding before it, is one table",
                ONE,
                ONE,
                "values beyond the calibrated range saturate, which the report counts",
            ),
        ),
        (
            "",
            "Mul",
            Proven("elementwise contraction", NONE, NONE, "operands that are no committed values are committed first"),
        ),
        (
            "",
            "Div",
            Proven(
                "floats: product with a tabulated reciprocal; integers: quotient with remainder",
                "1",
                "1; integers 1 and limbs of the remainder",
                "an integer divisor of zero counts as one",
            ),
        ),
        (
            "",
            "Mod",
            Proven(
                "remainder of an integer quotient",
                "range checks of quotient and remainder, 1 for each sign",
                "the same",
                "floats only by a constant",
            ),
        ),
        (
            "",
            "BitShift",
            Proven("product or quotient with a tabulated power of two", "1 to 3", "1 to 3", "operands below 2^24"),
        ),
        (
            "",
            "BitwiseAnd BitwiseOr BitwiseXor",
            Proven(
                "table of pairs of bytes",
                "1 a byte, 2 more to split it off",
                "the same",
                "computed operands of at most 20 bits",
            ),
        ),
        (
            "",
            "Pow",
            Proven(
                "table for a constant exponent, else e^(y log x)",
                "1 to 3",
                "1 to 3",
                "positive bases where the exponent is computed",
            ),
        ),
        ("", "Max Min", Proven("a + relu(b - a)", ONE, ONE, "")),
        (
            "",
            "Equal Greater GreaterOrEqual Less LessOrEqual",
            Proven(
                "sign of the difference",
                ONE,
                ONE,
                "equality of floats only where they are whole numbers (counts, sums of comparisons), or one is maxima or minima of the other",
            ),
        ),
        ("", "And Or Xor", Proven("table of the sum", ONE, ONE, "")),
        (
            "",
            "Where",
            Proven("two elementwise products", NONE, NONE, "the condition is committed: 1 lookup a value of it"),
        ),
        (
            "",
            "MatMul Gemm Conv ConvTranspose",
            Proven(
                "contraction",
                NONE,
                NONE,
                "operands are committed first where they are no committed values; the result is rounded by the next lookup",
            ),
        ),
        (
            "",
            "Einsum",
            Proven(
                "contractions of two at a time; diagonals and sums are views",
                NONE,
                NONE,
                "at most 26 indices in a product",
            ),
        ),
        ("", "AveragePool GlobalAveragePool ReduceMean ReduceSum", Proven("sum over a window or axis", NONE, NONE, "")),
        (
            "",
            "MaxPool GlobalMaxPool ReduceMax ReduceMin",
            Proven("tree of maxima", "1 for each entry but one of a window", "the same", "no indices of the maxima"),
        ),
        (
            "",
            "LpPool GlobalLpPool ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp LpNormalization",
            Proven("tables around a sum", "1 an entry, 1 or 2 a sum", "the same", ""),
        ),
        (
            "",
            "ReduceProd CumProd",
            Proven("products of two at a time", "1 a product", "1 a product", "CumProd: at most 128 entries"),
        ),
        (
            "",
            "ArgMax ArgMin Hardmax TopK",
            Proven(
                "exact comparisons of all pairs or a tree of maxima",
                "about 2 for each pair",
                "the same",
                "ties as the standard says; a constant k",
            ),
        ),
        (
            "",
            "Softmax LogSoftmax SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss",
            Proven("maximum, exponential, sum, reciprocal", "about 3 an entry", "about 3 an entry", ""),
        ),
        (
            "",
            "BatchNormalization",
            Proven("folded into the weights before it, or a product with constants", NONE, NONE, "inference"),
        ),
        (
            "",
            "LayerNormalization RMSNormalization InstanceNormalization GroupNormalization MeanVarianceNormalization LRN",
            Proven("squares, a sum, a tabulated inverse root, a product", "about 1 an entry, 2 a row", "the same", ""),
        ),
        (
            "",
            "Attention RotaryEmbedding",
            Proven(
                "products, masks and softmax",
                "about 5 a score",
                "the same",
                "masks are constants or data; a constant number of valid keys",
            ),
        ),
        (
            "",
            "CausalConvWithState LinearAttention",
            Proven(
                "convolution; products with the state, step by step",
                "about 2 an entry of the state and step",
                "the same",
                "at most 256 steps, each written out",
            ),
        ),
        (
            "",
            "Gather GatherElements GatherND OneHot",
            Proven(
                "constant places: a view; computed ones: row lookup",
                "0, or 1 a row",
                "0, or the rows",
                "places outside of the table have no proof",
            ),
        ),
        (
            "",
            "Scatter ScatterElements ScatterND",
            Proven(
                "choice between data and updates",
                NONE,
                NONE,
                "constant places, or computed ones that updates are added to: 3 for each pair of both; max, min and mul cost what they cost by themselves",
            ),
        ),
        (
            "",
            "Resize Upsample AffineGrid",
            Proven(
                "sparse matrix along each axis",
                NONE,
                NONE,
                "constant sizes and scales; every coordinate mode; AffineGrid's size is constant",
            ),
        ),
        (
            "",
            "GridSample",
            Proven(
                "constant grid: sparse matrix over all places of a picture; computed grid: tents as weights along each axis",
                "0, or 1 a place and entry of an axis",
                "0, or the weights",
                "a constant grid has at most 65,536 numbers; a computed one is linear, with zeros or border outside; no cubic samples beyond a border",
            ),
        ),
        (
            "",
            "RNN LSTM GRU",
            Proven(
                "a recurrence: the cell is in the graph once, whatever the number of steps",
                "1, 7 or 5 a state of a step, with a limb each",
                "the same",
                "full sequences (a constant sequence_lens of all steps); states saturate beyond their range",
            ),
        ),
        (
            "",
            "If Loop Scan",
            Proven(
                "the body, written out",
                "those of the body",
                "those of the body",
                "a condition that data does not decide, and a number of trips; at most 8,192 nodes written out; Scan from operator set 9",
            ),
        ),
        (
            "",
            "QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger",
            Proven(
                "the model's own integers, rounded as onnxruntime does",
                "1 a rounded value",
                "1 and limbs",
                "constant scales for a tensor or an axis; 8 bits bit for bit, 16 bits (which runtimes compute in floats) to the nearest integer",
            ),
        ),
        (
            "",
            "Constant ConstantOfShape EyeLike Range Shape Size BlackmanWindow HammingWindow HannWindow MelWeightMatrix",
            Constant("they have no data to prove anything of"),
        ),
        ("", "IsInf IsNaN", Constant("a proven value is a finite number")),
        (
            "",
            "RoiAlign MaxRoiPool MaxUnpool DeformConv",
            Refused("places that are computed in fractions; use Resize, or leave it to the program around the model"),
        ),
        (
            "",
            "DFT STFT",
            Proven(
                "contraction with cosines and sines",
                NONE,
                NONE,
                "constant lengths, windows and steps; one side of real signals only",
            ),
        ),
        ("", "Det", Refused("write it out")),
        (
            "",
            "NonZero NonMaxSuppression Unique",
            Refused("the shape of the result depends on data; leave it to the program that reads the output"),
        ),
        (
            "",
            "DynamicQuantizeLinear",
            Refused(
                "its scale depends on data, and float32 decides its last bit; what it stands for in front of MatMulInteger and ConvInteger whose result becomes a float is proven: the product with the weights, its input rounded as all activations are",
            ),
        ),
        (
            "",
            "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike",
            Refused("randomness cannot be proven"),
        ),
        ("", "BitCast", Refused("the bits of a float are no part of a proof")),
        ("", "TensorScatter", Refused("not there yet; export the operators that they stand for")),
        (
            "",
            "ImageDecoder RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer",
            Refused("text and files are read before the proof"),
        ),
        (
            "",
            "ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap SplitToSequence",
            Refused("sequences and optional values; use tensors"),
        ),
        ("ai.onnx.preview", "FlexAttention", Refused("a preview of the standard; use Attention")),
        ("ai.onnx.preview.training", "Adagrad Adam Gradient Momentum", Refused("training is proven by `assay train`")),
        (
            "ai.onnx.ml",
            "ArrayFeatureExtractor ZipMap",
            Proven(
                "constant places: a view; computed ones: row lookup; ZipMap's dictionaries become a tensor",
                "0, or 1 a place",
                "0, or the places",
                "of a table of texts the place is the result",
            ),
        ),
        ("ai.onnx.ml", "Scaler", Proven("part of the input's scale, or products with constants", NONE, NONE, "")),
        ("ai.onnx.ml", "Normalizer", Proven("sum and reciprocal", "1 an entry, 1 a row", "the same", "L1 and L2")),
        ("ai.onnx.ml", "Binarizer", Proven("table", ONE, ONE, "")),
        (
            "ai.onnx.ml",
            "LinearRegressor LinearClassifier",
            Proven(
                "contraction; labels by comparison of exact scores",
                "2 and limbs for each pair of classes",
                "the same",
                "no text as a label; at most 128 classes",
            ),
        ),
        (
            "ai.onnx.ml",
            "TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor",
            Proven(
                "decisions, reached nodes, sums of leaves",
                "2 and limbs a decision, 1 a split below a root",
                "the same",
                "sums and averages; thresholds and features in steps of 20 bits; two classes with weights for both: opposite ones",
            ),
        ),
        ("ai.onnx.ml", "CastMap CategoryMapper DictVectorizer", Refused("maps and text are read before the proof")),
        (
            "ai.onnx.ml",
            "LabelEncoder OneHotEncoder",
            Proven("table of integer keys", ONE, ONE, "keys and categories are integers, at most 1,024; no text"),
        ),
        (
            "ai.onnx.ml",
            "Imputer",
            Proven(
                "table; identity where NaN stands for what is missing",
                ONE,
                ONE,
                "floats only with NaN, which no input can hold",
            ),
        ),
        ("ai.onnx.ml", "FeatureVectorizer", Proven("linear view", NONE, NONE, "")),
        (
            "ai.onnx.ml",
            "SVMRegressor",
            Proven(
                "contraction with the support vectors, a table, their weighted sum",
                "1 a support vector",
                "the same",
                "every kernel; no post_transform",
            ),
        ),
        (
            "ai.onnx.ml",
            "SVMClassifier",
            Proven(
                "contraction with the support vectors, a table, a weighted sum for each pair of classes; signs, votes, label",
                "1 a support vector, 2 and limbs a pair of classes, 2 and limbs a pair for the label",
                "the same",
                "every kernel; probabilities of two or three classes; no post_transform; labels that are texts count from 0",
            ),
        ),
    ]
};

/// Operators with their fates, sorted by domain and name.
pub fn operators() -> Vec<(&'static str, &'static str, Fate)> {
    let mut all: Vec<_> =
        OPERATORS.iter().flat_map(|(d, names, f)| names.split_whitespace().map(move |n| (*d, n, *f))).collect();
    all.sort_by_key(|(d, n, _)| (*d, *n));
    all
}

/// docs/operators.md.
pub fn document() -> String {
    let mut out = String::from(HEAD);
    let mut domain = None;
    for (d, name, fate) in operators() {
        if domain != Some(d) {
            let title = if d.is_empty() { "ai.onnx" } else { d };
            let _ = write!(
                out,
                "\n## {title}\n\n| operator | proven as | lookups | committed | limits |\n|---|---|---|---|---|\n"
            );
            domain = Some(d);
        }
        let _ = match fate {
            Fate::Proven(how, lookups, committed, limits) => {
                writeln!(out, "| {name} | {how} | {lookups} | {committed} | {limits} |")
            }
            Fate::Constant(why) => writeln!(out, "| {name} | of constants only: {why} | | | |"),
            Fate::Refused(why) => writeln!(out, "| {name} | **refused**: {why} | | | |"),
        };
    }
    out
}

const HEAD: &str = "# Operators

Every operator of the ONNX standard (onnx 1.22.0): how it is proven, at what cost, and what is refused. What is not proven is refused by the
node's name when the model is compiled; nothing is approximated in silence. Made from `circuits/src/onnx/catalogue.rs` by
`ASSAY_OPERATORS=update cargo test -p assay-circuits --all-features --test onnx operators`; the conformance suite compares the table with the
ONNX project's own tests.

*Lookups* and *committed* count entries for each value of the result (or what is named there). A lookup that rounds commits a limb of the remainder
for every 8 or so bits that it drops, each with a lookup of its own; a lookup whose input leaves the table's keys in the worst case commits two parts
more. Results of contractions and views are not committed at all; the next lookup that reads them rounds them. What the columns say is what the
lowering does; `assay inspect MODEL` counts for a model.
";
