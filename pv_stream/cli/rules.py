"""`pv-stream rules`: what the rulebooks say, with the source of every number, and which of them a log follows."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pv_stream.errors import DataError, UsageError

if TYPE_CHECKING:
    from pv_stream.audit.rule_guide import Guide
    from pv_stream.audit.rulebook_diff import Change
    from pv_stream.rules.rulebook import Rulebook

app = typer.Typer(
    help="Show, check and compare rulebooks, explain a rule, and put a rulebook in force.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_NAMED: Final = "A shipped version, or the file of a rulebook."


@app.command("list")
def list_rulebooks(*, as_json: JsonOption = False) -> None:
    """List the rulebooks that ship with this version; a log that activates none is read under the default."""
    from pv_stream.rulebooks import DEFAULT_VERSION, load_shipped, shipped_versions  # noqa: PLC0415 - see main

    known = [
        {
            "version": rules.version,
            "digest": rules.digest,
            "engine_version": rules.engine_version,
            "drugs": len(rules.drugs),
            "default": rules.version == DEFAULT_VERSION,
        }
        for rules in map(load_shipped, shipped_versions())
    ]
    if as_json:
        typer.echo(json.dumps(known, indent=2))
        return
    for rules in known:
        default = "  default" if rules["default"] else ""
        typer.echo(
            f"{rules['version']}  {rules['digest']}  engine {rules['engine_version']}  "
            f"{rules['drugs']} watched drugs{default}"
        )


@app.command()
def show(
    version: Annotated[str | None, typer.Argument(help=f"{_NAMED} [the default]")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show every number with its source, and every drug with its thresholds and windows."""
    from pv_stream.cli.rulebook_view import print_rulebook, rulebook_json  # noqa: PLC0415
    from pv_stream.rulebooks import load_default, load_named  # noqa: PLC0415

    rules = load_default() if version is None else load_named(version)
    if as_json:
        typer.echo(json.dumps(rulebook_json(rules), indent=2, sort_keys=True))
    else:
        print_rulebook(rules)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", readable=False, help="Rulebook files.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Check rulebook files: every mistake with its line. Exit 1 when there is one; a warning is none."""
    from pv_stream.rulebooks import check_file  # noqa: PLC0415

    findings = [finding for path in files for finding in check_file(path)]
    mistakes = [finding for finding in findings if not finding.is_warning]
    if as_json:
        listed = [
            {
                "file": finding.file,
                "line": finding.line,
                "entry": finding.entry,
                "message": finding.message,
                "warning": finding.is_warning,
            }
            for finding in findings
        ]
        typer.echo(json.dumps(listed, indent=2))
    else:
        for finding in findings:
            typer.echo(str(finding))
        checked = "1 file" if len(files) == 1 else f"{len(files)} files"
        typer.echo(f"{checked}: {len(mistakes)} wrong, {len(findings) - len(mistakes)} warnings", err=True)
    raise typer.Exit(1 if mistakes else 0)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help=_NAMED)],
    new: Annotated[str, typer.Argument(help=_NAMED)],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what changes from one rulebook to another: entry, old, new, and the sources. Exit 1 when anything does."""
    from pv_stream.audit.rulebook_diff import changes_between  # noqa: PLC0415
    from pv_stream.rulebooks import load_named  # noqa: PLC0415

    before, after = load_named(old), load_named(new)
    changes = changes_between(before, after)
    if as_json:
        typer.echo(json.dumps(_diff_json(before, after, changes), indent=2))
    else:
        typer.echo(f"{before.version} ({before.digest}) -> {after.version} ({after.digest})")
        for change in changes:
            typer.echo(f"  {change.entry}: {_said(change, 'old')} -> {_said(change, 'new')}")
        count = "1 entry differs" if len(changes) == 1 else f"{len(changes)} entries differ"
        typer.echo(count if changes else "They say the same.")
    raise typer.Exit(1 if changes else 0)


def _said(change: "Change", side: str) -> str:
    said = change.old if side == "old" else change.new
    if said is None:
        return "none"
    return said.value if said.source is None else f"{said.value} ({said.source})"


def _diff_json(before: "Rulebook", after: "Rulebook", changes: "tuple[Change, ...]") -> dict[str, object]:
    return {
        "old": {"version": before.version, "digest": before.digest},
        "new": {"version": after.version, "digest": after.digest},
        "changes": [
            {
                "entry": change.entry,
                "old": None if change.old is None else change.old.value,
                "old_source": None if change.old is None else change.old.source,
                "new": None if change.new is None else change.new.value,
                "new_source": None if change.new is None else change.new.source,
            }
            for change in changes
        ],
    }


@app.command()
def explain(
    rule: Annotated[
        str,
        typer.Argument(
            help="A row of the tiers, a criterion, a number, a drug, a word of an alert (controlled_under_treatment, "
            "rechallenge), or a clinical statement; row:NAME where several are called so."
        ),
    ],
    version: Annotated[str | None, typer.Option("--rulebook", help=f"{_NAMED} [the default]")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Explain one rule: what it means, its numbers now, their sources, who does it, and what tests it."""
    from pv_stream.audit.rule_guide import find_rule, guide_to  # noqa: PLC0415
    from pv_stream.rulebooks import load_default, load_named  # noqa: PLC0415

    rules = load_default() if version is None else load_named(version)
    guide = guide_to(find_rule(rule, rules), rules)
    if as_json:
        typer.echo(json.dumps(_guide_json(guide, rules), indent=2))
        return
    typer.echo(f"{guide.name} (rulebook {rules.version})")
    for sentence in guide.meaning:
        typer.echo(f"  {sentence[:1].upper()}{sentence[1:]}")
    for figure in guide.figures:
        typer.echo(f"  {figure.name} = {figure.value}   [{figure.source}] {figure.citation}")
    shown = {figure.source for figure in guide.figures}
    for source, text in guide.citations.items():
        if source not in shown:
            typer.echo(f"  [{source}] {text}")
    for module in guide.modules:
        typer.echo(f"  done by pv_stream.{module}")
    for test in guide.tests:
        typer.echo(f"  tested by {test}")


def _guide_json(guide: "Guide", rules: "Rulebook") -> dict[str, object]:
    return {
        "rule": guide.name,
        "rulebook": {"version": rules.version, "digest": rules.digest},
        "meaning": list(guide.meaning),
        "numbers": [
            {"name": f.name, "value": f.value, "source": f.source, "citation": f.citation}
            for f in guide.figures
        ],
        "sources": dict(guide.citations),
        "modules": [f"pv_stream.{module}" for module in guide.modules],
        "tests": list(guide.tests),
    }


@app.command()
def activate(
    version: Annotated[str, typer.Argument(help=_NAMED)],
    to: Annotated[
        str, typer.Option(metavar="kafka|FILE", help="The live input log, or a file of events to append to.")
    ],
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Kafka brokers, host:port. [PV_STREAM_BOOTSTRAP_SERVERS]")
    ] = None,
) -> None:
    """Put a rulebook in force: from the record that this writes, every shard of the log is read under it.

    Open alerts follow the new rules and say so; closed ones stay as they are. A rulebook of your own must be carried
    by every reader of the log: `run --carry FILE`, `replay --carry FILE`.
    """
    from pv_stream.rulebooks import carried_rulebooks, load_named, shipped_versions  # noqa: PLC0415
    from pv_stream.shard.rules_in_force import rulebook_record  # noqa: PLC0415

    rules = load_named(version)
    carried_rulebooks(
        [] if version in shipped_versions() else [Path(version)]
    )  # refuses what nobody could carry
    record = rulebook_record(rules)
    if to == "kafka":
        from pv_stream.settings import load_settings  # noqa: PLC0415
        from pv_stream.stream import require_client  # noqa: PLC0415

        require_client("aiokafka")
        from pv_stream.stream.activate import write_to_every_shard  # noqa: PLC0415

        shards = write_to_every_shard(record, load_settings(bootstrap_servers=bootstrap_servers))
        where = f"{shards} shards, in one transaction"
    else:
        _append(Path(to), record)
        where = to
    typer.echo(f"rulebook {rules.version} ({rules.digest}) is in force from here on: {where}", err=True)


def _append(path: Path, record: bytes) -> None:
    """Append a record to a file of events, on a line of its own."""
    from pv_stream.audit.log import LogForm, open_log  # noqa: PLC0415

    if open_log(path).form is LogForm.ARCHIVE:
        msg = f"{path} is an archive, a copy of a topic: put the rulebook in force in the topic, with --to kafka"
        raise UsageError(msg)
    try:
        with path.open("r+b") as file:
            file.seek(-1, 2) if file.seek(0, 2) else None
            gap = b"" if file.read(1) in {b"", b"\n"} else b"\n"
            file.write(gap + record + b"\n")
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise DataError(msg) from None
