"""E2B documents as trees: XML that is safe to read, and what stands in it by element path.

No document type is ever loaded. E2B(R3) has none, so one is refused. E2B(R2) names the DTD of ICH: such a line without
an internal subset is taken out before the parser sees the document, any other is refused. So there are no entities, no
network and no files, and what a document may cost is bounded by its size and the limits below. A document in UTF-16 is
read as UTF-8 first, and the parser reads every document in the encoding in which it was searched.

E2B(R2) was SGML first: a document without a declaration, or with names in capitals, is read as long as it is
well-formed XML. What leaves tags out is refused.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from lxml import etree

from pv_stream.ingest.icsr.encodings import in_utf8
from pv_stream.ingest.outcomes import RejectCode

Element = etree._Element  # noqa: SLF001 - the only name that lxml has for the type

#: The names of the documents that hold reports, without namespace and in lower case.
R3_BATCH: Final = "mcci_in200100uv01"
R3_MESSAGE: Final = "porr_in049016uv"
R2_BATCH: Final = "ichicsr"

DEPTH_MAX: Final = 64
ELEMENTS_MAX: Final = 100_000
ATTRIBUTES_MAX: Final = 32
ATTRIBUTE_CHARACTERS_MAX: Final = 20_000

_HL7: Final = "{urn:hl7-org:v3}"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: Those in which `<!` looks as in ASCII and no part of another character looks like it, so that nothing hides from
#: the search below: the alphabets of Europe, and what Japanese and Korean senders of E2B(R2) write.
_ENCODINGS: Final = frozenset(
    {
        *(b"utf-8", b"us-ascii", b"ascii", b"iso-8859-1", b"iso-8859-2", b"iso-8859-15", b"windows-1252"),
        *(b"shift_jis", b"euc-jp", b"euc-kr"),
    }
)
_DECLARATION: Final = re.compile(rb"""<\?xml\s[^<>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_MARKUP_DECLARATION: Final = re.compile(rb"<!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
_PROLOG: Final = rb"(?>\s+|<!--.*?-->|<\?.*?\?>)*+"
_LITERAL: Final = rb"""(?:"[^"<>\[\]]{0,200}"|'[^'<>\[\]]{0,200}')"""
_R2_DOCTYPE: Final = re.compile(
    _PROLOG
    + rb"(<!DOCTYPE\s+ichicsr\s*(?:\s(?:SYSTEM\s*"
    + _LITERAL
    + rb"|PUBLIC\s*"
    + _LITERAL
    + rb"(?:\s*"
    + _LITERAL
    + rb")?)\s*)?>)",
    re.IGNORECASE | re.DOTALL,
)

#: Asked of the whole document at once, in one pass for each limit.
_EXCEEDS_LIMITS: Final = etree.XPath(
    f"count(//*) > {ELEMENTS_MAX} or boolean({'/*' * (DEPTH_MAX + 1)})"
    f" or boolean(//*[count(@*) > {ATTRIBUTES_MAX}])"
    f" or boolean(//@*[string-length() > {ATTRIBUTE_CHARACTERS_MAX}])"
)


def read_tree(content: bytes) -> Element | RejectCode:
    """Return the root of a document, or why it cannot be read. Comments and processing instructions are left out."""
    text = in_utf8(content).removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not text:
        return RejectCode.EMPTY
    declared = _DECLARATION.match(text)
    encoding = b"utf-8" if declared is None else declared[1].lower()
    if b"\x00" in text or encoding not in _ENCODINGS:
        return RejectCode.UNREADABLE_CHARACTERS
    plain = _without_r2_doctype(text)
    if _MARKUP_DECLARATION.search(plain) is not None:
        return RejectCode.DOCTYPE_REFUSED
    parser = etree.XMLParser(
        encoding=encoding.decode(),  # that in which no document type was found, whatever else the document claims
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        recover=False,
        collect_ids=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(plain, parser)
    except etree.XMLSyntaxError as error:
        is_over_limit = getattr(error, "code", None) == etree.ErrorTypes.ERR_RESOURCE_LIMIT
        return RejectCode.TOO_COMPLEX if is_over_limit else RejectCode.MALFORMED_XML
    except ValueError:
        return RejectCode.MALFORMED_XML
    return RejectCode.TOO_COMPLEX if _EXCEEDS_LIMITS(root) else root


def name_of(element: Element) -> str:
    """Return the name of an element without its namespace, in lower case."""
    return str(element.tag).rpartition("}")[2].lower()


def child(element: Element | None, path: str) -> Element | None:
    """Return the first element of E2B(R3) under a path of names, such as `subject/investigationEvent`."""
    if element is None:
        return None
    # Most paths are one step, for which lxml's own paths take twice as long.
    names = _hl7(path)
    return element.find(names) if "/" in path else next(element.iterchildren(names), None)


def children(element: Element | None, path: str) -> list[Element]:
    """Return the elements of E2B(R3) under a path of names."""
    if element is None:
        return []
    names = _hl7(path)
    return element.findall(names) if "/" in path else list(element.iterchildren(names))


def attribute(element: Element | None, path: str, name: str) -> str:
    """Return an attribute of the element under a path, or of the element itself; empty when it is not there."""
    found = child(element, path) if path else element
    return "" if found is None else str(found.get(name, "")).strip()


def text_of(element: Element | None) -> str:
    """Return the text that an element begins with."""
    return "" if element is None else str(element.text or "").strip()


def r2_text(element: Element | None, name: str) -> str:
    """Return the text of a child of an E2B(R2) element."""
    return next((text_of(found) for found in r2_children(element, name)), "")


def r2_children(element: Element | None, name: str) -> Iterator[Element]:
    """Yield the children of an E2B(R2) element that have a name, whatever its case: SGML has none."""
    if element is not None:
        for found in element:
            if name_of(found) == name:
                yield found


@cache
def _hl7(path: str) -> str:
    return "/".join(f"{_HL7}{step}" for step in path.split("/"))


def _without_r2_doctype(text: bytes) -> bytes:
    found = _R2_DOCTYPE.match(text)
    return text if found is None else text[: found.start(1)] + text[found.end(1) :]
