"""The demo: a synthetic surveillance clip, restored and compared with the photographs."""

from jdsr_cli.demo.clip import Camera, ClipSettings, build_clip, film
from jdsr_cli.demo.run import DemoResult, demo

__all__ = ["Camera", "ClipSettings", "DemoResult", "build_clip", "demo", "film"]
