"""Character sets of HL7v2: which one a message is in, by its first bytes and MSH-18, and its text.

A byte-order mark, or the zero bytes between the letters of MSH, are the message itself and win over what MSH-18 says:
interface engines recode messages and leave MSH-18 as it was. Without a set that is known a message is UTF-8, of which
ASCII is a part; bytes that do not fit are never replaced or left out.
"""

import re
from functools import lru_cache
from typing import Final

#: MLLP framing and blanks around a message.
FRAMING: Final = b"\x0b\x1c \t\r\n"
_MARK: Final = b"\xef\xbb\xbf"
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (_MARK, "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_WIDE: Final = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_BEGINNINGS: Final = ("MSH", "FHS", "BHS")
_HEADER_BYTES_MAX: Final = 4096
#: Of MSH.
CHARACTER_SET_FIELD: Final = 18
_SEPARATOR_AT: Final = 3
_NOT_NAMED: Final = re.compile(r"[^A-Z0-9]")
#: HL7 table 0211, and the ISO registry's numbers of the same sets as DICOM and laboratories write them. Japanese
#: sets are read as ISO-2022-JP: their escape sequences say which of them each character is in.
_SETS: Final = {
    "ASCII": "utf-8",
    "USASCII": "utf-8",
    "ISOIR6": "utf-8",
    "UNICODE": "utf-8",
    "UNICODEUTF8": "utf-8",
    "UTF8": "utf-8",
    "ISOIR192": "utf-8",
    "UNICODEUTF16": "utf-16",
    "UTF16": "utf-16",
    "UNICODEUTF32": "utf-32",
    "UTF32": "utf-32",
    "ISOIR100": "iso8859-1",
    "ISOIR101": "iso8859-2",
    "ISOIR109": "iso8859-3",
    "ISOIR110": "iso8859-4",
    "ISOIR144": "iso8859-5",
    "ISOIR127": "iso8859-6",
    "ISOIR126": "iso8859-7",
    "ISOIR138": "iso8859-8",
    "ISOIR148": "iso8859-9",
    "ISOIR203": "iso8859-15",
    "ISOIR13": "shift_jis",
    "ISOIR14": "shift_jis",
    "ISOIR87": "iso2022_jp_ext",
    "ISOIR159": "iso2022_jp_ext",
    "JISX0202": "iso2022_jp_ext",
    "KSX1001": "euc_kr",
    "ISOIR149": "euc_kr",
    "BIG5": "big5",
    "GB180302000": "gb18030",
    "GB18030": "gb18030",
    "WINDOWS1252": "cp1252",
    "CP1252": "cp1252",
    **{
        f"{prefix}8859{part}": f"iso8859-{part}"
        for prefix in ("", "ISO")
        for part in (*range(1, 11), 13, 14, 15, 16)
    },
}


def wide_encoding(head: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 in which HL7 text begins, or None when its letters are single bytes."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name if name in _WIDE else None
    if 0 not in head[:8]:
        return None
    unframed = head.removeprefix(b"\x0b")
    for name in _WIDE:
        beginnings = tuple(beginning.encode(name) for beginning in _BEGINNINGS)
        if head.startswith(beginnings) or unframed.startswith(beginnings):
            return name
    return None


def decoded(content: bytes) -> str | None:
    """Return the text of a message without framing and byte-order mark, or None when its bytes do not fit its set."""
    wide = None if content.startswith(b"MSH|") else wide_encoding(content)
    if wide is not None:
        if content.startswith(b"\x0b"):
            content = content.removeprefix(b"\x0b").removesuffix(b"\r").removesuffix(b"\x1c")
        text = _in(wide, content)
        return None if text is None else text.strip("\ufeff\x0b\x1c \t\r\n")
    marked = content.lstrip(FRAMING).startswith(_MARK)
    content = content.strip(FRAMING).removeprefix(_MARK).strip(FRAMING)
    return _in("utf-8" if marked else _stated(content), content)


def _in(name: str, content: bytes) -> str | None:
    try:
        return content.decode(name)
    except UnicodeDecodeError:
        return None


def _stated(content: bytes) -> str:
    """Return the codec that MSH-18 names; UTF-16 and UTF-32 are none here, since the letters are single bytes."""
    end = content.find(b"\r", 0, _HEADER_BYTES_MAX)
    newline = content.find(b"\n", 0, end if end >= 0 else _HEADER_BYTES_MAX)
    header = content[: newline if newline >= 0 else end if end >= 0 else _HEADER_BYTES_MAX]
    separator = header[_SEPARATOR_AT : _SEPARATOR_AT + 1]
    # Field n of MSH stands at n - 1, since MSH-1 is the separator itself.
    fields = header.split(separator, CHARACTER_SET_FIELD) if separator else []
    if len(fields) < CHARACTER_SET_FIELD:
        return "utf-8"
    return codec_of(fields[CHARACTER_SET_FIELD - 1][:80], header[5:6])


@lru_cache(maxsize=256)
def codec_of(names: bytes, repetition: bytes = b"~") -> str:
    """Return the codec of MSH-18: of the first set that is named, or the Japanese one that any repetition names."""
    said = names.split(repetition) if repetition else [names]
    known = [_SETS.get(_NOT_NAMED.sub("", name.decode("latin-1").upper()), "") for name in said]
    if "iso2022_jp_ext" in known:
        return "iso2022_jp_ext"
    return "utf-8" if known[0] in {"", "utf-16", "utf-32"} else known[0]
