"""The C2PA library: whether it is installed, how it is set up, and what it can embed into."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from jdsr_cli.errors import UsageError

INSTALL = "pip install 'jdsr[provenance]'"
"""What installs them."""
MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
}
"""Media types of the files that hold their credentials themselves, by suffix."""
SIDECAR_TYPES = {".mkv": "video/x-matroska"}
"""Media types of files whose credentials are in a file beside them, by suffix."""
SIDECAR_SUFFIX = ".c2pa"
"""What the name of a sidecar has after the whole name of its file (C2PA 2.1, 11.4)."""
PURPOSES = {
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.36": "documentSigning",
    "1.3.6.1.4.1.62558.2.1": "c2pa-kp-claimSigning",
}
"""Extended key usages of which a certificate needs one (C2PA 2.1, 14.5.1)."""
ASSERTION = "jdsr.restoration"
"""Label of the assertion with the hashes and the statement of jdsr."""
CREATED = ("c2pa.actions", "c2pa.actions.v2", ASSERTION)
"""Labels of assertions that the signer makes (C2PA 2.1, 10.3.2.2)."""
MEMORY_MIB = 32
"""Memory above which the library stores its temporary data in a file."""


def load_library() -> ModuleType:
    """Return the module ``c2pa``.

    Raises:
        UsageError: A package of the extra is missing or broken.

    """
    try:
        import_module("cryptography")
        return import_module("c2pa")
    except ModuleNotFoundError as error:
        what = "content credentials need packages that are not installed"
        raise UsageError(what, hint=f"Install them: {INSTALL}") from error
    except (ImportError, OSError, RuntimeError) as error:
        what = f"content credentials cannot be used ({error})"
        raise UsageError(what, hint=f"Install the library again: {INSTALL}") from error


def make_context(*, anchors: str | None = None, verifies_signed: bool = True) -> Any:
    """Return a ``c2pa.Context`` that makes no thumbnails and never uses the network.

    Args:
        anchors: Certificates of trusted issuers, PEM; None to trust none.
        verifies_signed: Whether what was signed is read back and verified.

    Raises:
        UsageError: The library is missing, or cannot read the certificates.

    """
    trust: dict[str, Any] = {"trust_config": "\n".join(PURPOSES)}
    if anchors is not None:
        trust["user_anchors"] = anchors
    settings = {
        "version": 1,
        "trust": trust,
        "core": {"allowed_network_hosts": [], "backing_store_memory_threshold_in_mb": MEMORY_MIB},
        "verify": {
            "verify_after_reading": True,
            "verify_after_sign": verifies_signed,
            "verify_trust": True,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
        "builder": {
            "thumbnail": {"enabled": False},
            # The signer vouches for these; assertions are taken from elsewhere otherwise.
            "created_assertion_labels": list(CREATED),
        },
    }
    c2pa = load_library()
    try:
        return c2pa.Context.from_dict(settings)
    except c2pa.C2paError as error:
        raise UsageError(f"content credentials cannot be set up ({error})") from error


def is_embedded_in(path: Path) -> bool:
    """Return whether a file of this name holds its credentials itself."""
    return path.suffix.lower() in MEDIA_TYPES


def media_type_of(path: Path) -> str | None:
    """Return the media type of a file by its suffix; None if it is not known."""
    suffix = path.suffix.lower()
    return MEDIA_TYPES.get(suffix) or SIDECAR_TYPES.get(suffix)


def sidecar_of(path: Path) -> Path:
    """Return the file beside `path` that holds its credentials if it cannot itself."""
    return path.with_name(path.name + SIDECAR_SUFFIX)
