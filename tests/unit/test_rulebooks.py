"""Rulebook files: each mistake with file, line and entry, all of them at once."""

from pathlib import Path

import pytest

from pv_stream import rulebooks
from pv_stream.errors import RulebookError, UsageError
from pv_stream.rulebooks import carried_rulebooks, check_file, load_file, load_named, load_shipped

SHIPPED = (Path(rulebooks.__file__).parent / "rules" / "rulebooks" / "2026.11.toml").read_text("utf-8")


def changed(tmp_path: Path, *changes: tuple[str, str], name: str = "own.toml") -> Path:
    """Write the shipped rulebook with some of its text changed."""
    text = SHIPPED
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def line_of(text: str) -> int:
    return SHIPPED[: SHIPPED.index(text)].count("\n") + 1


def said(path: Path) -> list[str]:
    return [str(finding).removeprefix(f"{path}:") for finding in check_file(path)]


def test_the_shipped_rulebooks_are_without_a_finding() -> None:
    for version in rulebooks.shipped_versions():
        file = Path(rulebooks.__file__).parent / "rules" / "rulebooks" / f"{version}.toml"
        assert check_file(file) == ()


LAG = "lag_days = { value = 28,"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param(
            LAG,
            LAG.replace("lag_days", "lag_dayz"),
            "parameters.lag_dayz: unknown word 'lag_dayz': did you mean 'lag_days'?",
            id="a misspelled number",
        ),
        pytest.param(
            'lag_days = { value = 28, source = "UNCONFIRMED" }',
            "lag_days = { value = 28 }",
            'parameters.lag_days.source: no citation: add source = "..."',
            id="a number without a citation",
        ),
        pytest.param(
            'lag_days = { value = 28, source = "UNCONFIRMED" }',
            "lag_days = 28",
            'parameters.lag_days: a number stands with its citation: { value = ..., source = "..." }',
            id="a bare number",
        ),
        pytest.param(
            LAG,
            "lag_days = { value = 28.5,",
            "parameters.lag_days.value: 28.5 is not a whole number",
            id="a part",
        ),
        pytest.param(
            LAG,
            'lag_days = { value = "x",',
            "parameters.lag_days.value: 'x' is not a whole number",
            id="a word",
        ),
        pytest.param(
            'fever_score_celsius = { value = "38.5"',
            'fever_score_celsius = { value = "hot"',
            "parameters.fever_score_celsius.value: 'hot' is not a number",
            id="no decimal",
        ),
        pytest.param(
            LAG + ' source = "UNCONFIRMED"',
            LAG + ' source = "UNCONFIRMD"',
            "parameters.lag_days.source: source 'UNCONFIRMD' is not listed under [sources]: did you mean "
            "'UNCONFIRMED'?",
            id="a source that is not listed",
        ),
        pytest.param(
            'routes_outside = ["oral"]',
            'routes_outside = ["orall"]',
            "drugs.vancomycin.routes_outside[1]: unknown word 'orall': did you mean 'oral'?; "
            "known: oral, intravenous, topical, other, unknown",
            id="an unknown route",
        ),
        pytest.param(
            '"lamotrigine"]\nsource',
            '"lamotrigin"]\nsource',
            "classes.aromatic antiepileptics.members[7]: class 'aromatic antiepileptics' names 'lamotrigin', "
            "which is not under [[drugs]]: did you mean 'lamotrigine'?",
            id="a member that is not watched",
        ),
        pytest.param(
            '"gleevec"',
            '"Gleevec"',
            "drugs.imatinib.names[3]: name 'Gleevec' is not in lower case",
            id="case",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_entry(tmp_path: Path, old: str, new: str, message: str) -> None:
    found = said(changed(tmp_path, (old, new)))

    assert any(f.startswith(f"{line_of(old)}: {message}") for f in found), found


@pytest.mark.parametrize(
    ("old", "new", "first", "message"),
    [
        pytest.param('"tegretol"', '"gleevec"', '"gleevec"', "name 'gleevec' stands twice", id="a name"),
        pytest.param(
            'rxnorm = "2002"',
            'rxnorm = "519"',
            'rxnorm = "519"',
            "RxNorm code '519' stands twice",
            id="a code",
        ),
        pytest.param(
            '"N03AF01"',
            '"M04AA01"',
            '"M04AA01"',
            "ATC code 'M04AA01' stands twice",
            id="a code of another kind",
        ),
        pytest.param(
            "latency_max_days = { value = 90",
            "latency_max_days = { value = 55",
            "latency_core_max_days = ",
            "latency_core_max_days is 56, above latency_max_days, which is 55",
            id="numbers out of order",
        ),
    ],
)
def test_what_stands_twice_or_bounds_another_is_named_with_both_lines(
    tmp_path: Path, old: str, new: str, first: str, message: str
) -> None:
    (found,) = said(changed(tmp_path, (old, new)))

    assert found.startswith(f"{line_of(old)}: ")
    assert found.endswith(f"{message} (first on line {line_of(first)})")


def test_every_mistake_is_named_not_only_the_first_and_in_order_of_lines(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        (LAG, "lag_dayz = { value = 28,"),
        ('"tegretol"', '"gleevec"'),
        ('rxnorm = "2002"', "rxnorm = 2002"),
    )
    found = check_file(path)

    assert [finding.entry for finding in found] == [
        "parameters.lag_days",
        "parameters.lag_dayz",
        "drugs.carbamazepine.rxnorm",
        "drugs.carbamazepine.names[2]",
    ]
    assert found[0].line == line_of("[parameters]")
    assert found[0].message == "is missing"
    with pytest.raises(
        RulebookError, match=r"parameters\.lag_days: is missing \(and 3 more: `pv-stream rules check"
    ):
        load_file(path)


def test_a_source_that_nothing_cites_is_a_warning_and_keeps_nobody(tmp_path: Path) -> None:
    path = changed(tmp_path, ("[sources]\n", '[sources]\nhearsay = "Somebody said so"\n'))
    (found,) = check_file(path)

    assert found.is_warning
    assert (
        str(found) == f"{path}:{line_of('[sources]') + 1}: warning: sources.hearsay: is listed but never used"
    )
    assert load_file(path).sources["hearsay"] == "Somebody said so"


def test_a_source_without_text_and_a_digest_of_its_own_are_refused(tmp_path: Path) -> None:
    path = changed(
        tmp_path, ("[sources]\n", '[sources]\nhearsay = " "\n'), ("version =", 'digest = "x"\nversion =')
    )
    found = [finding.message for finding in check_file(path)]

    assert "the source has no text" in found
    assert "unknown word: a digest is computed, never written" in found


def test_what_is_not_toml_or_not_text_is_a_finding_on_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text('version = "1"\nlag_days = {\n', "utf-8")
    (found,) = check_file(broken)
    assert found.line == 2
    assert found.message.startswith("not TOML: ")
    broken.write_text("a = [1,", "utf-8")
    assert check_file(broken)[0].message.startswith("not TOML: ")
    broken.write_bytes(b"a = '\xff'")
    assert check_file(broken)[0].message == "not UTF-8 text (byte 5)"
    with pytest.raises(RulebookError, match="none"):
        check_file(tmp_path / "none.toml")


def test_tables_of_the_wrong_kind_are_findings_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(
        'version = 1\nengine_version = "1"\nsources = []\nparameters = 3\nplausibility = [1]\ndrugs = "x"\n'
        "classes = [1, {members = 2}]\ncombinations = [{ingredients = [1], names = [2]}]\ntreatments = {}\n",
        "utf-8",
    )
    entries = {finding.entry for finding in check_file(path)}

    assert {"version", "sources", "parameters", "drugs", "defaults"} <= entries


def test_a_rulebook_for_another_engine_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, ("engine_version = 1", "engine_version = 2"))

    assert said(path) == [
        f"{line_of('engine_version')}: engine_version: it is written for engine version 2, and this is 1"
    ]
    with pytest.raises(RulebookError, match="written for engine version 2"):
        load_file(path)


def test_a_rulebook_is_named_by_its_version_or_its_file(tmp_path: Path) -> None:
    path = changed(tmp_path, ('version = "2026.11"', 'version = "own"'))

    assert load_named("2026.11") == load_shipped("2026.11")
    assert load_named(str(path)).version == "own"
    with pytest.raises(UsageError, match=r"no rulebook '1999' ships with this version: 2026\.11"):
        load_shipped("1999")


def test_shipped_rulebooks_and_further_files_are_carried_by_digest(tmp_path: Path) -> None:
    path = changed(tmp_path, ('version = "2026.11"', 'version = "own"'))
    carried = carried_rulebooks([path])

    assert {book.version for book in carried.values()} == {*rulebooks.shipped_versions(), "own"}
    assert all(digest == book.digest for digest, book in carried.items())


def test_two_rulebooks_of_one_version_are_not_carried(tmp_path: Path) -> None:
    path = changed(tmp_path, (LAG, "lag_days = { value = 30,"))

    with pytest.raises(RulebookError, match="give yours a version of its own"):
        carried_rulebooks([path])


def test_codes_without_a_source_are_named(tmp_path: Path) -> None:
    codes = 'rxnorm = "282388"\natc = ["L01EA01"]\n'
    found = said(changed(tmp_path, (f'{codes}codes_source = "watchlist"\n', codes)))

    assert len(found) == 1
    assert 'drugs.imatinib: codes stand with their citation: add codes_source = "..."' in found[0]


def test_the_code_of_a_prodrug_or_a_treatment_alone_is_cited_too(tmp_path: Path) -> None:
    fosphenytoin = changed(
        tmp_path,
        ('rxnorm = "8183"\natc = ["N03AB02"]\ncodes_source = "watchlist"\n', ""),
        ('rxnorm = "3008"\ncodes_source = "watchlist"', 'rxnorm = "3008"'),
    )

    assert [f.split(": ")[1] for f in said(fosphenytoin)] == ["drugs.phenytoin", "treatments.cyclosporine"]


def test_advice_without_a_source_names_no_number(tmp_path: Path) -> None:
    cited = '3 months after discharge"\nsource = "follow_up2019"'
    found = said(changed(tmp_path, (cited, cited.replace("follow_up2019", "UNCONFIRMED"))))

    assert len(found) == 1
    assert "names a number, and its source is UNCONFIRMED: leave the number out" in found[0]
    wordless = (
        '"monthly for 3 months after discharge"\nsource = "follow_up2019"',
        '"monthly"\nsource = "UNCONFIRMED"',
    )
    assert said(changed(tmp_path, wordless)) == []


def test_advice_has_words(tmp_path: Path) -> None:
    found = said(changed(tmp_path, ('advice = "monthly for 3 months after discharge"', 'advice = ""')))

    assert any("follow_up.glucose, TSH and free T4.advice" in f for f in found)
