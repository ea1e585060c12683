"""What would settle an unknown criterion: the test or observation that narrows the RegiSCAR interval.

The numbers come from the rulebook in use, so that advice and score cannot disagree.
"""

from collections.abc import Callable, Mapping
from typing import Final

from pv_stream.codec.canonical import decimal_text
from pv_stream.rules import regiscar
from pv_stream.rules.rulebook import Count, Number, Parameters


def _text(number: Number | Count) -> str:
    return str(number.value) if isinstance(number, Count) else decimal_text(number.value)


_SETTLES: Final[Mapping[str, Callable[[Parameters], str]]] = {
    regiscar.FEVER.name: lambda p: (
        f"temperature readings of this episode: {_text(p.fever_score_celsius)} °C or more at any time means yes"
    ),
    regiscar.NODES.name: lambda p: (
        "examination of the lymph nodes, with the number of sites and the size: "
        f"{_text(p.lymph_node_sites_min)} sites or more, larger than {_text(p.lymph_node_size_cm)} cm"
    ),
    regiscar.EOSINOPHILS.name: lambda _: (
        "a blood count with absolute eosinophils, or percentage and leukocytes of one specimen"
    ),
    regiscar.ATYPICAL_LYMPHOCYTES.name: lambda _: "a blood smear: atypical lymphocytes seen or not seen",
    regiscar.RASH_EXTENT.name: lambda p: (
        "the extent of the rash in percent of body surface "
        f"(more than {_text(p.rash_extent_percent)} %; 'generalised' does not say it)"
    ),
    regiscar.RASH_SUGGESTIVE.name: lambda p: (
        "each of facial oedema, infiltration, purpura (not on the legs) and scaling, documented as present or absent; "
        f"{_text(p.rash_features_min)} present mean yes"
    ),
    regiscar.BIOPSY.name: lambda _: "a skin biopsy: does it suggest DRESS?",
    regiscar.ORGANS.name: lambda p: (
        f"ALT ({_text(p.alt_organ_u_per_l)} U/L or more counts), creatinine, and findings on liver, kidney, lung, "
        "muscle/heart and pancreas; and whether other causes were excluded"
    ),
    regiscar.RESOLUTION.name: lambda p: (
        f"a note {_text(p.resolution_days)} days or more after onset that signs are still there, "
        "or the day on which the reaction had resolved"
    ),
    regiscar.EXCLUSION_TESTS.name: lambda p: (
        f"{_text(p.exclusion_tests_min)} of ANA, blood culture, hepatitis A/B/C serology and Chlamydia/Mycoplasma "
        "negative, none positive"
    ),
}


def what_settles(item: str, parameters: Parameters) -> str:
    """Return the test or observation that would settle an item of the RegiSCAR table."""
    return _SETTLES[item](parameters)
