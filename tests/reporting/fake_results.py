"""Folders of results with every field of the records, made without a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.settings import RestoreSettings

Picture = NDArray[np.uint8]


def drawn_face(side: int, shade: int, *, mask: bool = False, noise: int = 0) -> Picture:
    """Return a face drawn with ellipses, RGB uint8 (side, side, 3)."""
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    face = np.full((side, side, 3), (70, 80, 95), np.float64)
    face[(columns / 0.34) ** 2 + ((rows - 0.03) / 0.44) ** 2 < 1] = (205, 165 - shade % 40, 140)
    for middle in (-0.14, 0.14):
        eye = ((columns - middle) / 0.07) ** 2 + ((rows + 0.06) / 0.035) ** 2 < 1
        face[eye] = (40, 30 + shade % 60, 30)
    face[((columns) / 0.13) ** 2 + ((rows - 0.25) / 0.04) ** 2 < 1] = (150, 60, 70)
    if mask:
        face[(rows > 0.06) & (columns**2 / 0.1 + (rows - 0.15) ** 2 / 0.09 < 1)] = (150, 190, 215)
    generator = np.random.default_rng(shade)
    face += generator.normal(0.0, noise, face.shape) if noise else 0.0
    return np.clip(face, 0, 255).astype(np.uint8)


@dataclass
class FakeResult:
    """Writes a folder of results.

    Args:
        folder: It is created.
        side: Of the pictures of faces in pixels.
        noise: Standard deviation of the noise in the pictures, in grey levels.

    """

    folder: Path
    side: int = 64
    noise: int = 0
    source: str = "/cameras/gate 3.mp4"
    tracks: list[dict[str, Any]] = field(default_factory=list)
    faces: list[dict[str, Any]] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "faces").mkdir(parents=True)

    def picture(self, name: str, pixels: Picture) -> dict[str, str]:
        """Write a picture and return its entry."""
        path = self.folder / "faces" / name
        Image.fromarray(pixels).save(path, compress_level=1)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return {"file": f"faces/{name}", "sha256": digest}

    def map_picture(self, name: str, kind: str) -> dict[str, str]:
        """Write an occlusion or a doubt map and return its entry."""
        rows = np.mgrid[: self.side, : self.side][0] / self.side
        covered = np.where(rows > 0.55, 240, 10).astype(np.uint8)
        doubt = np.select([rows > 0.7, rows > 0.5, rows > 0.3], [255, 48, 16], 8).astype(np.uint8)
        return self.picture(name, covered if kind == "occlusion" else doubt)

    def shot(self, name: str, frame: int, mask: str, **changes: Any) -> dict[str, Any]:
        """Write a pair with its maps and return its entry with all fields."""
        covered = mask == "masked"
        left = drawn_face(self.side, frame, mask=covered, noise=self.noise)
        right = drawn_face(self.side, frame + 7, noise=self.noise // 2)
        return {
            **self.picture(f"{name}.png", np.hstack([left, right])),
            "frames": [frame],
            "quality": 0.81,
            "seconds": [frame / 10],
            "mask": mask,
            "covered": 0.44 if covered else 0.02,
            "occlusion": self.map_picture(f"{name}_occlusion.png", "occlusion"),
            "doubt": {
                **self.map_picture(f"{name}_doubt.png", "doubt"),
                "bound": 16.0,
                "probability": 0.9,
                "reliable": 0.52,
            },
            "identity": {"input": 0.61, "track": 0.55, "bare": 0.47, "warning": None},
            **changes,
        }

    def timeline(self, name: str, states: Sequence[str], start: int = 0) -> dict[str, Any]:
        """Write a strip of thumbnails and return its entry."""
        frames = [start + 5 * number for number in range(len(states))]
        squares = [
            drawn_face(64, frame, mask=state == "masked", noise=self.noise)
            for frame, state in zip(frames, states, strict=True)
        ]
        return {
            **self.picture(name, np.hstack(squares)),
            "side": 64,
            "frames": frames,
            "seconds": [frame / 10 for frame in frames],
            "states": list(states),
        }

    def face(self, track: int, frame: int, mask: str | None, **changes: Any) -> None:
        """Add a record to `faces.jsonl`."""
        record = {
            "frame": frame, "pts": frame, "seconds": frame / 10, "face": 1, "track": track,
            "bridged": False, "box": [1.0, 2.0, 30.0, 40.0], "points": [[1.0, 2.0]] * 5,
            "score": 0.9, "eye_distance": 18.25, "status": "restored", "native_width": 60.0,
            "sharpness": 0.72, "yaw": -12.5, "pitch": 4.0, "roll": 1.5, "residual": 0.03,
            "covered": 0.44 if mask == "masked" else 0.02, "mask": mask,
            "mask_probability": 0.98, "masked": mask == "masked", "quality": 0.81,
            "reason": None, "file": None, "sha256": None, "redone_in_float32": False,
        }  # fmt: skip
        self.faces.append({**record, **changes})

    def person(self, track: int, *, bare: bool = False, start: int = 0, **changes: Any) -> None:
        """Add a person with all fields, who is covered in most frames."""
        name, covered = f"track{track:04d}", start + 10
        mask = "bare" if bare else "masked"
        filmed = drawn_face(self.side, covered, mask=not bare, noise=self.noise)
        record = {
            "track": track, "first_frame": start, "last_frame": start + 60,
            "first_seconds": start / 10, "last_seconds": (start + 60) / 10,
            "seen": 58, "bridged": 3, "restored": 59, "refused": {"too blurred": 2},
            "masked": 40, "unsure": 1, "unreliable": 1,
            "best": [self.shot(f"{name}_best{one}", covered + one, mask) for one in (1, 2, 3)],
            "fused": self.shot(
                f"{name}_fused", covered, mask, frames=[covered, covered + 1], jointly=False
            ),
            "filmed": {
                **self.picture(f"{name}_filmed.png", filmed), "frame": covered,
                "seconds": covered / 10, "mask": mask, "quality": 0.83, "reason": None,
            },
            "timeline": self.timeline(
                f"{name}_timeline.png",
                ["bare" if bare else "unsure", *["masked"] * 9, "refused"], start,
            ),
        }  # fmt: skip
        self.tracks.append({**record, **changes})
        for frame in (covered, covered + 1, covered + 2):
            self.face(track, frame, mask)
        self.face(track, covered + 20, "masked")
        self.face(
            track, covered + 30, None, status="refused", reason="sharpness 0.02 is below 0.05"
        )

    def refused_person(self, track: int, kind: str = "too small", reason: str = "8 px") -> None:
        """Add a person all of whose faces were refused."""
        name = f"track{track:04d}_filmed.png"
        filmed = drawn_face(self.side, track, noise=self.noise)
        self.tracks.append({
            "track": track, "first_frame": 3, "last_frame": 9, "first_seconds": 0.3,
            "last_seconds": 0.9, "seen": 7, "bridged": 0, "restored": 0, "refused": {kind: 7},
            "masked": 0, "unsure": 0, "unreliable": 0, "best": [], "fused": None, "timeline": None,
            "filmed": {
                **self.picture(name, filmed), "frame": 4, "seconds": 0.4, "mask": None,
                "quality": None, "reason": reason,
            },
        })  # fmt: skip
        self.face(track, 4, None, status="refused", reason=reason)

    def write(self, **changes: Any) -> Path:
        """Write the records and the manifest; `changes` replace fields of the manifest."""
        outputs = []
        for name, records in (("faces.jsonl", self.faces), ("tracks.jsonl", self.tracks)):
            text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
            content = text.encode("utf-8", "surrogatepass")
            (self.folder / name).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            outputs.append({"file": name, "bytes": len(content), "sha256": digest})
        refused = {"too blurred": 2 * len(self.tracks)}
        settings = {**json.loads(json.dumps(asdict(RestoreSettings()), default=str)), "scale": 8}
        self.manifest = {
            "schema_version": 1,
            "command": "restore",
            "request": "0" * 64,
            "input": {"file": self.source, "bytes": 1234567, "sha256": "1" * 64},
            "media": {
                "kind": "video", "width": 640, "height": 360, "frame_rate": "30000/1001",
                "duration": "60/1", "container": "mov,mp4", "codec": "h264",
                "pixel_format": "yuv420p", "salvaged": False,
            },
            "outputs": outputs,
            "settings": settings,
            "detector": {"name": "centerface", "sha256": None, "backend": "opencv"},
            "weights": {
                "name": "lite-camera", "file": "lite-camera.safetensors", "sha256": "2" * 64,
                "precision": "float32", "backend": "torch",
                "entry": {"data": "faces of a collection", "licence": "research only"},
            },
            "device": {"kind": "cpu", "name": "a processor", "system": "Linux 6"},
            "counts": {
                "frames_read": 600, "frames_written": 600, "tracks": len(self.tracks),
                "faces_found": 61, "faces_bridged": 3, "faces_restored": 60, "faces_refused": 4,
                "faces_masked": 40, "faces_unsure": 1, "refusals": refused,
                "unreliable": sum(one.get("unreliable") == 1 for one in self.tracks),
            },
            "figures": {"flicker": 0.92, "gray_frames": 0},
            "seconds": {"total": 12.5, "detect": 4.0},
            "notes": ["the frame rate varies"],
            "unread": [],
            "versions": {"jdsr": "0.1.0", "python": "3.11.7"},
            "created": "2026-01-02T03:04:05+00:00",
            "caution": "Restored faces are estimates.",
            **changes,
        }  # fmt: skip
        text = json.dumps(self.manifest, indent=2, ensure_ascii=True)
        (self.folder / "manifest.json").write_text(text, encoding="utf-8")
        return self.folder


MakeResult = Callable[..., FakeResult]
"""Starts a folder of results, by name."""
