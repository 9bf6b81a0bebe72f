"""What the journal needs of the operating system; a file for each kind of system."""

import sys

if sys.platform == "win32":
    from vpnclient.host.system_windows import (
        DEFAULT_RUN_DIR,
        OPEN_FLAGS,
        boot_id,
        is_private,
        lock,
        namespace_lives,
        network_namespace,
        process_started,
        remove_locked,
        rename_locked,
    )
else:
    from vpnclient.host.system_posix import (
        DEFAULT_RUN_DIR,
        OPEN_FLAGS,
        boot_id,
        is_private,
        lock,
        namespace_lives,
        network_namespace,
        process_started,
        remove_locked,
        rename_locked,
    )

__all__ = [
    "DEFAULT_RUN_DIR",
    "OPEN_FLAGS",
    "boot_id",
    "is_private",
    "lock",
    "namespace_lives",
    "network_namespace",
    "process_started",
    "remove_locked",
    "rename_locked",
]
