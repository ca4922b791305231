//! What proofs are about: the relation, its layouts, stacks and recurrences. One binary, as each takes half a minute to compile.

mod agreement;
mod dealt_stacks;
mod named_stacks;
#[allow(dead_code, reason = "one test uses a part")]
#[path = "../../../circuits/tests/onnx/proto.rs"]
mod proto;
mod pullback;
mod quantized_import;
mod recurrence;
mod recurrent_import;
mod segments;
#[path = "../settle_support/mod.rs"]
mod settle_support;
mod shapes;
#[path = "../stack_set/mod.rs"]
mod stack_set;
#[path = "../support/mod.rs"]
mod support;
