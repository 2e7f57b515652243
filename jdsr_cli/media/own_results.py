"""What jdsr made itself, which is left out where a folder or a pattern is searched for inputs."""

from __future__ import annotations

import os
from pathlib import Path

from jdsr_cli.result_folders import is_own_folder


class OwnResults:
    """Knows the folder in which results are written, and every folder that is a result.

    Args:
        out: Folder of the results of this run; None if there is none.

    """

    def __init__(self, out: Path | None) -> None:
        self._out = None if out is None else Path(os.path.realpath(out))
        self._known: dict[Path, bool] = {}

    def include(self, folder: Path) -> bool:
        """Whether a folder is a result, or lies in one."""
        absolute = Path(os.path.abspath(folder))  # noqa: PTH100 - `..` is resolved, links are not
        return any(self._is_result(one) for one in (absolute, *absolute.parents))

    def leave_out(self, path: Path, root: Path) -> bool:
        """Whether a file or folder that was found in `root` is, or lies in, what jdsr made.

        The folder of the results is that if it lies in `root`, but not if it is `root` itself, in
        which recordings and results are then side by side.
        """
        folder = path if path.is_dir() else path.parent
        return self.include(folder) or (self.is_output_in(root) and self.is_output(folder))

    def is_output_in(self, root: Path) -> bool:
        """Whether the folder of the results lies in `root`, and is not `root`."""
        base = Path(os.path.realpath(root))
        return self._out is not None and self._out != base and self._out.is_relative_to(base)

    def is_output(self, folder: Path) -> bool:
        """Whether a folder is that of the results, or lies in it."""
        return self._out is not None and Path(os.path.realpath(folder)).is_relative_to(self._out)

    def _is_result(self, folder: Path) -> bool:
        if folder not in self._known:
            self._known[folder] = is_own_folder(folder)
        return self._known[folder]
