"""The demo: a synthetic surveillance clip, restored and compared with the photographs."""

from jdsr_cli.demo.clip import Camera, ClipSettings, build_clip, render_frames
from jdsr_cli.demo.run import DemoResult, demo

__all__ = ["Camera", "ClipSettings", "DemoResult", "build_clip", "demo", "render_frames"]
