//! Attributes that tract would pass over in silence: an operator may only say what is known to be honoured.
//!
//! tract reads the attributes that it knows and does not look at others, so a model that relies on another one would be
//! compiled into something else. Every operator therefore has a list of the attributes that are honoured here; one that is
//! not on the list is refused by name, and so is a value that is known to be passed over.

use super::error::ImportError;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};

/// Domains whose operators tract knows. The empty one is the ONNX standard.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// Operators with the attributes that are honoured.
const HONOURED: &[(&str, &[&str])] = &[
    ("AffineGrid", &["align_corners"]),
    ("ArgMax", &["axis", "keepdims", "select_last_index"]),
    ("ArgMin", &["axis", "keepdims", "select_last_index"]),
    ("Attention", &["is_causal", "kv_num_heads", "q_num_heads", "scale", "softcap", "qk_matmul_output_mode"]),
    ("ArrayFeatureExtractor", &[]),
    ("AveragePool", &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"]),
    ("BatchNormalization", &["epsilon", "momentum", "spatial", "training_mode"]),
    ("Binarizer", &["threshold"]),
    ("BitShift", &["direction"]),
    ("BlackmanWindow", &["output_datatype", "periodic"]),
    ("Cast", &["to", "saturate", "round_mode"]),
    ("CastLike", &["saturate", "round_mode"]),
    ("CausalConvWithState", &["activation", "ndim"]),
    ("Celu", &["alpha"]),
    ("CenterCropPad", &["axes"]),
    ("Clip", &["max", "min"]),
    ("Col2Im", &["dilations", "pads", "strides"]),
    ("Compress", &["axis"]),
    ("Concat", &["axis"]),
    ("Constant", &["value", "value_float", "value_floats", "value_int", "value_ints"]),
    ("ConstantOfShape", &["value"]),
    ("Conv", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"]),
    ("ConvInteger", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"]),
    (
        "ConvTranspose",
        &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"],
    ),
    ("CumProd", &["exclusive", "reverse"]),
    ("CumSum", &["exclusive", "reverse"]),
    ("DFT", &["axis", "inverse", "onesided"]),
    ("DepthToSpace", &["blocksize", "mode"]),
    ("DequantizeLinear", &["axis", "block_size", "output_dtype"]),
    ("Dropout", &["ratio", "seed"]),
    ("Einsum", &["equation"]),
    ("Elu", &["alpha"]),
    ("EyeLike", &["dtype", "k"]),
    ("FeatureVectorizer", &["inputdimensions"]),
    ("Flatten", &["axis"]),
    ("Gather", &["axis"]),
    ("GatherElements", &["axis"]),
    ("GatherND", &["batch_dims"]),
    ("Gelu", &["approximate"]),
    ("Gemm", &["alpha", "beta", "transA", "transB"]),
    (
        "GRU",
        &[
            "activation_alpha",
            "activation_beta",
            "activations",
            "clip",
            "direction",
            "hidden_size",
            "layout",
            "linear_before_reset",
        ],
    ),
    ("GlobalLpPool", &["p"]),
    ("GridSample", &["align_corners", "mode", "padding_mode"]),
    ("GroupNormalization", &["epsilon", "num_groups", "stash_type"]),
    ("HammingWindow", &["output_datatype", "periodic"]),
    ("HannWindow", &["output_datatype", "periodic"]),
    ("HardSigmoid", &["alpha", "beta"]),
    ("Hardmax", &["axis"]),
    ("If", &["else_branch", "then_branch"]),
    ("Imputer", &["imputed_value_floats", "imputed_value_int64s", "replaced_value_float", "replaced_value_int64"]),
    ("InstanceNormalization", &["epsilon"]),
    ("IsInf", &["detect_negative", "detect_positive"]),
    ("LRN", &["alpha", "beta", "bias", "size"]),
    (
        "LSTM",
        &[
            "activation_alpha",
            "activation_beta",
            "activations",
            "clip",
            "direction",
            "hidden_size",
            "input_forget",
            "layout",
        ],
    ),
    ("LayerNormalization", &["axis", "epsilon", "stash_type"]),
    ("LeakyRelu", &["alpha"]),
    (
        "LabelEncoder",
        &[
            "default_float",
            "default_int64",
            "default_string",
            "default_tensor",
            "keys_floats",
            "keys_int64s",
            "keys_strings",
            "keys_tensor",
            "values_floats",
            "values_int64s",
            "values_strings",
            "values_tensor",
        ],
    ),
    (
        "LinearClassifier",
        &["classlabels_ints", "classlabels_strings", "coefficients", "intercepts", "multi_class", "post_transform"],
    ),
    ("LinearAttention", &["chunk_size", "kv_num_heads", "q_num_heads", "scale", "update_rule"]),
    ("LinearRegressor", &["coefficients", "intercepts", "post_transform", "targets"]),
    ("LogSoftmax", &["axis"]),
    ("Loop", &["body"]),
    ("LpNormalization", &["axis", "p"]),
    ("LpPool", &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"]),
    ("MaxPool", &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"]),
    ("MeanVarianceNormalization", &["axes"]),
    ("Mod", &["fmod"]),
    ("Normalizer", &["norm"]),
    ("OneHot", &["axis"]),
    ("OneHotEncoder", &["cats_int64s", "cats_strings", "zeros"]),
    ("NegativeLogLikelihoodLoss", &["ignore_index", "reduction"]),
    ("Pad", &["mode", "pads", "value"]),
    ("QGemm", &["alpha", "transA", "transB"]),
    ("QLinearConcat", &["axis"]),
    ("QLinearConv", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"]),
    ("QLinearGlobalAveragePool", &["channels_last"]),
    ("QLinearLeakyRelu", &["alpha"]),
    ("QuantizeLinear", &["axis", "block_size", "output_dtype", "precision", "saturate"]),
    ("QuickGelu", &["alpha"]),
    ("RMSNormalization", &["axis", "epsilon", "stash_type"]),
    ("RNN", &["activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "layout"]),
    ("ReduceL1", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceL2", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceLogSum", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceLogSumExp", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceMax", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceMean", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceMin", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceProd", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceSum", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("ReduceSumSquare", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("Reshape", &["allowzero"]),
    (
        "Resize",
        &[
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
        ],
    ),
    ("ReverseSequence", &["batch_axis", "time_axis"]),
    ("RotaryEmbedding", &["interleaved", "num_heads", "rotary_embedding_dim"]),
    (
        "SVMClassifier",
        &[
            "classlabels_ints",
            "classlabels_strings",
            "coefficients",
            "kernel_params",
            "kernel_type",
            "post_transform",
            "prob_a",
            "prob_b",
            "rho",
            "support_vectors",
            "vectors_per_class",
        ],
    ),
    (
        "SVMRegressor",
        &[
            "coefficients",
            "kernel_params",
            "kernel_type",
            "n_supports",
            "one_class",
            "post_transform",
            "rho",
            "support_vectors",
        ],
    ),
    ("STFT", &["onesided"]),
    ("Scaler", &["offset", "scale"]),
    (
        "Scan",
        &[
            "body",
            "num_scan_inputs",
            "scan_input_axes",
            "scan_input_directions",
            "scan_output_axes",
            "scan_output_directions",
        ],
    ),
    ("Scatter", &["axis"]),
    ("ScatterElements", &["axis", "reduction"]),
    ("ScatterND", &["reduction"]),
    ("Selu", &["alpha", "gamma"]),
    ("Shape", &["end", "start"]),
    ("Shrink", &["bias", "lambd"]),
    ("SimplifiedLayerNormalization", &["axis", "epsilon", "stash_type"]),
    ("Slice", &["axes", "ends", "starts"]),
    ("Softmax", &["axis"]),
    ("SoftmaxCrossEntropyLoss", &["ignore_index", "reduction"]),
    ("SpaceToDepth", &["blocksize", "mode"]),
    ("Split", &["axis", "num_outputs", "split"]),
    ("Squeeze", &["axes"]),
    ("Swish", &["alpha"]),
    ("ThresholdedRelu", &["alpha"]),
    ("TopK", &["axis", "k", "largest", "sorted"]),
    ("Transpose", &["perm"]),
    (
        "TreeEnsemble",
        &[
            "aggregate_function",
            "leaf_targetids",
            "leaf_weights",
            "n_targets",
            "nodes_falseleafs",
            "nodes_falsenodeids",
            "nodes_featureids",
            "nodes_hitrates",
            "nodes_missing_value_tracks_true",
            "nodes_modes",
            "nodes_splits",
            "nodes_trueleafs",
            "nodes_truenodeids",
            "post_transform",
            "tree_roots",
        ],
    ),
    (
        "TreeEnsembleClassifier",
        &[
            "base_values",
            "class_ids",
            "class_nodeids",
            "class_treeids",
            "class_weights",
            "classlabels_int64s",
            "classlabels_strings",
            "nodes_falsenodeids",
            "nodes_featureids",
            "nodes_hitrates",
            "nodes_missing_value_tracks_true",
            "nodes_modes",
            "nodes_nodeids",
            "nodes_treeids",
            "nodes_truenodeids",
            "nodes_values",
            "post_transform",
        ],
    ),
    (
        "TreeEnsembleRegressor",
        &[
            "aggregate_function",
            "base_values",
            "n_targets",
            "nodes_falsenodeids",
            "nodes_featureids",
            "nodes_hitrates",
            "nodes_missing_value_tracks_true",
            "nodes_modes",
            "nodes_nodeids",
            "nodes_treeids",
            "nodes_truenodeids",
            "nodes_values",
            "post_transform",
            "target_ids",
            "target_nodeids",
            "target_treeids",
            "target_weights",
        ],
    ),
    ("Trilu", &["upper"]),
    ("Unsqueeze", &["axes"]),
    ("Upsample", &["mode", "scales"]),
    ("ZipMap", &["classlabels_int64s", "classlabels_strings"]),
];

/// Checks every node of a model, and of its subgraphs.
///
/// # Errors
/// The first attribute that would not be honoured, with the node's name.
pub(crate) fn check(proto: &ModelProto) -> Result<(), ImportError> {
    proto.graph.as_ref().map_or(Ok(()), check_graph)
}

fn check_graph(graph: &GraphProto) -> Result<(), ImportError> {
    for node in &graph.node {
        check_node(node).map_err(|help| {
            let name =
                if node.name.is_empty() { node.output.first().cloned().unwrap_or_default() } else { node.name.clone() };
            ImportError::Unsupported { node: name, op: node.op_type.clone(), help }
        })?;
        for a in &node.attribute {
            a.g.iter().chain(&a.graphs).try_for_each(check_graph)?;
        }
    }
    Ok(())
}

fn check_node(node: &NodeProto) -> Result<(), String> {
    if !DOMAINS.contains(&node.domain.as_str()) {
        return Err(format!("it is of the domain '{}', whose operators are not known here", node.domain));
    }
    let honoured = HONOURED.iter().find(|(op, _)| *op == node.op_type).map_or(&[] as &[&str], |h| h.1);
    // An operator of the same name as one of the standard, with other attributes.
    let namesake = node.op_type == "Attention";
    let vendor = node.domain == "com.microsoft" && (honoured.is_empty() || namesake);
    for a in &node.attribute {
        if !vendor && !honoured.contains(&a.name.as_str()) {
            return Err(format!("its attribute '{}' would not be honoured; export the model without it", a.name));
        }
        if let Some(why) = passed_over(node, a) {
            return Err(format!("its attribute '{}' {why}", a.name));
        }
    }
    Ok(())
}

/// Values of known attributes that are passed over.
fn passed_over(node: &NodeProto, a: &AttributeProto) -> Option<&'static str> {
    match (node.op_type.as_str(), a.name.as_str()) {
        ("MaxPool", "storage_order") if a.i != 0 => Some("must be 0"),
        ("CausalConvWithState", "ndim") if a.i != 1 => Some("must be 1"),
        ("BatchNormalization", "training_mode") if a.i != 0 => {
            Some("must be 0, or means and variances are those of the batch: export after model.eval()")
        }
        ("LayerNormalization" | "SimplifiedLayerNormalization", "stash_type") if a.i != 1 => {
            Some("must be 1 (float32)")
        }
        _ => None,
    }
}
