"""Whom a program of the user's is run as."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """None: as we are."""

    uid: int | None = None
    gid: int | None = None
    groups: list[int] | None = None
    home: str | None = None

    @classmethod
    def of(cls, name: str) -> Account:
        """Of a user of this computer; empty: as we are.  Raises ValueError."""
        if not name:
            return cls()
        import pwd

        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise ValueError(f"there is no user {name!r}") from None
        return cls(entry.pw_uid, entry.pw_gid, os.getgrouplist(name, entry.pw_gid), entry.pw_dir)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that differ from ours."""
        return {"HOME": self.home} if self.home else {}
