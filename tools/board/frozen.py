"""Which of our modules a board's manifest freezes: the manifest is run with verbs that only take notes.

The verbs are those of MicroPython's makemanifest.py as far as our manifests use them.

Source: MicroPython documentation, "MicroPython manifest files".
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from tools.upy import firmware_folder


class _Options:
    def __init__(self, **given: Any):
        self._values = dict(given)

    def defaults(self, **values: Any) -> None:
        self._values = {**values, **self._values}

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["_values"][name]


class FrozenList:
    """modules: name in the image -> its source. others: what comes from MicroPython's own tree, as the manifests say it."""

    def __init__(self, manifest: Path):
        self.modules: dict[str, Path] = {}
        self.others: list[str] = []
        self._read(manifest, {})

    def _read(self, manifest: Path, options: dict[str, Any]) -> None:
        folder = manifest.parent
        names = {
            "options": _Options(**options),
            "metadata": lambda **_: None,
            "include": lambda path, **given: self._include(folder, path, given),
            "module": lambda path, base_path=".", opt=None: self._module(folder / base_path, path),
            "package": lambda name, files=None, base_path=".", opt=None: self._package(
                folder / base_path, name, files
            ),
            "freeze": lambda path, files=(), opt=None: self.others.extend(f"{path}/{name}" for name in files),
            "require": lambda name: self.others.append(f"micropython-lib: {name}"),
        }
        exec(compile(manifest.read_text(), str(manifest), "exec"), names)  # noqa: S102 -- a file of ours, as the build runs it

    def _include(self, folder: Path, path: str, options: dict[str, Any]) -> None:
        if "$(" in path:
            self.others.append(path)
        else:
            place = folder / path
            self._read(place if place.suffix == ".py" else place / "manifest.py", options)

    def _module(self, folder: Path, path: str) -> None:
        self.modules[path] = (folder / path).resolve(strict=True)

    def _package(self, folder: Path, name: str, files: tuple[str, ...] | None) -> None:
        place = folder / name
        for path in sorted(place.rglob("*.py")) if files is None else [place / file for file in files]:
            self.modules[str(path.relative_to(folder))] = path.resolve(strict=True)

    def digests(self) -> Iterator[tuple[str, str]]:
        """Give each module and SHA-256 of its source, sorted by name."""
        for name in sorted(self.modules):
            yield name, sha256(self.modules[name].read_bytes()).hexdigest()

    def digest(self) -> str:
        """Return SHA-256 over names and digests: what the board calls its image."""
        return sha256("".join(f"{digest}  {name}\n" for name, digest in self.digests()).encode()).hexdigest()


def board_manifest(name: str) -> Path:
    """Return the manifest of a board."""
    return firmware_folder() / "boards" / name / "manifest.py"
