"""Signing of files with C2PA content credentials.

A file is signed into a temporary one beside it, which then replaces it, or its credentials are
written into a file beside it where its container cannot hold them. Files are read and written as
streams; the library needs about 0.5 GiB of memory for files that are larger than that, and no more
for longer ones.

No timestamp authority is asked, since nothing here uses the network: a signature does not prove
when it was made, and readers report it as expired once the certificate is.
"""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from jdsr_cli.atomic import atomic_file, output_error
from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.evidence.credentials.certificates import (
    NEEDED_PURPOSES,
    SigningCertificate,
    minute,
)
from jdsr_cli.evidence.credentials.library import (
    SIDECAR_TYPES,
    is_embedded_in,
    load_library,
    make_context,
    media_type_of,
    sidecar_of,
)
from jdsr_cli.evidence.credentials.reading import Credentials, read_stream
from jdsr_cli.evidence.credentials.statements import Content, Origin
from jdsr_cli.evidence.manifest import FileDigest

_TRIAL = b"jdsr"
"""Bytes that are signed to find out whether a certificate is accepted."""
_TRIAL_TYPE = SIDECAR_TYPES[".mkv"]
OTHER_TYPE = "application/octet-stream"
"""Media type of a file whose suffix is not known."""


class CredentialSigner:
    """Signs files with one certificate, any number of them; `open` makes it.

    Attributes:
        certificate: The certificate with its key.
        subject: Whom the certificate names, such as ``C=GB, O=Police, CN=Unit 7``.

    """

    def __init__(self, certificate: SigningCertificate) -> None:
        self.certificate = certificate
        self._c2pa = load_library()
        self._embedding = make_context()
        self._beside = make_context(verifies_signed=False)
        # A null address: no timestamp authority.
        info = self._c2pa.C2paSignerInfo(
            certificate.algorithm, certificate.chain.encode(), certificate.key.encode(), None
        )
        try:
            self._signer = self._c2pa.Signer.from_info(info)
            self.subject = self._try().subject
        except self._c2pa.C2paError as error:
            raise UsageError(
                f"the certificate is refused by the C2PA library ({error})",
                where=certificate.path,
                hint=f"It needs the profile of the C2PA specification, with {NEEDED_PURPOSES}.",
            ) from None

    @classmethod
    def open(cls, certificate: Path, key: Path) -> CredentialSigner:
        """Read and check a certificate chain and its private key, and sign something with them.

        Args:
            certificate: PEM file with the signer's certificate and those of its issuers.
            key: PEM file with the private key, see `SigningCertificate.load`.

        Raises:
            UsageError: The packages of the extra are missing, a file cannot be used, or the
                certificate may not sign content credentials now.

        """
        return cls(SigningCertificate.load(certificate, key))

    def check_validity(self) -> None:
        """Check that the certificate has not expired since it was opened.

        Raises:
            OutputError: It has.

        """
        if datetime.now(UTC) > self.certificate.not_after:
            raise OutputError(
                f"the results cannot be signed: the certificate expired on "
                f"{minute(self.certificate.not_after)}",
                where=self.certificate.path,
                hint="Use a renewed certificate of the same subject.",
            )

    def sign(self, path: Path, origin: Origin, content: Content = "restored") -> tuple[Path, ...]:
        """Sign a file: replace it by one that holds its credentials, or write them beside it.

        Args:
            path: The file. PNG, JPEG, MP4 and QuickTime files hold their credentials; those of
                others, such as Matroska, are written into ``<file>.c2pa``.
            origin: What it was made from and with.
            content: What it shows.

        Returns:
            The files that the signed result consists of: `path`, and the file beside it.

        Raises:
            OutputError: The certificate has expired, or the file cannot be signed or written; the
                file is as it was before.

        """
        self.check_validity()
        media_type = media_type_of(path) or OTHER_TYPE
        definition = origin.define(path.name, media_type, content)
        if is_embedded_in(path):
            with (
                atomic_file(path) as partial,
                path.open("rb") as source,
                partial.open("w+b") as target,
            ):
                self._sign(path, definition, source, target, self._embedding)
            return (path,)
        beside = sidecar_of(path)
        with path.open("rb") as source, Path(os.devnull).open("r+b") as nowhere:
            store = self._sign(path, definition, source, nowhere, self._beside, embeds=False)
        with path.open("rb") as source:
            written = read_stream(source, media_type, store)
        if written.kind not in ("valid", "untrusted"):
            raise _signing_error(path, written.state)
        with atomic_file(beside) as partial:
            partial.write_bytes(store)
        return path, beside

    def _sign(
        self,
        path: Path,
        definition: dict[str, Any],
        source: IO[bytes],
        target: IO[bytes],
        context: Any,
        *,
        embeds: bool = True,
    ) -> bytes:
        """Copy `source` to `target` with its credentials; return the credentials alone."""
        output = _WatchedOutput(target)
        try:
            store = self._build(definition, source, output, context, embeds=embeds)
        except self._c2pa.C2paError as error:
            if output.fault is not None:
                raise output_error(output.fault, path) from None
            raise _signing_error(path, str(error)) from None
        return store

    def _build(
        self,
        definition: dict[str, Any],
        source: Any,
        target: Any,
        context: Any,
        *,
        embeds: bool,
    ) -> bytes:
        with self._c2pa.Builder(definition, context) as builder:
            if not embeds:
                builder.set_no_embed()
            store: bytes = builder.sign(self._signer, definition["format"], source, target)
        return store

    def _try(self) -> Credentials:
        """Sign some bytes in memory and return what a reader says about them."""
        origin = Origin(FileDigest("trial", len(_TRIAL), "0" * 64), None, "")
        definition = origin.define("trial", _TRIAL_TYPE, "overlay")
        streams = io.BytesIO(_TRIAL), io.BytesIO()
        store = self._build(definition, *streams, self._beside, embeds=False)
        read = read_stream(io.BytesIO(_TRIAL), _TRIAL_TYPE, store)
        if read.kind not in ("valid", "untrusted"):
            raise self._c2pa.C2paError(read.detail)
        return read


class _WatchedOutput:
    """A file that remembers why it could not be written, which the library does not say."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.fault: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write bytes."""
        try:
            return self._file.write(data)
        except OSError as fault:
            self.fault = fault
            raise

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self._file.flush()
        except OSError as fault:
            self.fault = fault
            raise

    def read(self, size: int = -1) -> bytes:
        """Read bytes."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()


def _signing_error(path: Path, reason: str) -> OutputError:
    return OutputError(
        f"cannot be signed ({reason})", where=path, hint="Check the certificate and its key."
    )
