"""Build hook: compile the engine with meson and put it beside its Python binding.

The wheel then carries `libvpnengine.so` and the generated cffi module as plain files (ABI mode), so one wheel
a platform serves every Python 3.  An editable install runs the same hook.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent


class EngineHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        script = runpy.run_path(str(ROOT / "scripts" / "build_engine.py"))
        script["build"](ROOT)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"


if __name__ == "__main__":
    sys.exit(subprocess.call([sys.executable, str(ROOT / "scripts" / "build_engine.py")]))
