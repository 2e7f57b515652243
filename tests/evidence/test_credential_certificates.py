"""Certificates and keys that may sign, and what is said about those that may not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("c2pa", reason="needs the extra provenance")

from certificates import (
    ANYTHING,
    CLAIMS,
    DOCUMENTS,
    EMAIL,
    PEM,
    REVOCATION,
    SERVER,
    TIME_STAMPS,
    Authority,
    SigningFiles,
    certificate_pem,
    issue,
    key_pem,
    make_key,
    write_files,
)
from cryptography import x509

from jdsr_cli.errors import UsageError
from jdsr_cli.evidence.credentials import CredentialSigner, SigningCertificate, library

PASSWORD = b"correct horse"


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("p256", "es256"), ("p384", "es384"), ("p521", "es512"), ("ed25519", "ed25519"),
        ("rsa2048", "ps256"), ("rsa3072", "ps384"),
    ],
)  # fmt: skip
def test_the_algorithm_follows_from_the_key(tmp_path: Path, kind: str, algorithm: str) -> None:
    files = write_files(tmp_path, kind=kind)
    signer = CredentialSigner.open(*files.pair)
    assert signer.certificate.algorithm == algorithm
    assert signer.subject == "C=GB, O=Tests, CN=Unit 7"


@pytest.mark.parametrize("purposes", [(EMAIL,), (DOCUMENTS,), (CLAIMS,), (SERVER, EMAIL)])
def test_purposes_that_may_sign(tmp_path: Path, purposes: tuple[Any, ...]) -> None:
    CredentialSigner.open(*write_files(tmp_path, purposes=purposes).pair)


def test_a_chain_may_have_several_issuers_or_none(tmp_path: Path) -> None:
    CredentialSigner.open(*write_files(tmp_path / "long", levels=3).pair)
    short = write_files(tmp_path / "short")
    first = x509.load_pem_x509_certificates(short.certificate.read_bytes())[0]
    short.certificate.write_bytes(certificate_pem(first))
    CredentialSigner.open(*short.pair)


@pytest.mark.parametrize(
    ("properties", "what"),
    [
        ({"days": (-9, -1)}, "the certificate expired on 20"),
        ({"days": (1, 9)}, "the certificate is not valid before 20"),
        ({"purposes": (SERVER,)}, "is not for signing content. C2PA needs .*emailProtection"),
        ({"purposes": None}, "is not for signing content. C2PA needs .*c2pa-kp-claimSigning"),
        ({"purposes": (TIME_STAMPS,)}, "is not for signing content"),
        ({"purposes": (EMAIL, ANYTHING)}, "is for any purpose"),
        ({"purposes": (EMAIL, TIME_STAMPS)}, "is for timeStamping as well.*without this ext"),
        ({"purposes": (REVOCATION, CLAIMS)}, "is for OCSPSigning as well"),
        ({"purposes": (DOCUMENTS, TIME_STAMPS, REVOCATION)}, "for timeStamping and OCSPSigning as"),
        ({"usage": None}, "may not make digital signatures.*digitalSignature"),
        ({"usage": "encipher"}, "may not make digital signatures"),
        ({"usage": "certify"}, "may not make digital signatures"),
        ({"authority": True}, "is that of a certificate authority.*comes first"),
    ],
)
def test_certificates_that_may_not_sign(
    tmp_path: Path, properties: dict[str, Any], what: str
) -> None:
    files = write_files(tmp_path, **properties)
    with pytest.raises(UsageError, match=what) as caught:
        CredentialSigner.open(*files.pair)
    assert caught.value.where == str(files.certificate)
    assert caught.value.exit_code == 2


def test_a_self_signed_certificate_is_refused(tmp_path: Path) -> None:
    files, key = write_files(tmp_path), make_key("p256")
    files.certificate.write_bytes(certificate_pem(issue("Unit 7", key, None, own_key=key)))
    with pytest.raises(UsageError, match="is self-signed"):
        CredentialSigner.open(*files.pair)


def test_an_expired_issuer_is_named(tmp_path: Path) -> None:
    root = Authority.make()
    middle_key = make_key("p384")
    middle = issue("Middle", middle_key, root, authority=True, days=(-9, -1))
    key = make_key("p256")
    files = write_files(tmp_path)
    leaf = issue("Unit 7", key, Authority(middle, middle_key))
    files.certificate.write_bytes(certificate_pem(leaf, middle))
    with pytest.raises(UsageError, match="certificate 2 in the file expired on"):
        CredentialSigner.open(*files.pair)


def other_key(files: SigningFiles) -> None:
    files.key.write_bytes(key_pem(make_key("p384")))


def swapped(files: SigningFiles) -> None:
    chain, key = files.certificate.read_bytes(), files.key.read_bytes()
    files.certificate.write_bytes(key)
    files.key.write_bytes(chain)


def certificate_as_key(files: SigningFiles) -> None:
    files.key.write_bytes(files.certificate.read_bytes())


def der(files: SigningFiles) -> None:
    first = x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]
    files.certificate.write_bytes(first.public_bytes(type(PEM).DER))


def issuer_of_another(files: SigningFiles) -> None:
    first = x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]
    files.certificate.write_bytes(certificate_pem(first, Authority.make("Other").certificate))


def cut_off(files: SigningFiles) -> None:
    pem = files.certificate.read_text().splitlines()
    files.certificate.write_text("\n".join([pem[0], *pem[3:]]))


def damaged_key(files: SigningFiles) -> None:
    lines = files.key.read_text().splitlines()
    files.key.write_text("\n".join([lines[0], lines[1][:20], lines[-1]]))


def curve_of_bitcoin(files: SigningFiles) -> None:
    files.key.write_bytes(key_pem(make_key("k1")))


def short_rsa(files: SigningFiles) -> None:
    files.key.write_bytes(key_pem(make_key("rsa1024")))


def missing_key(files: SigningFiles) -> None:
    files.key.unlink()


def folder_as_certificate(files: SigningFiles) -> None:
    files.certificate.unlink()
    files.certificate.mkdir()


def pipe_as_key(files: SigningFiles) -> None:
    files.key.unlink()
    os.mkfifo(files.key)


def huge(files: SigningFiles) -> None:
    with files.certificate.open("r+b") as file:
        file.truncate(2 << 20)


@pytest.mark.parametrize(
    ("damage", "file", "what"),
    [
        (other_key, "key.pem", "is not the key of the certificate"),
        (swapped, "chain.pem", "holds a private key. Give the certificate chain .* first"),
        (certificate_as_key, "key.pem", "holds a certificate. Give"),
        (der, "chain.pem", "holds no certificate in PEM.*openssl x509 -inform DER"),
        (issuer_of_another, "chain.pem", "certificate 2 in the file did not issue certificate 1"),
        (cut_off, "chain.pem", "holds a certificate that cannot be read"),
        (damaged_key, "key.pem", "holds a private key that cannot be read"),
        (curve_of_bitcoin, "key.pem", r"C2PA does not allow \(EC secp256k1\). Use EC \(P-256"),
        (short_rsa, "key.pem", r"C2PA does not allow \(RSA of 1024 bits\)"),
        (missing_key, "key.pem", r"cannot be read \(No such file"),
        (folder_as_certificate, "chain.pem", "is not a file"),
        (pipe_as_key, "key.pem", "is not a file"),
        (huge, "chain.pem", "is larger than 1 MiB"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, damage: Callable[[SigningFiles], None], file: str, what: str
) -> None:
    files = write_files(tmp_path)
    damage(files)
    with pytest.raises(UsageError, match=what) as caught:
        SigningCertificate.load(*files.pair)
    assert caught.value.where == str(tmp_path / file)


def test_the_password_of_a_key_is_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_files(tmp_path)
    monkeypatch.setenv("JDSR_SIGN_PASSWORD", "not needed")
    SigningCertificate.load(*files.pair)
    files.key.write_bytes(key_pem(make_key("p256"), PASSWORD))
    with pytest.raises(UsageError, match="cannot be decrypted with the password in JDSR_SIGN_PA"):
        SigningCertificate.load(*files.pair)
    monkeypatch.setenv("JDSR_SIGN_PASSWORD", PASSWORD.decode())
    loaded = SigningCertificate.load(*files.pair)
    monkeypatch.delenv("JDSR_SIGN_PASSWORD")
    with pytest.raises(UsageError, match="is encrypted"):
        SigningCertificate.load(*files.pair)
    # Neither key nor password can be shown by accident.
    assert "PRIVATE" not in repr(loaded)
    assert PASSWORD.decode() not in repr(loaded)


def test_other_blocks_of_a_key_file_are_skipped(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    files.key.write_bytes(b"Bag attributes\r\n" + parameters + files.key.read_bytes())
    SigningCertificate.load(*files.pair)


BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("c2pa", "cryptography"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
from jdsr_cli.cli.app import main
sys.argv[0] = "jdsr"
main()
"""


def test_without_the_extra_a_run_is_refused_before_it_starts(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    picture = tmp_path / "a.png"
    picture.write_bytes(b"never read")
    command = [sys.executable, "-c", BLOCKER, "restore", picture, "--sign", *files.pair]
    command += ["--out", tmp_path / "out", "--device", "cpu"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Install them: pip install 'jdsr[provenance]'" in done.stderr


def test_a_broken_library_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_files(tmp_path)

    def broken(name: str) -> Any:
        raise OSError("libc2pa_c.so: cannot open shared object file")

    monkeypatch.setattr(library, "import_module", broken)
    with pytest.raises(UsageError, match="libc2pa_c"):
        SigningCertificate.load(*files.pair)
