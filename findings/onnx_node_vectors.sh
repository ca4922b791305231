#!/usr/bin/env bash
# onnx (PyPI) 1.22.0 and 1.23.2: where the operator test vectors are.
#
# The vectors under onnx/backend/test/data/node are what runtimes and importers check themselves against, usually by reading the
# files out of an installed wheel, in whatever language. One minor version took all of them out of the wheel, while the folder
# onnx/backend/test/data itself is still there with the other suites, so a reader that walks it finds no operator tests and no
# error either. The loader in Python still reports them: it computes them when it is asked.
#
# Seen: 1.22.0 has 1765 folders of node tests; 1.23.2 has none, 780 other entries under data, and its loader returns 1884 tests.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip="$work/venv/bin/pip"
"$pip" -q --disable-pip-version-check download --no-deps -d "$work" onnx==1.22.0 2>/dev/null
"$pip" -q --disable-pip-version-check download --no-deps -d "$work" onnx==1.23.2 2>/dev/null
"$pip" -q --disable-pip-version-check install "$work"/onnx-1.23.2-*.whl

count() {
    python3 - "$1" <<'PY'
import sys, zipfile
prefix = "onnx/backend/test/data/"
names = [n[len(prefix):] for n in zipfile.ZipFile(sys.argv[1]).namelist() if n.startswith(prefix)]
node = {n.split("/")[1] for n in names if n.startswith("node/") and n.count("/") > 1}
print(len(node), "node tests,", "other suites present" if any(not n.startswith("node/") for n in names) else "no other suites")
PY
}
old=$(count "$work"/onnx-1.22.0-*.whl)
new=$(count "$work"/onnx-1.23.2-*.whl)
loaded=$("$work/venv/bin/python" -W ignore -c '
from onnx.backend.test.loader import load_model_tests
print(len(load_model_tests(kind="node")))')
echo "onnx 1.22.0, files: $old"
echo "onnx 1.23.2, files: $new"
echo "onnx 1.23.2, loader: $loaded node tests"
[ "$old" = "1765 node tests, other suites present" ]
[ "$new" = "0 node tests, other suites present" ]
[ "$loaded" = 1884 ]
echo "as described"
