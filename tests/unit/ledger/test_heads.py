"""Tree heads: the same as a record and as a note, and signatures that any tool can check."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pv_stream.errors import UsageError
from pv_stream.ledger.heads import NotATreeHead, TreeHead, is_signed_by, key_id_of, signed
from pv_stream.ledger.keys import new_key, read_private_key, read_public_key

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HEAD = TreeHead("pv.clinical.events.v1/3", 12, b"r" * 32, b"l" * 32, 900)
SIGNED = signed(HEAD, KEY)
#: Written once by hand from C2SP's tlog-checkpoint: three lines, our two, and nothing behind them.
TEXT = (
    "pv.clinical.events.v1/3\n12\ncnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=\n"
    f"link {'6c' * 32}\nposition 900\n"
)


def test_the_text_is_a_checkpoint() -> None:
    assert HEAD.text.decode() == TEXT
    assert HEAD.note == f"{TEXT}\n"


def test_the_note_ends_with_the_signature() -> None:
    assert SIGNED.note.startswith(f"{TEXT}\n— pv.clinical.events.v1/3 ")
    assert SIGNED.note.count("\n") == TEXT.count("\n") + 2


@pytest.mark.parametrize("head", [HEAD, SIGNED])
def test_both_forms_are_read_back(head: TreeHead) -> None:
    assert TreeHead.from_bytes(head.to_bytes()) == head
    assert TreeHead.from_note(head.note) == head


def test_a_signature_is_of_this_key_and_this_text() -> None:
    another = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
    keys = [another.public_key(), KEY.public_key()]
    assert is_signed_by(SIGNED, keys)
    assert not is_signed_by(SIGNED, [another.public_key()])
    assert not is_signed_by(SIGNED, [])
    assert not is_signed_by(HEAD, keys)
    assert not is_signed_by(replace(SIGNED, key_id=key_id_of(another.public_key(), HEAD.origin)), keys)
    for change in ({"size": 11}, {"root": b"x" * 32}, {"link": b"x" * 32}, {"next_position": 901}):
        assert not is_signed_by(replace(SIGNED, **change), keys)


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT.replace("12", "012") + "\n",
        TEXT.replace("12", "-1") + "\n",
        TEXT + "another line\n\n",
        TEXT.replace("link ", "") + "\n",
        SIGNED.note.replace("— pv.clinical.events.v1/3 ", "— pv.clinical.events.v1/3 !"),
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(NotATreeHead):
        TreeHead.from_note(note)


@pytest.mark.parametrize(
    "value",
    [
        SIGNED.to_bytes().replace(b'"size":12', b'"size":-12'),
        SIGNED.to_bytes().replace(b'"size":12', b'"size":true'),
        SIGNED.to_bytes().replace(b'"size":12', b'"size":"12"'),
        SIGNED.to_bytes().replace(b'"root":"72', b'"root":"zz'),
        b"null",
        b"[" * 100_000,
    ],
)
def test_what_is_no_record_is_refused(value: bytes) -> None:
    with pytest.raises(NotATreeHead):
        TreeHead.from_bytes(value)


def test_openssl_checks_the_same_signature(tmp_path: Path) -> None:
    """An auditor needs none of our code: the text, the signature and the public key are enough."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.fail("openssl is not installed: `make test` needs it for TLS as well")
    private, public = new_key()
    head = signed(HEAD, read_private_key(private.decode()))
    assert head.signature is not None
    for name, content in (("text", head.text), ("signature", head.signature), ("key.pub", public)):
        (tmp_path / name).write_bytes(content)
    command = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin", "-in", "text"]
    done = subprocess.run(  # noqa: S603 - our own command line, no shell
        [*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_keys_are_read_back() -> None:
    private, public = new_key()
    assert read_private_key(private.decode()).public_key() == read_public_key(public, name="key.pub")


def test_a_private_key_that_is_none_is_refused_without_quoting_it() -> None:
    of_another_kind = X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with_password = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for text in ("secret words", of_another_kind.decode(), with_password.decode()):
        with pytest.raises(UsageError, match="Ed25519 private key") as raised:
            read_private_key(text)
        assert text.splitlines()[-1] not in str(raised.value)


def test_a_key_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(UsageError, match=r"pip install 'pv-stream\[audit\]'"):
        read_private_key("any")


def test_a_public_key_that_is_none_is_refused() -> None:
    of_another_kind = X25519PrivateKey.generate().public_key()
    for text in (b"x", of_another_kind.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)):
        with pytest.raises(UsageError, match=r"^some\.pub is not an Ed25519 public key"):
            read_public_key(text, name="some.pub")
