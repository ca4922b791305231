"""Networks made by onnxruntime's static quantizer, with what onnxruntime computes on samples."""

import pathlib
import tempfile

import numpy as np
import onnxruntime as ort
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

CALIBRATION = 50


class Reader(CalibrationDataReader):
    def __init__(self, rows):
        self.rows = iter(rows)

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"x": row}


def write(folder, network, rows, form, kind, per_channel=False, session_options=None):
    """Quantizes a network of one input `x` and one output `y`; the first rows calibrate it.

    Weights keep 7 bits, so that no processor's 8-bit instructions saturate.
    """
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temp:
        (pathlib.Path(temp) / "f.onnx").write_bytes(network.SerializeToString())
        quantize_static(
            f"{temp}/f.onnx",
            str(folder / "model.onnx"),
            Reader(rows[:CALIBRATION]),
            quant_format=form,
            per_channel=per_channel,
            reduce_range=True,
            activation_type=kind,
            weight_type=QuantType.QInt8,
        )
    session = ort.InferenceSession(str(folder / "model.onnx"), session_options, providers=["CPUExecutionProvider"])
    results = np.stack([session.run(None, {"x": row})[0] for row in rows])
    (folder / "inputs.pb").write_bytes(numpy_helper.from_array(rows, "x").SerializeToString())
    (folder / "outputs.pb").write_bytes(numpy_helper.from_array(results, "y").SerializeToString())
