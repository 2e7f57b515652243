"""C2PA content credentials: signed statements in files on what they were made from and with.

They need the packages of the extra ``provenance``, which are imported when they are first used.
Nothing here uses the network.
"""

from jdsr_cli.evidence.credentials.certificates import PASSWORD_VARIABLE, SigningCertificate
from jdsr_cli.evidence.credentials.checking import contradictions
from jdsr_cli.evidence.credentials.library import (
    MEDIA_TYPES,
    SIDECAR_SUFFIX,
    SIDECAR_TYPES,
    make_context,
    sidecar_of,
)
from jdsr_cli.evidence.credentials.reading import (
    Credentials,
    not_installed,
    read_credentials,
    read_opened,
    read_trust_list,
)
from jdsr_cli.evidence.credentials.signing import CredentialSigner
from jdsr_cli.evidence.credentials.statements import Content, Origin

__all__ = [
    "MEDIA_TYPES",
    "PASSWORD_VARIABLE",
    "SIDECAR_SUFFIX",
    "SIDECAR_TYPES",
    "Content",
    "CredentialSigner",
    "Credentials",
    "Origin",
    "SigningCertificate",
    "contradictions",
    "make_context",
    "not_installed",
    "read_credentials",
    "read_opened",
    "read_trust_list",
    "sidecar_of",
]
