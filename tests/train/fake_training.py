"""Fake `jdsr train` and `jdsr weights export` for the tests of leases: it trains nothing.

A stage whose rate is above `MAX_RATE` fails, as its loss would not be finite: a stage before the
joint one is skipped, the joint one ends the run. FAKE_WEIGHTS_BYTES is the size of the weights;
FAKE_KILLED_RECIPE=NAME kills the joint stage of that recipe after its first checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
import tomllib
from pathlib import Path

PAUSE = 0.05
MAX_RATE = 1e20


def print_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def option(name: str, default: str = "") -> str:
    words = sys.argv
    return words[words.index(name) + 1] if name in words else default


def recipe(path: str) -> dict[str, object]:
    values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    base = str(values.get("base", ""))
    return {**recipe(base), **values} if base.endswith(".toml") else values


def has_excessive_rate(values: dict, stage: str) -> bool:
    optimiser = values[stage]["optimiser"] if stage != "optimiser" else values[stage]
    return float(optimiser.get("rate", 0.0)) > MAX_RATE


def write_atomic(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)


def export(folder: Path, name: str, step: int, description: str) -> None:
    data = random.Random(step).randbytes(int(os.environ.get("FAKE_WEIGHTS_BYTES", "2000")))
    write_atomic(folder / f"{name}.safetensors", data)
    entry = {
        "name": name.replace("_", "-"), "file": f"{name}.safetensors",
        "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "network": "lite",
        "scale": 4, "lr_size": 32, "data": description, "licence": "none", "recipe": name,
        "commit": Path("COMMIT").read_text(encoding="utf-8").strip(),
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
    write_atomic(folder / "manifest.toml", "\n".join(["[[weights]]", *lines, ""]).encode())


def train() -> int:
    began, seconds = time.monotonic(), float(option("--deadline"))
    out, every = Path(option("--out")), float(option("--export-every", "60"))
    for name in ("--data", "--masks", "--features", "--parsing", "--init", "--identity"):
        if option(name) and not Path(option(name)).exists():
            print_line(f"error: {option(name)}: no such file or folder")
            return 3
    values = recipe(option("--recipe"))
    name = str(values["name"])
    stages = values.get("stages", ["identity", "joint"])
    if option("--stage"):
        stages = [option("--stage")]
    description = " ".join(sys.argv[1:])
    for stage in stages:
        if stage != "joint":
            if has_excessive_rate(values, stage):
                print_line(f"{stage} is skipped: a loss is not finite")
                description += f"; without {stage}"
                continue
            write_atomic(out / stage / f"{stage}.safetensors", b"network")
    if "joint" not in stages:
        return 0
    if not list(Path(option("--data")).glob("train*.tar")):
        print_line("error: no faces")
        return 3
    if has_excessive_rate(values, "optimiser"):
        print_line("error: a loss is not finite")
        return 1
    step, exported = 0, began
    (out / "joint").mkdir(parents=True, exist_ok=True)
    while time.monotonic() < began + seconds - 2 * PAUSE:
        time.sleep(PAUSE)
        step += 1
        with (out / "joint" / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": step, "validation_loss": 1 / step}) + "\n")
        if time.monotonic() > exported + every:
            export(out / "weights", name, step, description)
            exported = time.monotonic()
        if step == 5:
            write_atomic(
                out / "joint" / "checkpoint.pt", json.dumps([name, step, description]).encode()
            )
            if os.environ.get("FAKE_KILLED_RECIPE") == name:
                os.kill(os.getpid(), signal.SIGKILL)
    export(out / "weights", name, step, description)
    return 0


def main() -> int:
    if sys.argv[1:3] == ["weights", "export"]:
        path = Path(sys.argv[3])
        name, step, description = json.loads(path.read_text(encoding="utf-8"))
        export(
            path.parent.parent / "weights", name, step, f"{description}; exported from a checkpoint"
        )
        return 0
    try:
        return train()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
