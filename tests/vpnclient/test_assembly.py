"""What the user names is read before anything is contacted: what is wrong with it is a wrong command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpnclient.assembly import make_dialer
from vpnclient.errors import UsageError
from vpnclient.settings import Settings, TlsChoice


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file or directory"), (b"no certificate\n", "certificate")]
)
def test_a_cafile_that_cannot_be_used(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    settings = Settings(url="https://vpn.test/", tls=TlsChoice(cafile=path))
    with pytest.raises(UsageError, match=f"ca.pem.*{said}"):
        make_dialer(settings, None, lambda form_id, prompt: None)
