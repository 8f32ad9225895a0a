"""Import rules that import-linter cannot express: parts of external packages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import vivace

SOURCE = Path(vivace.__file__).parent


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def test_models_know_no_distribution() -> None:
    files = sorted((SOURCE / "models").rglob("*.py"))
    assert files
    users = [path.name for path in files if any(n.startswith("torch.distributed") for n in imported_names(path))]
    assert users == []


def test_nothing_depends_on_packages_that_have_no_cpu_build() -> None:
    forbidden = ("torchvision", "torchaudio")
    users = [
        path.name
        for path in SOURCE.rglob("*.py")
        if any(name.split(".")[0] in forbidden for name in imported_names(path))
    ]
    assert users == []
