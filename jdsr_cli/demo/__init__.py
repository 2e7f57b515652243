"""The demo: a synthetic surveillance clip, restored and compared with the photographs."""

from jdsr_cli.demo.clip import ClipSettings, build_clip, film
from jdsr_cli.demo.run import DemoResult, demo
from jdsr_cli.demo.scene import Camera

__all__ = ["Camera", "ClipSettings", "DemoResult", "build_clip", "demo", "film"]
