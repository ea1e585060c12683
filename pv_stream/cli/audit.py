"""`pv-stream audit`: is what the topics hold what the workers wrote? Ledgers, tree heads, and proofs of one record."""

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from pv_stream.audit.archive.folder import ArchivedTopic
from pv_stream.audit.tamper import proof as proofs
from pv_stream.audit.tamper import second_place
from pv_stream.audit.tamper.checking import ShardCheck, check_shard
from pv_stream.audit.tamper.entries import COVERED, TREE_HEADS, open_heads, open_ledgers, tree_heads
from pv_stream.cli.decisions import KAFKA
from pv_stream.cli.public_keys import PublicKeysOption, read_public_keys
from pv_stream.cli.terminal import plural, program, stderr, stdout
from pv_stream.errors import DataError, UsageError
from pv_stream.ledger.heads import TreeHead, is_signed_by
from pv_stream.ledger.keys import new_key
from pv_stream.stream import require_client

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check that no output was changed, dropped, swapped or added after a worker wrote it (docs/audit.md).",
)

require_client("cryptography")

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_SHOWN_MAX: Final = 20

Source = Annotated[
    str, typer.Argument(metavar="DIR|kafka", help="A folder of `archive`, or kafka for the live topics.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def keygen(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The private key; FILE.pub is the public one.")
    ],
) -> None:
    """Make the pair of keys with which workers sign and auditors check. An existing file is never overwritten."""
    public = out.with_name(f"{out.name}.pub")
    for path in (out, public):
        if path.exists():
            message = f"{path} exists: a key is never overwritten; name another file"
            raise UsageError(message)
    private_pem, public_pem = new_key()
    try:
        with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - with a mode
            file.write(private_pem)
        public.write_bytes(public_pem)
    except OSError as error:
        message = f"{out}: {error.strerror}. Name a file in a folder that can be written."
        raise DataError(message) from None
    typer.echo(
        f"{out}: the private key, for the workers alone: PV_STREAM_LEDGER_KEY_FILE={shlex.quote(str(out))}"
    )
    typer.echo(f"{public}: the public key, for every auditor")


@app.command()
def verify(
    source: Source,
    public_key: PublicKeysOption = None,
    second: Annotated[
        Path | None,
        typer.Option("--second-place", metavar="DIR", help="Tree heads that `audit export` put elsewhere."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check every output against its ledger: altered, missing, swapped, doubled, foreign, rewritten, truncated.

    A log that was cut off together with its tree heads is whole; only a head in a second place tells. Exit code 1:
    something is wrong.
    """
    keys = read_public_keys(public_key)
    kept = {} if second is None else second_place.read_notes(second)
    with _folder(source) as folder:
        ledgers = open_ledgers(folder)
        if beyond := sorted(shard for shard in kept if shard >= ledgers.shard_count):
            message = (
                f"{second} knows shard {beyond[0]}, and the log has {plural(ledgers.shard_count, 'shard')}"
            )
            raise DataError(message)
        checks = [
            check_shard(ledgers, shard, elsewhere=kept.get(shard, ()), public_keys=keys)
            for shard in range(ledgers.shard_count)
        ]
    if as_json:
        typer.echo(json.dumps(_as_json(checks, keys, kept), indent=2, sort_keys=True))
    else:
        _show(checks, with_keys=bool(keys), with_second=second is not None)
    if any(check.findings for check in checks):
        raise typer.Exit(1)


@app.command()
def export(
    source: Source,
    to: Annotated[
        Path,
        typer.Option(
            "--to", metavar="DIR", help="Folder in a second place, out of reach of the log's owner."
        ),
    ],
    public_key: PublicKeysOption = None,
) -> None:
    """Write the last tree head of each shard to a second place, after comparing those that lie there. Run it daily.

    Nothing is overwritten. Exit code 1: the log does not bear out a head that lies there, or a signature is wrong;
    nothing is written then.
    """
    keys = read_public_keys(public_key)
    kept = second_place.read_notes(to) if to.exists() else {}
    with _folder(source, topics=(TREE_HEADS,)) as folder:
        heads = _heads_by_shard(open_heads(folder))
    wrong = [
        found.says
        for shard in sorted({*heads, *kept})
        for found in second_place.contradictions(shard, heads.get(shard, []), kept.get(shard, ()))
    ]
    wrong += [
        f"shard {shard}: none of the given keys signed the last tree head ({found[-1].size:,} records)"
        for shard, found in heads.items()
        if keys and not is_signed_by(found[-1], keys)
    ]
    if wrong:
        for line in wrong:
            stderr().print(escape(line), soft_wrap=True)
        raise typer.Exit(1)
    for shard, found in sorted(heads.items()):
        is_new = second_place.add(to, shard, found[-1])
        name = to / second_place.file_name(shard, found[-1])
        typer.echo(f"{name}  {plural(found[-1].size, 'record')}{'' if is_new else ', there already'}")
    if not heads:
        typer.echo("There is no tree head yet: nothing was written.", err=True)


@app.command()
def prove(
    record: Annotated[
        str,
        typer.Argument(help="A record_id, an alert_id that has one record, or a `ce_id` (shard-position-n)."),
    ],
    source: Annotated[Path, typer.Option("--from", metavar="DIR", help="A folder of `archive`.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The proof, JSON; it holds the record.")],
    since: Annotated[
        Path | None,
        typer.Option(metavar="NOTE", help="An earlier tree head: prove as well that the ledger only grew."),
    ] = None,
) -> None:
    """Write a proof that one record stands in the ledger, which can be checked without the log."""
    ledgers = open_ledgers(source)
    found = proofs.find_records(ledgers, record)
    if len(found) != 1:
        names = "; ".join(entry.name for _, entry in found[:5])
        message = (
            f"{record}: no output of the archive has this name"
            if not found
            else f"{record} names {plural(len(found), 'record')} ({names}): name one by its record_id"
        )
        raise UsageError(message)
    if out.exists():
        message = f"{out} exists: a proof is never overwritten; name another file"
        raise UsageError(message)
    earlier = None if since is None else second_place.read_note(since)
    made = proofs.prove(ledgers, *found[0], since=earlier)
    out.write_bytes(proofs.to_json(made))
    typer.echo(f"{out}: {found[0][1].name}, under {made.head.origin} at {plural(made.head.size, 'record')}")
    typer.echo(f"Next: {program()} audit check {shlex.quote(str(out))} --public-key FILE", err=True)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `audit prove` wrote.")],
    public_key: PublicKeysOption = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check a proof, without log and network. Exit code 1: it proves nothing, or no key was given."""
    keys = read_public_keys(public_key)
    try:
        proof = proofs.from_json(file.read_bytes(), name=str(file))
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise DataError(message) from None
    checked = proofs.check(proof, keys)
    holds = checked.is_included and checked.is_consistent is not False and checked.is_signed is True
    if as_json:
        typer.echo(json.dumps({"holds": holds, **asdict(checked)}, indent=2, sort_keys=True))
    else:
        _show_proof(proof, checked)
    if not holds:
        raise typer.Exit(1)


@contextmanager
def _folder(source: str, topics: Sequence[str] = (*COVERED, TREE_HEADS)) -> Iterator[Path]:
    """Yield the folder of an archive; live topics are read into one of their own (TMPDIR)."""
    if source != KAFKA:
        yield Path(source)
        return
    from pv_stream.cli.archiving import all_topics, archive_topics  # noqa: PLC0415 - folders need no Kafka client
    from pv_stream.cli.terminal import position_progress  # noqa: PLC0415
    from pv_stream.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    chosen = [name for name in all_topics(settings) if name.endswith(tuple(topics))]
    with TemporaryDirectory(prefix="pv-stream-ledger-") as folder, position_progress("Reading") as told:
        archive_topics(settings, chosen, Path(folder), on_progress=told)
        yield Path(folder)


def _heads_by_shard(topic: ArchivedTopic) -> dict[int, list[TreeHead]]:
    """Return the heads of each shard that has any."""
    by_shard = {
        shard: [record.head for record in tree_heads(topic, shard) if record.head is not None]
        for shard in range(topic.shard_count)
    }
    return {shard: heads for shard, heads in by_shard.items() if heads}


def _show(checks: Sequence[ShardCheck], *, with_keys: bool, with_second: bool) -> None:
    say = stdout()
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    for name in ("shard", "records", "under a head", "signed", "tree heads", "before the ledger", "wrong"):
        table.add_column(name, justify="right")
    for each in checks:
        counts = (each.records, each.covered, each.signed, each.heads, each.earlier, len(each.findings))
        table.add_row(
            str(each.shard),
            *(f"{count:,}" for count in counts),
            style="bold red" if each.findings else "",
        )
    say.print(table)
    findings = [finding for each in checks for finding in each.findings]
    for finding in findings[:_SHOWN_MAX]:
        say.print(
            f"[bold red]{finding.kind}[/], shard {finding.shard}: {escape(finding.says)}", soft_wrap=True
        )
    if len(findings) > _SHOWN_MAX:
        say.print(f"... and {len(findings) - _SHOWN_MAX:,} more: --json lists them all")
    if earlier := sum(each.earlier for each in checks):
        say.print(
            f"Note: {plural(earlier, 'record')} from before the ledger began: nothing here proves them."
        )
    if not with_keys:
        say.print("Note: no signature was checked: give --public-key.")
    if not with_second:
        say.print(
            "Note: a log that was cut off with its tree heads looks whole: give --second-place.",
            soft_wrap=True,
        )
    if unproved := sum(each.unproved for each in checks):
        say.print(
            f"Note: no tree head stands for the last {plural(unproved, 'record')}: whoever can write the topics may "
            "have made them, or have taken heads away.",
            soft_wrap=True,
        )
    if not findings:
        proved = sum(each.covered for each in checks)
        say.print(f"Nothing is wrong: {plural(proved, 'record')} under tree heads as the workers wrote them.")


def _as_json(
    checks: Sequence[ShardCheck], keys: "Sequence[Ed25519PublicKey]", kept: Mapping[int, Sequence[object]]
) -> dict[str, Any]:
    return {
        "signatures_checked": bool(keys),
        "second_place_heads": sum(map(len, kept.values())),
        "wrong": sum(len(check.findings) for check in checks),
        "shards": [asdict(check) for check in checks],
    }


def _show_proof(proof: proofs.Proof, checked: proofs.Checked) -> None:
    say = stdout()
    key = (proof.record.key or b"").decode(errors="replace")
    say.print(escape(f"{proof.topic}, shard {proof.shard}, key {key}"), soft_wrap=True)
    try:
        value = json.loads(proof.record.value or b"")
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        for name in ("as_of", "kind", "status", "tier", "reason"):
            if name in value:
                say.print(escape(f"  {name}: {value[name]}"), soft_wrap=True)
    head = proof.head
    answers = [
        (checked.is_included, f"it stands in the ledger {head.origin} of {plural(head.size, 'record')}"),
        (checked.is_signed, "the tree head is signed by a given key"),
    ]
    if proof.earlier is not None:
        earlier = plural(proof.earlier.size, "record")
        answers.append((checked.is_consistent, f"the ledger only grew since it had {earlier}"))
    for answer, says in answers:
        word = {True: "yes", False: "NO", None: "not checked: give --public-key"}[answer]
        say.print(f"{escape(says)}: [bold]{word}[/]", soft_wrap=True)
