"""C2PA content credentials: signed statements in files on what they were made from and with.

They need the packages of the extra ``provenance``, which are imported when they are first used.
Nothing here uses the network.
"""

from jdsr_cli.evidence.credentials.certificates import PASSWORD_VARIABLE, SigningCertificate
from jdsr_cli.evidence.credentials.checking import CredentialCheck, check_credentials
from jdsr_cli.evidence.credentials.library import sidecar_of
from jdsr_cli.evidence.credentials.reading import Credentials, read_credentials
from jdsr_cli.evidence.credentials.signing import CredentialSigner
from jdsr_cli.evidence.credentials.statements import Content, Origin

__all__ = [
    "PASSWORD_VARIABLE",
    "Content",
    "CredentialCheck",
    "CredentialSigner",
    "Credentials",
    "Origin",
    "SigningCertificate",
    "check_credentials",
    "read_credentials",
    "sidecar_of",
]
