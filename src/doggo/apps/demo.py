"""`make demo`: the main job end to end, as a person would do it, and then it ends by itself.

Owns the order of the show and its checks. It runs the real `doggo` command in processes of its
own and asks the real server over HTTP, so what it shows is what a user gets.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from doggo.apps import imagewoof
from doggo.apps.cli.output import progress_bars, result, say, table
from doggo.apps.demo_guard import protect, remember
from doggo.apps.demo_process import Server, run_doggo
from doggo.apps.drawn import write_drawn
from doggo.core.breeds import title
from doggo.core.errors import DoggoError, UsageError
from doggo.core.records import Split, Verdict
from doggo.core.shares import share

T = TypeVar("T")
_ASKED = 12  # photos sent over HTTP after a run on the owner's photos
_BULL_MASTIFF, _DALMATIAN = "imagenet_00_243.jpg", "imagenet_16_251.jpg"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A photo sent over HTTP, what it is known to be, and what came back."""

    photo: str
    known: str
    verdict: str
    breeds: tuple[tuple[str, float], ...]
    latency_ms: float

    @property
    def best(self) -> str:
        return self.breeds[0][0] if self.breeds else ""

    def cells(self) -> list[str]:
        said = "–"
        if self.verdict != Verdict.NOT_A_DOG:
            said = ", ".join(f"{title(breed)} {share(p)}%" for breed, p in self.breeds[:3])
        return [self.photo, self.known, self.verdict, said, f"{self.latency_ms:.0f}"]


class Show:
    """What was done, how long it took, and what went wrong."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.stages: list[tuple[str, float]] = []
        self.failures: list[str] = []
        self.report = ""

    def stage(self, name: str, work: Callable[[], T]) -> T:
        say(f"── {name}")
        started = time.perf_counter()
        done = work()
        self.stages.append((name, time.perf_counter() - started))
        return done

    def run(self, photos: Sequence[Path], *, alone_in: Path | None = None) -> None:
        """Run `doggo run`, adding its own stages to the table."""
        note = " (drawn)" if alone_in else ""
        arguments = ["run", *map(str, photos), "--accept-labels"]
        made = self.stage(
            f"doggo run{note}",
            lambda: run_doggo(arguments, alone_in or self.home, alone=alone_in is not None),
        )
        timings = made.get("timings_s")
        for stage, seconds in timings.items() if isinstance(timings, dict) else ():
            self.stages.append((f"    {stage}{note}", float(seconds)))
        if made["already"] and not made["promoted"] and not made["refused"]:
            self._promote(made)  # another demo took its place
        self.made(made, kept=alone_in is None)

    def bootstrap(self) -> None:
        """Run `doggo bootstrap`, and put its model in the place of an earlier demo's."""
        made = self.stage("doggo bootstrap", lambda: run_doggo(["bootstrap"], self.home))
        if not made["promoted"]:
            self._promote(made, "--force", "make demo shows this one")
        self.made(made)

    def _promote(self, made: dict[str, object], *options: str) -> None:
        words = ["models", "promote", str(made["version"]), "--accept-labels", *options]
        run_doggo(words, self.home)
        made["promoted"] = True

    def made(self, answer: Mapping[str, object], *, kept: bool = True) -> None:
        """Note the version that was made, and say so if the gate kept it out of production.

        Args:
            kept: it is in the home, for the next demo to replace without being asked.
        """
        scored = answer.get("evaluation")
        if isinstance(scored, dict):
            self.report = str(scored["report"])
        if answer["promoted"]:
            if kept:
                remember(self.home)
        else:
            say(f"version {answer['version']} was not put into production:")
            decision = answer.get("decision")
            for line in decision if isinstance(decision, list) else []:
                say(f"  {line}")

    def end(self) -> int:
        result("")
        result(table(["stage", "seconds"], [(name, f"{took:.1f}") for name, took in self.stages]))
        doggo = Path(sys.executable).with_name("doggo")
        shown = doggo.relative_to(Path.cwd()) if doggo.is_relative_to(Path.cwd()) else doggo
        result("")
        if self.report:
            result(f"report            {self.report}")
        result(f"your own folder   {shown} run FOLDER      (one folder of photos per breed)")
        result(f"one photo         {shown} predict PHOTO")
        result(f"page and API      {shown} serve           then open http://127.0.0.1:8000/")
        for failure in self.failures:
            say(f"demo: {failure}")
        return 1 if self.failures else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder with one folder of photos per breed")
    parser.add_argument("--force", action="store_true", help="replace a model of your own")
    options = parser.parse_args(arguments)
    try:
        from doggo import wiring

        settings = wiring.settings()
        show = Show(settings.home)
        protect(settings, force=options.force)
        photos = [options.photos] if options.photos else offered(Path("demo-data"))
        if photos:
            _with_photos(show, photos)
        else:
            _without_photos(show)
        return show.end()
    except DoggoError as error:
        say(f"demo: {error}")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        say("demo: stopped; run it again and it goes on")
        return 130


def _with_photos(show: Show, photos: Sequence[Path]) -> None:
    show.run(photos)
    held_out = _held_out_photos()
    with Server(show.home) as server:
        show.stages.append(("server ready", server.ready_s))
        asked = show.stage(
            f"{len(held_out)} photos of the test split over HTTP",
            lambda: [_ask(server, _short(file), title(breed), file) for breed, file in held_out],
        )
    head = ["photo", "folder says", "verdict", "model says", "ms"]
    result(table(head, [answer.cells() for answer in asked]))
    right = sum(title(answer.best) == answer.known for answer in asked)
    result(f"{right} of {len(asked)} as the folder says; the report has them all")


def _without_photos(show: Show) -> None:
    show.bootstrap()
    files = _foolbox_photos()
    with Server(show.home) as server:
        show.stages.append(("server ready", server.ready_s))
        asked = show.stage(
            f"{len(files)} real photos over HTTP",
            lambda: [_ask(server, file.name, _known(file), file) for file in files],
        )
    result(table(["photo", "it is", "verdict", "model says", "ms"], [a.cells() for a in asked]))
    show.failures += wrong_answers(asked)
    result("")
    result("Drawn pictures: checks the machinery; says nothing about dogs")
    drawn_home = Path("demo-data").absolute() / "drawn"
    shutil.rmtree(drawn_home, ignore_errors=True)
    pictures = drawn_home / "pictures"
    show.stage("96 pictures drawn", lambda: list(write_drawn(pictures)))
    show.run([pictures], alone_in=drawn_home / "home")


def wrong_answers(asked: Sequence[Asked]) -> list[str]:
    """Return one line for each answer about the foolbox photos that must not be given.

    The bull mastiff has to be named; the dalmatian, a breed that the model cannot know, must
    not be called by another name with confidence; what is no dog has to be refused.
    """
    wrong = []
    for answer in asked:
        if answer.photo == _BULL_MASTIFF:
            good = answer.verdict == Verdict.BREED and answer.best == "bull_mastiff"
        elif answer.photo == _DALMATIAN:
            good = answer.verdict != Verdict.BREED
        else:
            good = answer.verdict == Verdict.NOT_A_DOG
        if not good:
            wrong.append(f"{answer.photo} ({answer.known}) got {answer.verdict} {answer.best}")
    return wrong


def _ask(server: Server, name: str, known: str, file: Path) -> Asked:
    answer = server.predict(file.read_bytes())
    return Asked(
        photo=name,
        known=known,
        verdict=answer["verdict"],
        breeds=tuple((item["breed"], item["probability"]) for item in answer["breeds"]),
        latency_ms=answer["latency_ms"],
    )


def _held_out_photos() -> list[tuple[str, Path]]:
    """Return (breed, raw photo) of a few photos that the model was neither trained nor tuned on."""
    from doggo import wiring
    from doggo.storage import manifests

    with wiring.open_stores() as stores:
        rows = list(manifests.load(stores.processed).of(Split.TEST))
        random.Random(0).shuffle(rows)
        chosen = sorted({row.breed: row for row in rows}.values(), key=lambda row: row.photo_id)
        return [(row.breed, stores.raw.path(row.raw_key)) for row in chosen[:_ASKED]]


def _foolbox_photos() -> list[Path]:
    # Located, not imported: the package pulls in frameworks that nothing here needs.
    found = importlib.util.find_spec("foolbox")
    folders = (found.submodule_search_locations if found else None) or []
    files = sorted(Path(folders[0], "data").glob("imagenet_*.jpg")) if folders else []
    if not files:
        raise UsageError("the demo's photos come with foolbox; run `make setup` first")
    return files


def _short(file: Path) -> str:
    return file.name if len(file.name) < 24 else f"{file.stem[:12]}…{file.suffix}"


def _known(file: Path) -> str:
    return {_BULL_MASTIFF: "Bull Mastiff", _DALMATIAN: "Dalmatian"}.get(file.name, "no dog")


def offered(
    folder: Path, *, url: str = imagewoof.URL, sha256: str = imagewoof.SHA256
) -> list[Path]:
    """Return the folders of Imagewoof if it is wanted and can be had, else nothing.

    Asks whoever sits at a terminal; DEMO_DOWNLOAD=1 says yes, and without a terminal that alone.
    """
    wanted = os.environ.get("DEMO_DOWNLOAD") == "1"
    if not wanted and not sys.stdin.isatty():
        return []
    if not (folder / "imagewoof2-160").is_dir() and not imagewoof.can_be_reached(url):
        say("no photos given, and no network to fetch any: showing what needs neither")
        return []
    if not wanted:
        say(imagewoof.TERMS)
        sys.stderr.write("Download it and train on it? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return []
    with progress_bars() as progress:
        return imagewoof.fetch(folder, progress, url=url, sha256=sha256)


if __name__ == "__main__":
    sys.exit(main())
