"""The manifests in `cli/deploy/kubernetes` are what Kubernetes takes, and what they start is a command of this program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "cli" / "deploy" / "kubernetes"
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
