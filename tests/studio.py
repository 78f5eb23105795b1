"""A small studio for the tests of the command line: its key, registry, frames and marked frames."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import cv2
import numpy as np
from click.testing import CliRunner

from cli.main import sukashi
from watermark.registry import open_registry
from watermark.stills import Still, write

ROOT = Path(__file__).parent.parent
TITLES = ("夜汽車 Night Train", "Winter Garden", "The Long Way Home")


def picture(seed, height=270, width=480):
    """Draw a picture of soft shapes, lines and a little texture."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(40, 215, (height // 30, width // 30, 3)).astype(np.float32)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    image += rng.normal(0, 3, image.shape)
    image = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(12):
        ends = rng.integers(0, (width, height), (2, 2)).tolist()
        cv2.line(image, ends[0], ends[1], rng.integers(0, 255, 3).tolist(), 2, cv2.LINE_AA)
    return image


class Studio:
    """What a person has who uses sukashi."""

    def __init__(self, folder):
        self.folder = folder
        self.key = folder / "studio.key"
        self.registry = folder / "registry.sqlite"
        self.frames = folder / "frames"
        self.marked = folder / "marked"
        self.run("key", "new", self.key)
        with open_registry(self.registry) as registry:
            self.works, self.marks = zip(
                *(
                    registry.add_work(title, rights_holder="スタジオ雲", training="not-permitted")
                    for title in TITLES
                ),
                strict=True,
            )
            self.second = registry.add_mark(self.works[0].id, {"recipient": "press"})
        for number, name in enumerate(("a 1.png", "第1話/b.jpg", "第1話/c.webp")):
            (self.frames / name).parent.mkdir(parents=True, exist_ok=True)
            write(Still(picture(number)), self.frames / name)
        self.rows = self.ask(*self.embed(self.frames, self.marked), "--json")

    def embed(self, *files, work=0, key=None):
        """Give the words of an embedding; the last of `files` is the output."""
        *sources, output = files
        options = ("--work", self.works[work].id, "--key", key or self.key, "-o", output)
        return ("embed", *sources, *options, "--registry", self.registry)

    def detect(self, *files, search="fast"):
        """Give the words of a detection, by default one that takes little time."""
        options = ("--key", self.key, "--registry", self.registry, "--search", search)
        return ("detect", *files, *options)

    def run(self, *words, code=0):
        """Run the command line and give its result."""
        result = CliRunner().invoke(sukashi, [*map(str, words)])
        assert result.exit_code == code, result.output
        return result

    def ask(self, *words, code=0):
        """Run the command line with ``--json`` and give its objects."""
        return [json.loads(line) for line in self.run(*words, code=code).stdout.splitlines()]

    @staticmethod
    def start(*words, **options):
        """Start the command line as a process of its own."""
        code = "from cli.main import main; main()"
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = os.environ | {"PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            **{"env": environment, "cwd": ROOT} | pipes | options,
        )

    def on_terminal(self, *words, columns):
        """Run the command line on a terminal and give the lines that are left and all that was."""
        ours, theirs = pty.openpty()
        environment = os.environ | {
            "PYTHONUTF8": "1",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": str(columns),
        }
        process = self.start(*words, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        received = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how Linux tells that the other end is closed
                break
            if not part:
                break
            received += part
        os.close(ours)
        assert process.wait(60) == 0
        text = received.decode()
        return [
            click.unstyle(line.split("\x1b[K")[-1]).rstrip("\r") for line in text.split("\n")
        ], text
