"""The command ``qa-fetch batch``: a query file in, a complete and documented data set out."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..archive import Archive
from ..errors import ConfigError, Incomplete
from .anonymising import add_anonymising, anonymiser_of
from .output import amount, command, complain, for_machines, on_one_line, say_facts, say_json, say_table
from .progress import bar

if TYPE_CHECKING:
    from ..batch.releasing import Released
    from ..bulk import Report


def add_batch(commands: Any) -> None:
    """``qa-fetch batch``."""
    made = command(
        commands,
        "batch",
        batch,
        summary="bring everything that the rows of a spreadsheet ask for, paced, resumed and accounted for",
        example="  qa-fetch batch cohort.csv --archive pacs --to cohort/ --dry-run\n"
        "  qa-fetch batch cohort.csv --archive pacs --to cohort/ --save --info --hours 22:00-06:00\n"
        "  qa-fetch batch cohort.csv --archive pacs --to cohort/ --anonymise trial17.key --profile research-rt",
    )
    made.add_argument(
        "queryfile", metavar="QUERY.csv", type=Path, nargs="?", help="columns are DICOM keywords; also .xlsx"
    )
    made.add_argument("--archive", metavar="ARCHIVE", help="a name from qa_fetch.toml, or an address")
    made.add_argument("--config", metavar="FILE", help="another qa_fetch.toml, or PACSMAN's config.json")
    made.add_argument("--to", metavar="DIR", type=Path, help="the output folder; a run goes on where one stopped there")
    what = made.add_argument_group("what is done with each series (default: --save)")
    what.add_argument("--save", action="store_true", help="fetch its objects")
    what.add_argument("--info", action="store_true", help="describe it in a table beside its folder; also alone")
    what.add_argument("--move", metavar="AET", default="", help="have the archive send it to this AE title instead")
    what.add_argument(
        "--upload", metavar="DIR", type=Path, help="instead of a query: send such a data set to the archive"
    )
    what.add_argument("--dry-run", action="store_true", help="only say what would be fetched")
    add_anonymising(made, "fetch into a folder beside the key, and let only anonymised objects into the output,")
    pace = made.add_argument_group("pace")
    pace.add_argument("--batch-size", metavar="N", type=int, help="after so many series ...")
    pace.add_argument("--batch-wait", metavar="SECONDS", type=float, help="... wait so long")
    pace.add_argument("--rate", metavar="MB", type=float, help="no more than so many MB a second on average")
    pace.add_argument(
        "--hours", metavar="HH:MM-HH:MM", help="begin nothing outside of these hours, such as 22:00-06:00"
    )
    running = made.add_argument_group("how it runs")
    running.add_argument("--workers", metavar="N", type=int, help="series at a time (default: 2 threads)")
    running.add_argument("--processes", action="store_true", help="in processes instead of threads")
    running.add_argument("--cluster", metavar="URL", help="on a Dask cluster, such as tcp://scheduler:8786")
    running.add_argument("--attempts", metavar="N", type=int, default=3, help="tries of a series (default: 3)")
    running.add_argument("--resume", action="store_true", help="as it is without it: accepted for PACSMAN's habit")
    for_machines(made)


def batch(given: argparse.Namespace) -> int:
    """Look it up, or bring it; 1 when a row or a series failed."""
    from ..batch import fetch_csv, look_up

    source, pace = _source(given), _pace(given)
    _check(given)
    if given.upload is not None:
        return _upload(given, source, pace)
    if given.dry_run:
        with bar("asking the archive for each row", rate=True) as on_progress:
            plan = look_up(given.queryfile, source, pace=pace, on_progress=on_progress)
        return _say_plan(plan, given.json)
    anonymiser = anonymiser_of(given)
    with bar("asking the archive for each row", rate=True) as on_progress:
        report = fetch_csv(
            given.queryfile,
            source,
            to=given.to,
            save=given.save or anonymiser is not None or not (given.info or given.move),
            info=given.info,
            move=given.move,
            workers=given.workers,
            where=given.cluster or ("processes" if given.processes else "threads"),
            pace=pace,
            attempts=given.attempts,
            anonymise=anonymiser,
            on_progress=on_progress,
        )
    if anonymiser is None:
        return _say(report, given.to, given.json)
    from ..batch.releasing import Released

    assert isinstance(report, Released)
    return _say_released(report, given.json)


def _check(given: argparse.Namespace) -> None:
    """Refuse options that contradict each other, or would do nothing, before a key is made or anything is asked."""
    if given.anonymise is None:
        anonymiser_of(given)  # which refuses what says how without it, so that nothing leaves that should not
    if given.upload is not None:
        _check_upload(given)
        return
    if given.queryfile is None:
        raise ConfigError("name a query file, or a data set with --upload.")
    if given.cluster and given.processes:
        raise ConfigError("--cluster and --processes are two ways to run it. Leave one of them out.")
    if given.move and given.anonymise is not None:
        raise ConfigError(
            "--move has the archive send its objects as they are, so --anonymise cannot be. Leave one of them out."
        )
    if given.dry_run:
        if given.anonymise is not None:
            _check_anonymising(given)
    elif given.to is None:
        raise ConfigError("say where the data set goes: --to DIR.")


def _check_upload(given: argparse.Namespace) -> None:
    done = (given.queryfile, given.to, given.anonymise)
    if any(one is not None for one in done) or given.save or given.info or given.move or given.dry_run:
        raise ConfigError(
            "--upload sends a data set that is there. Leave out the query file and what is done with one."
        )
    for option, value in (("--cluster", given.cluster), ("--processes", given.processes)):
        if value:
            raise ConfigError(f"--upload sends with threads of this machine. Leave out {option}.")


def _check_anonymising(given: argparse.Namespace) -> None:
    """Say in a dry run what is wrong with how it is anonymised; its key is not made, a passing one will do."""
    from ..anonymise import Anonymiser

    with tempfile.TemporaryDirectory() as passing:
        key = given.anonymise if given.anonymise.exists() else Path(passing, "dry-run.key")
        how = {"new_ids": given.new_ids, "offsets": given.offsets, "ids": given.ids}
        Anonymiser(key, given.profile or "basic", **how)


def _upload(given: argparse.Namespace, source: Archive, pace: Any) -> int:
    from ..batch import upload
    from ..batch.uploading import reports_of

    with bar("looking at the files", rate=True) as on_progress:
        report = upload(
            given.upload,
            source,
            workers=given.workers or 1,
            pace=pace,
            attempts=given.attempts,
            on_progress=on_progress,
        )
    return _say(report, reports_of(given.upload, source), given.json)


def _say(report: Report, folder: Path, as_json: bool) -> int:
    """What came of a run: for machines every item, for people what is not there and why, and the reports' folder."""
    if as_json:
        numbers = {key: getattr(report, key) for key in ("total", "done", "already", "failed", "waiting", "bytes")}
        say_json({**numbers, "stopped": report.stopped, "items": [row._asdict() for row in report.rows()]})
        return report.exit_code
    failed = [(row.key, row.error) for row in report.failures()]
    if failed:
        say_table(("series or row", "why it failed"), failed)
    say_facts(
        {
            "done": f"{report.done} ({report.already} of them before)",
            "failed": report.failed,
            "not done": report.waiting,
            "brought": amount(report.bytes),
            "report": folder / "report.html",
        }
    )
    if report.stopped:
        why = report.stopped.rstrip(".")
        complain(Incomplete(f"{why}. Run the same command again to go on."))
    return report.exit_code


_NUMBERS = ("total", "done", "already", "failed", "waiting", "bytes", "stopped")


def _say_released(report: Released, as_json: bool) -> int:
    """What came of a run that was anonymised; for machines only what names nobody."""
    done = report.anonymised
    if as_json:
        audit = None if done is None else {**done.as_json(), "audit": done.audit}
        fetched = {name: getattr(report, name) for name in _NUMBERS}
        say_json({**fetched, "output": report.output, "working": report.working, "anonymised": audit})
        return report.exit_code
    failed = [(row.key, row.error) for row in report.failures()]
    if failed:
        say_table(("series or row", "why it failed"), failed)
    facts: dict[str, object] = {
        "fetched": f"{report.done} ({report.already} of them before), {amount(report.bytes)}",
        "failed": report.failed,
        "not done": report.waiting,
    }
    if done is not None:
        if done.held:
            say_table(("why objects were held back", "files"), done.held.most_common())
        facts["anonymised"] = f"{done.done} files ({done.already} of them before), {amount(done.bytes)}"
        facts["not anonymised"] = done.failed + done.waiting + sum(done.held.values())
        facts["warnings (names in text, objects of two patients)"] = done.warnings
        facts["output"] = report.output
    facts["reports"] = ", ".join(map(str, filter(None, (report.working / "report.html", done and done.audit))))
    say_facts(facts)
    print(
        f"The originals are in {on_one_line(report.working)}, which names patients. "
        "Remove it when the result was checked."
    )
    if done is None or report.stopped:
        why = report.stopped.rstrip(".") or "not every row was tried, so nothing was anonymised yet"
        complain(Incomplete(f"{why}. Run the same command again to go on."))
    return report.exit_code


def _source(given: argparse.Namespace) -> Archive:
    """The archive of the options, or of PACSMAN's config.json, whose pace counts where no option says otherwise."""
    if given.config is None or not str(given.config).lower().endswith(".json"):
        return Archive(given.archive, config=given.config)
    from ..batch.seed_config import load

    if given.archive is not None:
        raise ConfigError("config.json names its archive itself. Leave out --archive.")
    found = load(Path(given.config))
    given.batch_size = found.batch_size if given.batch_size is None else given.batch_size
    given.batch_wait = found.batch_wait_time if given.batch_wait is None else given.batch_wait
    return Archive(**found.archive)


def _pace(given: argparse.Namespace) -> Any:
    from ..bulk import Pace

    return Pace(
        batch_size=given.batch_size or 0,
        batch_wait=given.batch_wait or 0.0,
        bytes_per_second=(given.rate or 0.0) * 1e6,
        hours=given.hours or "",
    )


def _say_plan(plan: Any, as_json: bool) -> int:
    """What would be fetched; 1 when a row asks for nothing that there is."""
    rows = [
        (one.facts.get("SeriesNumber", ""), one.facts.get("Modality", ""), one.facts.get("SeriesDescription", ""))
        + (" ".join(map(str, one.rows)), count, size)
        for one, count, size in plan.series
    ]
    if as_json:
        series = [
            {"series": one.series, **one.facts, "rows": one.rows, "objects": count, "bytes": size}
            for one, count, size in plan.series
        ]
        say_json({"series": series, "unanswered": [vars(one) for one in plan.unanswered]})
        return 1 if plan.unanswered else 0
    shown = [(*row[:4], "?" if row[4] is None else row[4], "?" if row[5] is None else amount(row[5])) for row in rows]
    say_table(("number", "modality", "description", "rows", "objects", "about"), shown)
    if plan.unanswered:
        say_table(("row", "why there is nothing"), [(one.row, one.problem) for one in plan.unanswered])
    say_facts({"series": len(rows), "objects": plan.objects, "about": amount(plan.bytes)})
    return 1 if plan.unanswered else 0
