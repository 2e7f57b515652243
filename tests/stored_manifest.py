"""A result with a valid manifest, for tests of what happens to stored results."""

from pathlib import Path

from jdsr_cli.evidence import MANIFEST, FileDigest, Manifest, digest_file, write_sums

DIGEST = "a" * 64
_TEXTS = (
    *("container", "codec", "pixel_format"),
    *("colour_range", "colour_primaries", "colour_transfer", "colour_matrix"),
)
_UNKNOWN = ("frame_rate", "frames_promised", "duration", "mastering_display", "content_light")
_NO = ("mirrored", "timestamps", "deep", "interlaced", "salvaged")


def write_result(folder: Path, request: str = DIGEST, **files: bytes) -> Path:
    """Write a valid result into a new folder, and return the folder.

    Args:
        folder: The folder.
        request: Digest of its request.
        files: Content of its outputs, by their names, in which `__` stands for `.`.

    """
    folder.mkdir(parents=True)
    outputs = []
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content)
        outputs.append(digest_file(path, path.name))
    Manifest(
        command="restore",
        request=request,
        input=FileDigest("clip.mp4", 1, DIGEST),
        media={
            **dict.fromkeys(_TEXTS, "unknown"),
            **dict.fromkeys(_UNKNOWN),
            **dict.fromkeys(_NO, False),
            "kind": "video",
            "width": 16,
            "height": 16,
            "rotation": 0,
            "bit_depth": 8,
            "time_base": "1/25",
            "sample_aspect_ratio": "1/1",
            "audio_streams": 0,
            "stream": 1,
            "streams": 1,
        },
        outputs=tuple(outputs),
        settings={},
        detector={
            "name": "centerface",
            "sha256": None,
            "backend": None,
            "identity_sha256": None,
            "reference_sha256": None,
        },
        weights=None,
        device={"kind": "cpu", "name": "cpu", "system": "Linux"},
        counts={
            **dict.fromkeys(("frames_read", "frames_written", "tracks", "unreliable"), 0),
            **{f"faces_{one}": 0 for one in ("found", "bridged", "restored", "refused")},
            "faces_masked": 0,
            "faces_unsure": 0,
            "refusals": {},
        },
        figures={},
        seconds={"total": 1.0},
        notes=(),
        unread=(),
    ).write(folder / MANIFEST)
    write_sums(folder)
    return folder
