"""The manifests in `cli/deploy/kubernetes` are what Kubernetes takes, and what they start is a command of this program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "cli" / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    spec = document.get("spec", {}).get("template", {}).get("spec", {})
    return spec.get("containers", [])


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_they_are_valid_and_start_what_there_is(file: Path) -> None:
    documents = list(yaml.safe_load_all(file.read_text()))
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, "1.30", strict=True)
        for container in containers(document):
            # A flag that does not exist is refused before anything starts; one more makes sure that nothing does.
            command = [sys.executable, "-m", "assay", *container["args"], "--no-such-flag"]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
            assert ran.returncode == 2
            assert "unexpected argument '--no-such-flag'" in ran.stdout + ran.stderr


def test_a_mistake_is_noticed() -> None:
    document = next(yaml.safe_load_all((FOLDER / "workers.yaml").read_text()))
    document["spec"]["replicas"] = "two"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.30", strict=True)


def test_there_are_some() -> None:
    assert [f.name for f in FILES] == ["farm.yaml", "workers.yaml"]


def test_the_image_is_built_from_what_there_is() -> None:
    """Images cannot be built here: that what the file names exists, is of the pinned versions and goes where it is looked for."""
    text = (ROOT / "cli" / "deploy" / "Containerfile").read_text()
    toolchain = re.search(r'channel = "(\d+\.\d+)', (ROOT / "rust-toolchain.toml").read_text())
    assert toolchain and f"rust:{toolchain[1]}-" in text
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)
    assert copied and all((ROOT / path).exists() for path in copied)
    package = re.search(r"cargo build --release -p (\S+)", text)
    manifest = (ROOT / "cli" / "Cargo.toml").read_text()
    assert package and f'name = "{package[1]}"' in manifest and f"target/release/{package[1]}" in text
    # The script that fetches the server prints its path, relative to where it lies.
    script = (ROOT / "cli" / "deploy" / "install-nats").read_text()
    assert "$PWD/.nats" in script and "$folder/bin/nats-server" in script
    assert "COPY cli/deploy/install-nats /opt/assay/install-nats" in text and "/opt/assay/.nats/bin/nats-server" in text
    # Whom the manifests run it as.
    user = re.search(r"^USER (\d+)$", text, re.MULTILINE)
    for file in FILES:
        for document in yaml.safe_load_all(file.read_text()):
            spec = document.get("spec", {}).get("template", {}).get("spec", {})
            assert user and spec.get("securityContext", {}).get("runAsUser", int(user[1])) == int(user[1])
    # Nothing of a build before, and nothing that a test installed, goes into the image.
    assert {"**/target", "**/.venv", "**/node_modules", ".git"} <= set((ROOT / ".dockerignore").read_text().split("\n"))
