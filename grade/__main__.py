"""The command: `python -m grade FOLDER`, which is `make grade FOLDER=…`."""

from __future__ import annotations

import argparse
import glob
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from grade import form, runner, show, verdict, words
from grade.sheet import FILES, TASKS
from grade.start import start
from grade.words import say

#: Statuses: a task is not done; nothing could be graded.
OPEN, NOTHING = 1, 2
#: Seconds between two looks at the files.
LOOK = 0.5


def arguments() -> argparse.ArgumentParser:
    """Give the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m grade",
        description="Grades user.py, db.py, auth.py and app.py of a folder against the sheet.",
        epilog="The status is 0 when every task is done, 1 when one is not, 2 when nothing could "
        "be graded. Your code is run, with bounds on time, memory and output: this is no sandbox.",
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="where the four files are")
    parser.add_argument("--task", type=int, metavar="N", help="one task only, of 1 to 21")
    parser.add_argument("--step", action="store_true", help="show every call, rows and answer")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--watch", action="store_true", help="grade again whenever a file changes")
    parser.add_argument("--class", action="store_true", dest="table", help="a table of folders")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML there as well")
    parser.add_argument("--attack", action="store_true", help="run the attacks on the files")
    parser.add_argument("--lab", action="store_true", help="show every step as a page")
    parser.add_argument("--port", type=int, default=0, help="of the lab; a free one by default")
    parser.add_argument("--mended", action="store_true", help="check repairs of the chapters")
    parser.add_argument("--only", default="", metavar="A06", help="one attack, by its id")
    parser.add_argument("--start", action="store_true", help="make the empty beginning instead")
    parser.add_argument("--language", choices=words.LANGUAGES, default=words.of_the_system())
    return parser


def main(given: Sequence[str]) -> int:
    """Run the command and return its status."""
    parser = arguments()
    options = parser.parse_args(given)
    language: str = options.language
    folders = [folder for name in options.folders for folder in _named(name, table=options.table)]
    if not folders:
        parser.print_usage(sys.stderr)
        print("name a folder, as in: make grade FOLDER=~/mine", file=sys.stderr)
        return NOTHING
    if options.start:
        print(*start(folders[0], language), sep="\n")
        return 0
    if options.table:
        folders = [folder for folder in folders if _has_files(folder)]
    if wrong := _wrong(folders, options):
        print(wrong, file=sys.stderr)
        return NOTHING
    if options.table or len(folders) > 1:
        return _class(folders, options)
    run = _attack if options.attack else _lab if options.lab else _one
    return (_watch if options.watch else run)(folders[0], options)


def _wrong(folders: list[Path], options: argparse.Namespace) -> str:
    """Say why nothing can be graded, or nothing."""
    if options.task is not None and not 1 <= options.task <= len(TASKS):
        return say(options.language, "no task", last=len(TASKS))
    for folder in folders:
        if not folder.is_dir() or not _has_files(folder):
            key = "no file" if folder.is_dir() else "no folder"
            return say(options.language, key, folder=folder)
    return ""


def _named(name: str, *, table: bool) -> list[Path]:
    """Give the folders of an argument; `make` leaves its wildcards and its ~ to us."""
    path = str(Path(name).expanduser())
    found = sorted(glob.glob(path)) if glob.has_magic(path) else [path]
    return [Path(one) for one in found if not table or Path(one).is_dir()]


def _has_files(folder: Path) -> bool:
    return any((folder / file).is_file() for file in FILES)


def _one(folder: Path, options: argparse.Namespace) -> int:
    language, only = options.language, options.task
    if not options.json:
        print(say(language, "warning") + "\n", flush=True)
    numbers = verdict.numbers(only)
    graded = runner.grade(folder, numbers, step=options.step, mended=options.mended)
    asked = graded if only is None else {only: graded[only]}
    # A task that waits is told with the one it waits for, which is the one to work on.
    shown = graded if only is None else {n: graded[n] for n in {only, asked[only].waits_for} - {0}}
    remarks = form.notes(folder)
    _junit([folder], [asked], options)
    repairs = list(_repairs(folder, options)) if options.json else []
    if options.json:
        said = {
            "folder": str(folder),
            "tasks": [verdict.as_json(one, language) for one in asked.values()],
            "form": [{"note": n.text(language), "command": n.command} for n in remarks],
            "repairs": [{"closed": closed, "text": text.strip()} for closed, text in repairs],
        }
        print(json.dumps(said, ensure_ascii=False, indent=2))
    else:
        print(*show.as_text(shown, language), sep="\n")
        print("", *show.summary(asked, language, str(folder), shown), sep="\n")
        if only is None and not options.mended:
            print("", *_form(remarks, language), sep="\n")
        for closed, text in _repairs(folder, options):
            repairs.append((closed, text))
            print(text, flush=True)
    held = verdict.all_done(asked) and all(closed for closed, _ in repairs)
    return 0 if held else OPEN


def _attack(folder: Path, options: argparse.Namespace) -> int:
    from grade import attack  # noqa: PLC0415 (it loads the service, which grading does not need)

    only = options.only.upper()
    if not attack.wanted(only):
        print(say(options.language, "no attack", attack=only), file=sys.stderr)
        return NOTHING
    for line in attack.show(folder, only, options.language):
        print(line, flush=True)
    return 0


def _lab(folder: Path, options: argparse.Namespace) -> int:
    from grade import lab  # noqa: PLC0415 (it loads the service, which grading does not need)

    lab.serve(folder, options.port, options.language)
    return 0


def _repairs(folder: Path, options: argparse.Namespace) -> Iterator[tuple[bool, str]]:
    """Check the repairs asked for, if any, and give whether each holds, and a line of it."""
    if not options.mended:
        return
    from grade import attack  # noqa: PLC0415 (it loads the service, which grading does not need)

    if not options.json:
        print("\n" + say(options.language, "repairs"), flush=True)
    only = options.only.upper()
    if only and only not in {one.attack for one in attack.chapters()}:
        yield False, say(options.language, "no attack", attack=only)
        return
    yield from attack.mended(folder, [only] if only else [], options.language)


def _form(remarks: list[form.Note], language: str) -> list[str]:
    if not remarks:
        return [say(language, "form is fine")]
    lines = [say(language, "form")]
    for note in remarks:
        lines += [f"  {note.text(language)}", f"    {note.command}"]
    return lines


def _class(folders: list[Path], options: argparse.Namespace) -> int:
    grading = runner.Grading(folders, verdict.numbers(options.task), step=False)
    graded = grading.run()
    names = [str(folder) for folder in folders]
    _junit(folders, graded, options)
    if options.json:
        said = [
            {
                "folder": name,
                **show.counted(verdicts),
                "tasks": [verdict.as_json(one, options.language) for one in verdicts.values()],
            }
            for name, verdicts in zip(names, graded, strict=True)
        ]
        print(json.dumps(said, ensure_ascii=False, indent=2))
    else:
        print(*show.as_table(names, graded, options.language), sep="\n")
    return 0 if all(map(verdict.all_done, graded)) else OPEN


def _junit(
    folders: list[Path], graded: Sequence[show.Verdicts], options: argparse.Namespace
) -> None:
    if options.junit is not None:
        names = [str(folder) for folder in folders]
        options.junit.write_text(show.as_junit(names, graded, options.language), "utf-8")


def _watch(folder: Path, options: argparse.Namespace) -> int:
    status = NOTHING
    # A shell that runs this in the background would have it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while True:
            before = _times(folder)
            status = _one(folder, options)
            print("\n" + say(options.language, "watching"), flush=True)
            while _times(folder) == before:
                time.sleep(LOOK)
    except KeyboardInterrupt:
        print()
        return status


def _times(folder: Path) -> dict[str, float]:
    found = {}
    for path in folder.glob("*.py"):
        try:
            found[path.name] = path.stat().st_mtime
        except FileNotFoundError:  # an editor replaces a file by another one
            continue
    return found


def _run() -> int:
    """Run the command of this process; a reader that has seen enough, as `head`, ends it."""
    runner.load_early()
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Python writes what is left once more on its way out, and would complain of the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = OPEN
    return status


if __name__ == "__main__":
    sys.exit(_run())
