"""What restored pictures say about themselves to other programs."""

from __future__ import annotations

from jdsr_cli import __version__

DIGITAL_SOURCE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
"""IPTC's term for a picture of which a trained network made a part."""
XMP_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<ext:DigitalSourceType>{DIGITAL_SOURCE}</ext:DigitalSourceType>
<xmp:CreatorTool>jdsr {__version__}</xmp:CreatorTool>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def picture_metadata(xmp_key: str) -> dict[str, str]:
    """Return the texts to store in a restored picture, the XMP packet under `xmp_key`."""
    return {"Software": f"jdsr {__version__}", xmp_key: XMP_PACKET}


def video_metadata() -> dict[str, str]:
    """Return the tags to store in a restored video."""
    return {"software": f"jdsr {__version__}", "digital_source_type": DIGITAL_SOURCE}
