"""The journal's needs on Windows: a byte range lock, who runs, and who may write to its directory.

A reboot is not told from a crash: every undo is exact, and what a reboot took is not found.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
from functools import lru_cache
from pathlib import Path

from vpnclient.host.windows.library import Library

DEFAULT_RUN_DIR = Path(os.environ.get("ProgramData", r"C:\ProgramData")) / "vpnclient"
OPEN_FLAGS = 0x8000 | 0x80  # O_BINARY, O_NOINHERIT
_LOCK_AT = 1 << 30  # a byte far behind any journal: locks are mandatory, its text must stay readable
_LOCK_VIOLATION = 33
_QUERY_AND_WAIT = 0x1000 | 0x100000  # PROCESS_QUERY_LIMITED_INFORMATION, SYNCHRONIZE
_WAIT_TIMEOUT = 258
_TOKEN_QUERY, _TOKEN_USER = 8, 1
_FILE_OBJECT, _OWNER_INFORMATION = 1, 1
_TRUSTED_OWNERS = (22, 26)  # WinLocalSystemSid, WinBuiltinAdministratorsSid
_MAX_SID = 1024  # bytes of a TOKEN_USER with its identifier

_KERNEL = """
void *OpenProcess(uint32_t access, int inherit, uint32_t pid);
void *GetCurrentProcess(void);
int GetProcessTimes(void *process, uint64_t *created, uint64_t *ended, uint64_t *kernel, uint64_t *user);
uint32_t WaitForSingleObject(void *handle, uint32_t milliseconds);
int CloseHandle(void *handle);
int LockFile(void *file, uint32_t at, uint32_t at_high, uint32_t size, uint32_t size_high);
void *LocalFree(void *memory);
"""
_SECURITY = """
uint32_t GetNamedSecurityInfoW(const wchar_t *name, int kind, uint32_t what, void **owner, void **group, void **dacl,
                               void **sacl, void **descriptor);
int OpenProcessToken(void *process, uint32_t access, void **token);
int GetTokenInformation(void *token, int what, void *data, uint32_t size, uint32_t *needed);
int IsWellKnownSid(void *sid, int which);
int EqualSid(void *one, void *other);
"""


@lru_cache(maxsize=1)
def _kernel() -> Library:
    return Library("kernel32.dll", _KERNEL)


@lru_cache(maxsize=1)
def _security() -> Library:
    return Library("advapi32.dll", _SECURITY)


def lock(fd: int) -> bool:
    """Lock the file until it is closed.  False: another process has it.  Raises OSError."""
    kernel = _kernel()
    handle = kernel.ffi.cast("void *", importlib.import_module("msvcrt").get_osfhandle(fd))
    if kernel.call("LockFile", handle, _LOCK_AT, 0, 1, 0):
        return True
    code = kernel.last_error()
    if code != _LOCK_VIOLATION:
        raise OSError(errno.EIO, f"Windows refused (error {code})")
    return False


def remove_locked(fd: int, path: Path) -> None:
    """Delete a file that we hold locked.  An open file cannot be deleted, so it is emptied before the lock goes."""
    os.ftruncate(fd, 0)
    os.close(fd)
    with contextlib.suppress(FileNotFoundError, PermissionError):  # somebody has it already: it is theirs
        path.unlink()


def rename_locked(fd: int, path: Path, target: Path) -> None:
    """Give a file that we hold locked another name; an open one cannot be renamed."""
    os.close(fd)
    path.replace(target)


def is_private(path: Path, status: os.stat_result) -> bool:
    """The directory belongs to the system, to the administrators or to this user.

    Any user may make folders in ProgramData before us.  What we make ourselves (mode 0700) only its owner, the
    administrators and the system can open.
    """
    security = _security()
    owner, descriptor = security.ffi.new("void **"), security.ffi.new("void **")
    nothing = security.ffi.NULL
    if security.call(
        "GetNamedSecurityInfoW",
        str(path),
        _FILE_OBJECT,
        _OWNER_INFORMATION,
        owner,
        nothing,
        nothing,
        nothing,
        descriptor,
    ):
        return False
    try:
        if any(security.call("IsWellKnownSid", owner[0], which) for which in _TRUSTED_OWNERS):
            return True
        return _is_us(owner[0])
    finally:
        _kernel().call_pointer("LocalFree", descriptor[0])


def _is_us(sid: object) -> bool:
    security = _security()
    token = security.ffi.new("void **")
    if not security.call("OpenProcessToken", _kernel().call_pointer("GetCurrentProcess"), _TOKEN_QUERY, token):
        return False
    try:
        data, needed = security.ffi.new("void *[]", _MAX_SID // 8), security.ffi.new("uint32_t *")
        if not security.call("GetTokenInformation", token[0], _TOKEN_USER, data, _MAX_SID, needed):
            return False
        return bool(security.call("EqualSid", data[0], sid))  # TOKEN_USER begins with the pointer to the SID
    finally:
        _kernel().call("CloseHandle", token[0])


def boot_id() -> str:
    return ""


def network_namespace() -> int:
    return 0


def namespace_lives(inode: int) -> bool:
    return inode == 0


def process_started(pid: int) -> int | None:
    """When a process began, in 100 ns since 1601; None: there is none, or it has ended."""
    kernel = _kernel()
    process = kernel.call_pointer("OpenProcess", _QUERY_AND_WAIT, 0, pid)
    if not process:
        return None
    try:
        if kernel.call("WaitForSingleObject", process, 0) != _WAIT_TIMEOUT:
            return None
        times = kernel.ffi.new("uint64_t[4]")
        if not kernel.call("GetProcessTimes", process, times, times + 1, times + 2, times + 3):
            return None
        return int(times[0])
    finally:
        kernel.call("CloseHandle", process)
