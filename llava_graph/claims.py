"""Parses an answer's claims about a chart's curves and bars, without deciding whether they are true.

    claims_in("Vodira falls from 52 to 27.", names) -> a trend of Vodira, with a first and a last value

Answers come from any model, so only what surely speaks of one series and one fact is a claim: a sentence becomes a
string of word classes, one character each, and claims are patterns over it. A word that this module does not know
stands in no pattern, so it ends a claim rather than being passed over: "the gap between A and B falls" claims nothing
of B. A sentence that denies, supposes or asks claims nothing; one about a part of a curve ("until 20") claims no trend.

Texts and names are untrusted: nothing here raises, and as every repetition in a pattern is bounded, the time is linear
in the answer's length. What a chart shows is known only as far as its names and units go.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from llava_graph.chart import Axis, Chart
from llava_graph.curves import Trend
from llava_graph.grounding import ground
from llava_graph.mentions import tokens_of
from llava_graph.numbers import Number, numbers_in
from llava_graph.ocr import Line

NameKind = Literal["series", "category", "x", "y"]
Role = Literal["first", "last", "maximum", "minimum", "level", "reached", "at", "bar", "crossing", "change"]
"""What a number is said to be. `level`: of a flat curve; `reached`: some value of the curve; `at`: the value at a
place; `change`: between first and last value."""


@dataclass(frozen=True, slots=True)
class Name:
    """One thing of a chart that has a name. A category is one of its panel's x axis; an axis has no series."""

    kind: NameKind
    panel: int
    series: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """A number with its role. `place` is where along x it is said to hold: a number or a category's text.

    `has_unit` says that it has the unit of the y axis, so that it can be no place.
    """

    number: Number
    role: Role
    place: Number | str | None = None
    has_unit: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement: `answer[start:end]` holds the words that make it.

    `subjects` has, for each thing spoken of, the names that it may stand for (in several panels one name can occur).
    `is_part` says that the statement holds for a part of the curve only, so that its trend is none of the whole.
    """

    kind: Literal["trend", "values", "extreme", "order", "crossing"]
    start: int
    end: int
    subjects: tuple[tuple[Name, ...], ...]
    trend: Trend | None = None
    values: tuple[Value, ...] = ()
    is_high: bool = True  # of `extreme` and `order`: highest or above, else lowest or below
    is_overall: bool = False
    is_part: bool = False
    is_all: bool = False  # "all curves", "both": `subjects` is empty
    is_strong: bool = False
    is_reached: bool = False  # of `extreme`: it is the highest value reached that is spoken of
    panel: int | None = None
    bars_of: tuple[Name, ...] = ()  # of bars: the series that they belong to, where it is named
    place: str | Number | None = None


@dataclass(slots=True)
class Parsed:
    """`trend_words` are the stretches that tell a direction and belong to no claim; `mentions` has each name where it
    stands; `sentences` has the bounds of each."""

    claims: list[Claim] = field(default_factory=list)
    trend_words: list[tuple[int, int]] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    sentences: list[tuple[int, int]] = field(default_factory=list)
    mentions: list[tuple[int, int, tuple[Name, ...]]] = field(default_factory=list)


# Word classes. A capital or a sign is a thing, a small letter a kind of word; U is a word that is not known.
_CLASSES = {
    "r": "rises rose risen rising increases increased increasing grows grew grown growing climbs climbed "
    "climbing ascends ascended ascending surges surged soars soared doubles doubled triples tripled "
    "quadruples",
    "l": "falls fell fallen falling decreases decreased decreasing declines declined declining drops "
    "dropped dropping descends descended descending shrinks shrank shrunk diminishes diminished "
    "plummets plummeted decays decayed sinks sank sunk dwindles dwindled halves halved",
    "i": "rise increase grow climb ascend soar surge double triple",
    "j": "fall decrease decline drop descend shrink diminish plummet decay sink",
    "I": "growth ascent",
    "J": "reduction descent",
    "D": "upward",
    "d": "downward",
    "G": "trend tendency trajectory course pattern",
    "F": "constant flat stable unchanged stationary",
    "p": "peaks peaked",
    "P": "peak maximum max",
    "q": "troughs dips dipped bottoms bottomed",
    "Q": "dip minimum min trough",
    "b": "is are was were be been being stays stayed remains remained stay remain keeps kept holds equals",
    "v": "shows exhibits displays has have had experiences undergoes follows presents demonstrates reveals "
    "showed exhibited displayed experienced underwent followed gives yields attains show exhibit "
    "display",
    "e": "reaches reached hits achieves reach reaching",
    "s": "starts begins started began starting beginning start begin",
    "z": "ends finishes ended finished ending finishing end finish",
    "y": "initial",
    "u": "final last",
    "w": "steadily gradually monotonically continuously consistently slowly quickly rapidly sharply "
    "steeply strongly dramatically substantially significantly considerably markedly clearly "
    "generally overall also thus therefore however meanwhile instead notably clear strong steady "
    "gradual sharp rapid marked slow substantial significant considerable slight slightly nearly "
    "almost fairly relatively roughly very quite rather largely essentially practically virtually "
    "linearly exponentially consistent smooth smoothly moderately moderate only just actually simply "
    "again further thereby continuous monotonic linear exponential dramatic notable noticeable "
    "noticeably evident pronounced uniformly evenly conversely likewise similarly accordingly "
    "consequently hence respectively approximately about around circa ca",
    "t": "the a an its this these their",
    "g": "curve line series trace bar bars curves lines point points data graph plot",
    "@": "value values level levels reading readings",
    "ς": "strain strains model method algorithm sample site species variant cohort treatment material country "
    "network system device specimen group condition",
    "ω": "which",
    "c": "blue red green orange purple black grey gray brown pink yellow cyan magenta dashed solid dotted "
    "thick thin dark light",
    "T": "to",
    "M": "from",
    "A": "at near",
    "B": "by",
    "o": "of",
    "f": "for in",
    "h": "with",
    "N": "zero",
    "k": "over across along during throughout time",
    "8": "everywhere always times",
    "9": "lies lie lay sits runs",
    "&": "and",
    "W": "while whereas but although though",
    "H": "that",
    "m": "highest largest greatest tallest biggest",
    "n": "lowest smallest shortest",
    "1": "higher larger greater taller bigger",
    "2": "lower smaller shorter",
    "3": "above",
    "4": "below beneath",
    "5": "exceeds surpasses",
    "6": "than",
    "7": "cross crosses crossed intersect intersects intersected",
    "a": "all both every each three four five two year step",
    "χ": "can",
    "σ": "see seen observe observed notice noticed",
    "κ": "more faster slower less",
    "π": "it",
    "ρ": "continues tends seems appears proceeds continued tended seemed appeared",
    "θ": "there",
    "τ": "belongs",
    "α": "as when",
    # These end what is known: a denial, a supposition, someone else's word, an exception.
    "!": "not never no neither nor hardly barely rarely without unlike if would could may might should "
    "cannot except besides apart excluding expected expect expects supposed suppose claims claim said says say asked "
    "claimed claiming wrong false incorrect untrue n't don't doesn't didn't isn't fails failed stops "
    "ceases hypothetically unless compared relative among amongst within incorrectly mistakenly "
    "unclear uncertain rather else imagine assume assuming predicted predicts forecast",
    # And these make it a part of a curve that is spoken of.
    "Z": "initially first then later after before until till early late eventually finally between beyond "
    "past up once again briefly temporarily occasionally mostly sometimes some partly partially "
    "locally around near subsequently afterwards afterward next previously towards toward beginning "
    "start half second momentarily followed following since low high small large short long",
}
_CLASS_OF = {word: symbol for symbol, words in _CLASSES.items() for word in words.split()}
# Words that the table gives two classes.
_CLASS_OF |= {"near": "A", "around": "A", "about": "w", "again": "Z", "rather": "w", "start": "s", "beginning": "s"}
_SIGNS = {
    ",": ",", ";": ";", ":": ":", "(": "(", ")": ")", "=": "=", "~": "w", "≈": "w", "*": "", '"': "", "'": "", "`": "",
    "_": "", "#": "", "%": "", "°": "", "–": ",", "—": ",", "-": ",", "•": "",
}  # fmt: skip

_STRONG_WORDS = """
    sharply steeply strongly dramatically substantially significantly considerably markedly rapidly
"""
_STRONG = frozenset(_STRONG_WORDS.split())

_UNITS = {
    "h": "h hr hrs hour hours",
    "s": "s sec second seconds",
    "min": "min mins minute minutes",
    "d": "d day days",
    "days": "d day days",
    "years": "yr yrs year years",
    "a": "yr yrs year years",
    "m": "m meter meters metre metres",
    "km": "km kilometer kilometers kilometre kilometres",
    "hz": "hz hertz",
    "db": "db decibel decibels",
    "kg": "kg kilogram kilograms",
    "g": "g gram grams",
    "°c": "°c c degree degrees celsius",
    "k": "k kelvin",
    "v": "v volt volts",
    "%": "% percent",
}

# The parts of patterns. Every repetition is bounded.
_NP = r"(?:[tcwa]{0,3}[g@YGyu]{0,2}o)?[tcwgςa]{0,4}"
_LIST = r"(?:(?:,&|,|&)[tcwgς]{0,3}S){0,5}"
_AFTER_NAME = r"[gc@Yς]{0,2}(?:\([^()!Z]{0,6}\))?"
# A subject begins a clause, but not within a list: in "the gap between A, B and C" none of the three is what falls.
_BOUND = r"(?:^|(?<=[W:;Hv])|(?<=^,)|(?<=[^SCO],)|(?<=[NVKFwrlGX8k),]&))"
_SUBJECT = rf"{_BOUND}(?P<subject>{_NP}S{_LIST}{_AFTER_NAME},?|f[tcg]{{0,3}}S{_AFTER_NAME},[tcw]{{0,3}}[Y@g]{{1,2}}"
_SUBJECT += r"|[tcw]{0,4}(?:π|Y@?|g|@)|(?:Y|@)?o?[tw]{0,2}a[ta]?[g@]|a(?=o)o[tag]{1,3})"
_NUM = r"[wAo:=]{0,3}"
_PLACE = r"(?:,?(?:[AfwBZα]{1,3}[tX=]{0,3}(?P<%s>[NKC])X?))?"


def _place(name: str) -> str:
    return _PLACE % name


_VERB = r"(?:,?ω|,w{1,2},)?,?w{0,3}(?:[bv]w{0,3})?(?:ρT)?(?P<verb>[rlij])"
_ALL_BARS = r"(?:^|(?<=^,))(?P<all>a)[ta]?g?bt?"
_OF_ALL = r"o(?:[tag]{1,3}|ta?U|aU)(?:$|[,;&wW])"


def _pattern(*parts: str) -> re.Pattern[str]:
    return re.compile("".join(parts))


_LISTED_AT = rf"(?P<subject>{_NP}S{_AFTER_NAME})[be]?{_NUM}(?P<level>[NV])"

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    # "A rises", "A shows an increase", "A: rises", "there is an increase in A", "A stays constant"
    ("trend", _pattern(_SUBJECT, _VERB)),
    ("trend", _pattern(_SUBJECT, r",?:?w{0,2}v[tw]{0,4}(?P<verb>[ijIJ]|[rlDd](?=w?G))")),
    ("trend", _pattern(_SUBJECT, r":w{0,2}(?P<verb>[rlij])")),
    ("trend", _pattern(r"θ[bv][tw]{0,4}(?P<verb>[ijIJ]|[rlDd](?=w?G))G?(?P<subject>[fo][tcg]{0,3}S)")),
    ("flat", _pattern(_SUBJECT, r",?w{0,3}(?:b(?P<verb>w{0,3}F)|(?P<idiom>φ))")),
    # "A starts at 1 and ends at 2", "the final value of A is 2"
    (
        "ends",
        _pattern(
            _SUBJECT,
            r",?w{0,2}s(?:[AMh]|w){0,3}(?P<first>[NV])",
            _place("p1"),
            r"(?:,?&?w?z[TA]?w{0,2}(?P<last>[NV])",
            _place("p2"),
            ")?",
        ),
    ),
    ("ends", _pattern(_SUBJECT, r",?w{0,2}z(?:[ATh]|w){0,3}(?P<last>[NV])", _place("p2"))),
    ("ends", _pattern(_BOUND, r"(?P<subject>t?y[@Y]o[tcg]{0,3}S)b", _NUM, r"(?P<first>[NV])")),
    ("ends", _pattern(_BOUND, r"(?P<subject>t?u[@Y]o[tcg]{0,3}S)b", _NUM, r"(?P<last>[NV])")),
    # "A peaks at 3 near 20", "A reaches a maximum of 3", "the highest value of A is 3"
    ("turn", _pattern(_SUBJECT, r",?w{0,2}(?P<verb>[pq])(?:", _NUM, r"(?P<level>[NV]))?", _place("at"))),
    (
        "turn",
        _pattern(
            _SUBJECT,
            r",?w{0,2}[ve][tw]{0,3}(?P<verb>[PQ])[Y@]{0,2}(?:[oA:=]w{0,2}(?P<level>[NV]))?",
            _place("at"),
        ),
    ),
    (
        "turn",
        _pattern(
            _BOUND,
            rf"t?(?P<verb>[PQmn])[@YG]{{0,2}}(?:o(?P<subject>[tcg]{{0,3}}S{_AFTER_NAME}|Y))?b",
            _NUM,
            r"(?P<level>[NV])",
            _place("at"),
        ),
    ),
    # "A reaches 3 at 20", "at 20 h, A is 3", "in 2015, A is 3", "A is 3 at 20"
    ("reached", _pattern(_SUBJECT, r",?w{0,2}e", _NUM, r"(?P<level>[NV])", _place("at"))),
    ("stay", _pattern(_SUBJECT, r",?w{0,2}(?P<verb>b)w{0,2}Aw{0,2}(?P<level>[NV])(?=$|[,;&k8w])")),
    ("at", _pattern(r"^A[tX=w]{0,3}(?P<at>[NK])X?,(?P<subject>t?[gY]@?)b", _NUM, r"(?P<level>[NV])")),
    ("at", _pattern(rf"^A[tX=w]{{0,3}}(?P<at>[NK])X?,(?P<subject>{_NP}S{_AFTER_NAME})b", _NUM, r"(?P<level>[NV])")),
    ("at", _pattern(rf"^f(?P<at>C),(?P<subject>{_NP}S{_AFTER_NAME})[be]", _NUM, r"(?P<level>[NV])")),
    ("at", _pattern(_SUBJECT, "[be]", _NUM, r"(?P<level>[NV])[Af][tX=w]{0,3}(?P<at>[NKC])X?")),
    # "At 20, A is 3, B 5 and C 4": the second to the fourth of such a list
    *(
        ("at", _pattern(rf"^(?:{where},)(?:{_NP}S[be]?{_NUM}[NV](?:,&|,|&)){{{count}}}", _LISTED_AT))
        for where in (r"A[tX=w]{0,3}(?P<at>[NK])X?", "f(?P<at>C)")
        for count in (1, 2, 3)
    ),
    # "A and B cross near 20"
    (
        "crossing",
        _pattern(
            _BOUND,
            r"[tcg@]{0,3}o?t?(?P<first>S)&[tcg]{0,3}(?P<second>S)[gc]{0,2}w{0,2}",
            r"(?P<verb>7)[Aw]{1,3}(?P<level>[NK])",
        ),
    ),
    # "A is the highest overall", "A has the highest values", "A is higher than B", "A exceeds B"
    (
        "top",
        _pattern(_SUBJECT, r",?w{0,2}[b9][w8]{0,2}t?(?P<verb>[mn])(?=$|[,;&8wWA]|[@Yg](?:$|[,;&8wAk])|", _OF_ALL, ")"),
    ),
    ("top", _pattern(_SUBJECT, r",?w{0,2}[ve]t?(?P<verb>[mn])[@YgPQ]{1,2}(?=$|[,;&8wWA]|", _OF_ALL, ")")),
    (
        "order",
        _pattern(_SUBJECT, r",?w{0,2}[b9]8?w?(?P<verb>16|3|26|4)8?[tcg]{0,3}(?P<second>S)(?=$|[,;&8W)]|[Aa]8)"),
    ),
    ("order", _pattern(_SUBJECT, r",?w{0,2}(?P<verb>5)[tcg]{0,3}(?P<second>S)(?=$|[,;&8W)]|[Aa]8|Aa8)")),
    (
        "order_at",
        _pattern(r"^f(?P<at>C),(?P<subject>[tcg]{0,3}S)b(?P<verb>16|26)[tcg]{0,3}(?P<second>S)(?=$|[,;])"),
    ),
    # "A rises from 1 to 2, B from 3 to 5": what the verb says of A, it says of B
    ("more", _pattern(r"(?:(?<=[NVKC],)|(?<=[NVKC]&)|(?<=[NVK],&)|(?<=:))(?P<subject>S)(?=w{0,2}[MTA]w{0,3}[NV])")),
    # "All three are highest at C and lowest at D"
    ("all_top", _pattern(rf"{_ALL_BARS}(?P<verb>[mn])[Af]t?(?P<bar>C)(?=$|[,;&W])")),
    ("all_top", _pattern(rf"{_ALL_BARS}[mn][Af]t?C,?&(?P<verb>[mn])[Af]t?(?P<bar>C)(?=$|[,;&W])")),
    # "The highest bar is C at 3", "C has the highest value", "C: 3", "C is higher than D"
    (
        "bar_top",
        _pattern(
            r"(?:^|(?<=[,&;:W]))(?:f(?P<of>[tcg]{0,2}S),)?t?(?P<verb>[mn])[gY@]{0,2}(?:b|τT)(?:Ho)?[tg]{0,2}(?P<bar>C)",
            rf"(?:[A,(]?{_NUM}(?P<level>[NV]))?(?=$|[,;:&WA()w])",
        ),
    ),
    (
        "bar_top",
        _pattern(
            _BOUND,
            rf"[tg]{{0,2}}(?P<bar>C)g?[bv]t?(?P<verb>[mn])[gY@]{{0,2}}(?:[A,]{_NUM}(?P<level>[NV]))?",
            r"(?=$|[,;&8wWA.]|",
            _OF_ALL,
            ")",
        ),
    ),
    (
        "bar",
        _pattern(
            _BOUND,
            r"(?:t?[@Yg]o)?[tg]{0,2}(?P<bar>C)[:(=]?(?:[be]w?)?",
            _NUM,
            r"(?P<level>[NV])(?=$|[,;&W)])",
        ),
    ),
    (
        "bar_order",
        _pattern(_BOUND, r"[tg]{0,2}(?P<bar>C)[bv][tw]?(?P<verb>[12])[Yg@]?6[tg]{0,2}(?P<second>C)(?=$|[,;&])"),
    ),
)
_FROM_TO = re.compile(
    rf"w{{0,3}}(?:G)?,?h?Mw{{0,3}}(?P<first>[NV]){_place('p1')}(?:,?w?Tw{{0,3}}(?P<last>[NV]){_place('p2')})?"
    r"(?!,?w?Tw{0,3}K)"
)
_TO = re.compile(rf"w{{0,3}}Tw{{0,3}}(?P<last>[NV]){_place('p2')}")
_BY = re.compile(r"w{0,3}Bw{0,3}(?P<change>[NVν])")
_LEVEL = re.compile(r"(?:[,A]|h@o|w){1,3}w{0,3}(?P<level>[NV])")
_AT_LEVEL = re.compile(rf"w{{0,2}}Aw{{0,3}}(?P<level>[NV]){_place('at')}")
_MAY_FOLLOW_A_TREND = re.compile(r"w{0,3}(?:$|[,;:.&WABhkao()8ZGαHκf34]|T[wt]{0,3}[NVνPQ]|M[wt]{0,3}[NVKCPQ])")
# What follows makes it a part: "in the last hours", "below 400 m", "near the end". Not "in the figure", "at all times".
_IS_A_PLACE = re.compile(r"w{0,3}(?!ft?[gY]|Aa8)[fA34h]|M[wt]{1,3}[PQ]")
_INDEPENDENT = re.compile(r"χb?σ|α[tw]{0,2}[Xk][rlij]w?|h[tw]{0,2}[rlij12]X|h[tw]{0,2}k|hX")
_PANEL = re.compile(
    r"\b(?:in |for )?(?:the )?(?:sub)?(?:panel \(?|(?:plot|figure|chart) \()([a-f])\b\)?[,:]?|(?<![\w)])\(([a-f])\)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(
    r"(?<![A-Za-z]\.[A-Za-z])(?<!\bca)(?<!\bcf)(?<!\bvs)(?<!\bFig)(?<!\bfig)(?<!\beq)(?<!approx)(?<!\bmax)(?<!(?<!\d\s)(?<!\bin\s)\bmin)[.!?]++[)\"'”’*_]{0,3}(?=\s|$)|\n"
)
_PHRASE = re.compile(
    r"\b(?:(?:by|in) (?:contrast|comparison|general|fact|particular|turn)|on (?:the other hand|the contrary|average)"
    r"|(?:as|than) expected|contrary to expectations?|at the same time|of course|over time|with time|from left to right"
    r"|as shown|as well)\b",
    re.IGNORECASE,
)
"""Phrases that say nothing of a curve; each stands for one adverb."""
_VERB_PHRASES = {
    "e": re.compile(
        r"\b(?:go(?:es)?|going|went|gone|pass(?:es|ed|ing)?|runs?|ran) through\b(?= (?:an? |its |the )?[a-z])", re.I
    ),
    "φ": re.compile(
        r"\b(?:(?:hardly|barely|scarcely) (?:changes?|changed|varies|varied|vary|moves?|moved)"
        r"|(?:does not|doesn't|did not|do not) (?:really |noticeably |visibly )?(?:change|vary)"
        r"|(?:changes|varies) little)\b"
        r"(?! (?:from|after|before|until|between|in)\b)",
        re.I,
    ),
}
"""Verbs of several words, by the class that the whole has: of "hardly changes" no word denies anything."""

_LONGEST_SENTENCE = 600
"""Word classes of a sentence that are looked at; a longer run without an end is no sentence but a list or noise."""


def names_of(chart: Chart) -> list[Name]:
    """The names of a chart's series, categories and axes."""
    names = []
    for p, panel in enumerate(chart.panels):
        for s, series in enumerate(panel.series):
            if series.name:
                names.append(Name("series", p, s, series.name))
        names += [Name("category", p, None, str(category)) for category in _categories(panel.x, panel.series)]
        for kind, axis in (("x", panel.x), ("y", panel.y)):
            if axis.label:
                names.append(Name(kind, p, None, axis.label))  # type: ignore[arg-type]  # the two axes' kinds
    return names


def _categories(axis: Axis, series: Sequence[object]) -> list[str]:
    found = dict.fromkeys(axis.categories)
    for one in series:
        for point in one.points:  # type: ignore[attr-defined]
            if isinstance(point.x, str):
                found.setdefault(point.x)
    return list(found)


def claims_in(answer: str, chart: Chart, lines: Sequence[Line] = ()) -> Parsed:
    """What the answer claims of the chart. A longer name in `lines`, the figure's texts, is none of the chart's."""
    return _Reader(answer, chart, lines).parsed


@dataclass(frozen=True, slots=True)
class _Item:
    symbol: str
    start: int
    end: int
    names: tuple[Name, ...] = ()
    number: Number | None = None
    word: str = ""


_BEFORE_A_NAME = re.compile(
    r"(?:^|[.!?:;,(]\s+|\b(?:while|whereas|but|for|overall|series|curve|line)\s+"
    r"|(?<!between \d)(?<!between \d\d)(?<!between \d\d\d)(?<!between \d\d\d\d)\s+and\s+"
    r"|\b(?:values?|ends?|course|trend|points)\s+of\s+)$",
    re.I,
)
"""What stands before a name that is made of digits; between "value of" and "is" it may be a value, but hardly is."""
_BEHIND_A_ROW = re.compile(r",\s+the\s+(?:highest|lowest|largest|smallest|tallest|shortest)\b", re.I)
_CROSSES = re.compile(r"\s+and\s+[^.!?;]{1,60}?\s(?:cross|crosses|intersect|meet)\b")
_ANOTHER_NUMBER = re.compile(r"(?:(?:,?\s+and|,)\s+\d[\d.]{0,11}%?){1,6}(?=\s)")
_AND_ITS_NUMBERS = re.compile(r"\s+(?:from|to|at)\s+(?:about|around|roughly|approximately)\s")
_WORD = re.compile(r"\s+([^\W\d_]+)")
_VERBS_OF_A_NAME = frozenset("rlijpqbvesz579")

_DATE = re.compile(
    r"(?<![\w.-])(\d{4})-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01])(?: ([01]\d|2[0-3]):([0-5]\d))?)?(?![\w-])"
)
_EPOCH = datetime.datetime(1970, 1, 1)


def _dates(text: str) -> Iterator[Number]:
    """Dates as the prompt writes them: a month, a day, or a minute. A month may be any day of it."""
    for found in _DATE.finditer(text):
        year, month, day, hour, minute = found.groups()
        try:
            when = datetime.datetime(int(year), int(month), int(day or 15), int(hour or 0), int(minute or 0))
        except ValueError:  # the 30th of February
            continue
        days = (when - _EPOCH) / datetime.timedelta(days=1)
        half_step = 15.5 if day is None else 0.5 if hour is None else 0.5 / 1440
        yield Number(found.start(), found.end(), days if day is None or hour else days + 0.5, half_step, is_date=True)


_OF_ANOTHER_KIND = frozenset("Uςg8oSCPQG")
"""Classes of words that make something else than a value of the axis of the number before them."""

_NO_PANEL = -1

_ROLES_OF_VERBS: Mapping[str, Role] = {
    "p": "maximum",
    "Pe": "maximum",
    "q": "minimum",
    "Qe": "minimum",
    "s": "first",
    "z": "last",
    "Fb": "level",
    "bm": "maximum",
    "bn": "minimum",
}
"""What a number is of a curve by the classes of the verb and what belongs to it: of "is the highest" b and m."""
_STAYS = frozenset(["stays", "stayed", "stay", "remains", "remained", "remain"])
_EVERYWHERE = frozenset(["overall", "everywhere", "always", "throughout"])
_OWN_ROLES: Mapping[str, Role] = {"first": "first", "last": "last", "level": "level", "change": "change"}
_PLACES = {"first": "p1", "last": "p2", "level": "at", "change": "at"}
"""Which group of a pattern holds the place that belongs to the number of another."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A pattern that matched a clause. `items` are those of the clause, so that places in both are the same."""

    kind: str
    match: re.Match[str]
    clause: str
    items: list[_Item]
    panel: int | None
    is_part: bool
    is_about_other: bool  # this sentence or the one before names something that is in the figure but not in the chart

    @property
    def verb(self) -> str:
        return self.match.groupdict().get("verb") or ""

    @property
    def verb_span(self) -> tuple[int, int] | None:
        """Where the verb stands in the clause, of one word or of several."""
        return self.span_of("verb") or self.span_of("idiom")

    def span_of(self, group: str) -> tuple[int, int] | None:
        return self.match.span(group) if self.match.groupdict().get(group) else None

    def names(self, group: str) -> tuple[Name, ...]:
        return _in_panel(self.items[self.match.start(group)].names, self.panel)

    def series_in(self, group: str) -> tuple[Name, ...]:
        """The first series named within a group."""
        span = self.span_of(group)
        inside = self.items[slice(*span)] if span else []
        return next((_in_panel(item.names, self.panel) for item in inside if item.symbol == "S"), ())

    @property
    def names_others(self) -> bool:
        """Whether bars are spoken of that may be those of a series which was not read: "for B, the highest is C"."""
        before = self.clause[: self.match.start("bar")]
        return not self.only_series and (self.is_about_other or re.search("f[tcgw]{0,3}[USO]", before) is not None)

    @property
    def only_series(self) -> tuple[Name, ...]:
        """The series of the clause, if it names one alone."""
        named = {item.names for item in self.items if item.symbol == "S"}
        return _in_panel(named.pop(), self.panel) if len(named) == 1 else ()

    def values(
        self, roles: Mapping[str, Role], tail: re.Match[str] | None = None, place: str | None = None
    ) -> tuple[Value, ...]:
        """The numbers of the match, or of a `tail` that begins where it ends, each with its role and its place."""
        match, offset = (self.match, 0) if tail is None else (tail, self.match.end())
        groups = match.groupdict()
        values = []
        for group, role in roles.items():
            number = self.items[match.start(group) + offset].number if groups.get(group) else None
            if number is not None:
                past = match.start(group) + offset + 1
                if past < len(self.items) and self.items[past].symbol in _OF_ANOTHER_KIND:
                    number = replace(number, is_vague=True)  # "20 generations", "60 % of its maximum"
                at: Number | str | None = place
                if at is None and groups.get(_PLACES[group]):
                    item = self.items[match.start(_PLACES[group]) + offset]
                    at = item.number or (item.names[0].text if item.names else None)
                has_unit = self.items[past - 1].symbol == "V"
                values.append(Value(number, role, at, has_unit))
        return tuple(values)


def _letter(found: re.Match[str]) -> int:
    """The index of the panel that a letter names."""
    return ord((found[1] or found[2]).lower()) - ord("a")


def _in_panel(names: tuple[Name, ...], panel: int | None) -> tuple[Name, ...]:
    """What a name may stand for within a panel: nothing where only other panels have it, as one may not be read."""
    return tuple(name for name in names if panel is None or name.panel == panel)


class _Reader:
    """Reads one answer."""

    def __init__(self, answer: str, chart: Chart, lines: Sequence[Line]) -> None:
        self._answer = answer
        self._chart = chart
        self._alone = [p for p, panel in enumerate(chart.panels) if len(panel.series) == 1]
        self._is_single = sum(len(panel.series) for panel in chart.panels) == 1
        self.parsed = Parsed(numbers=self._numbers())
        self._place_names(lines)
        items = self._items()
        groups = list(self._sentences(items))
        texts = ["".join(item.symbol for item in group) for group, _, _ in groups]
        letters = [_letter(found) for found in _PANEL.finditer(answer)]
        has_all_panels = max(letters, default=0) < len(chart.panels)
        panel: int | None = None
        for index, (group, start, end) in enumerate(groups):
            self.parsed.sentences.append((start, end))
            if found := _PANEL.search(answer, start, end):
                # Which of the panels were read is not known where the answer speaks of more than were.
                panel = _letter(found) if has_all_panels else _NO_PANEL
            if len(group) > _LONGEST_SENTENCE:
                continue
            is_asked = answer[start:end].rstrip().endswith("?")
            follows = texts[index + 1][:3] if index + 1 < len(texts) else ""
            goes_on = bool(re.match(r",?w?,?(?:Z|π)", follows)) and bool(re.search("[rlij]", texts[index + 1]))
            is_about_other = panel == _NO_PANEL or "O" in texts[index] or (index > 0 and "O" in texts[index - 1])
            self._sentence(group, texts[index], panel, is_asked, goes_on, is_about_other)

    def _numbers(self) -> list[Number]:
        """The numbers of the answer; where an axis has dates, also dates, in days since 1970."""
        numbers = numbers_in(self._answer)
        if not any(axis.scale == "date" for panel in self._chart.panels for axis in (panel.x, panel.y)):
            return numbers
        dates = list(_dates(self._answer))
        others = [n for n in numbers if not any(date.start < n.end and n.start < date.end for date in dates)]
        return sorted([*dates, *others], key=lambda number: number.start)

    def _place_names(self, lines: Sequence[Line]) -> None:
        """Finds names where they stand; texts of the figure that are no names of the chart take their room, too."""
        named: dict[str, list[Name]] = {}
        for name in names_of(self._chart):
            named.setdefault(name.text.casefold(), []).append(name)
        groups = list(named.values())
        texts = [Line(group[0].text, (0, 0, 1, 1), 1.0) for group in groups]
        others = [Line(line.text, (0, 0, 1, 1), 0.0) for line in lines if line.text.casefold() not in named]
        letters = [found.span() for found in _PANEL.finditer(self._answer)]
        for link in ground(self._answer, [*texts, *others]):
            names = tuple(groups[link.line]) if link.line < len(groups) else ()
            if not names and any(start <= link.start and link.end <= end for start, end in letters):
                continue  # "(b)" stands in figures beside a panel, and is nothing else that is spoken of
            is_number = bool(names) and not any(char.isalpha() for char in names[0].text)
            if is_number and not self._is_spoken_of(link.start, link.end):
                names = tuple(name for name in names if name.kind != "series")
            if names or any(char.isalpha() for char in self._answer[link.start : link.end]):
                self.parsed.mentions.append((link.start, link.end, names))

    def _is_spoken_of(self, start: int, end: int) -> bool:
        """Whether a number stands where only a name can: "20 rises", "for 20, the highest bar"; not "rises to 20"."""
        answer = self._answer
        if not _BEFORE_A_NAME.search(answer, max(start - 24, 0), start):
            return False
        if _BEHIND_A_ROW.match(answer, end) or _CROSSES.match(answer, end):
            return True
        if _AND_ITS_NUMBERS.match(answer, end):  # "10 rises from about 1 to about 3, 20 from about 2 to about 5"
            return True
        rest = _ANOTHER_NUMBER.match(answer, end)  # "10 and 20 cross"
        verb = _WORD.match(answer, rest.end() if rest else end)
        return verb is not None and _CLASS_OF.get(verb[1].casefold(), "U") in _VERBS_OF_A_NAME

    def _items(self) -> list[_Item]:
        """The answer in items: names, numbers (with their unit) and words, each with its class."""
        answer = self._answer
        taken: dict[int, _Item] = {}
        covered = bytearray(len(answer))
        for start, end, names in self.parsed.mentions:
            kinds = {name.kind for name in names}
            symbol = {"series": "S", "category": "C", "x": "X", "y": "Y"}[kinds.pop()] if len(kinds) == 1 else "O"
            taken[start] = _Item(symbol, start, end, names)
            covered[start:end] = b"\x01" * (end - start)
        free = []
        for number in self.parsed.numbers:
            if any(covered[number.start : number.end]):
                continue
            free.append(number)
            symbol, end = ("K", number.end) if number.is_date else self._unit(number)
            taken[number.start] = _Item(symbol, number.start, end, number=number)
            covered[number.start : end] = b"\x01" * (end - number.start)
        self.parsed.numbers = free
        for found in _PANEL.finditer(answer):
            if not any(covered[found.start() : found.end()]):
                covered[found.start() : found.end()] = b"\x01" * (found.end() - found.start())
        for symbol, pattern in (("w", _PHRASE), *_VERB_PHRASES.items()):
            for phrase in pattern.finditer(answer):
                if not any(covered[phrase.start() : phrase.end()]):
                    taken[phrase.start()] = _Item(symbol, phrase.start(), phrase.end())
                    covered[phrase.start() : phrase.end()] = b"\x01" * (phrase.end() - phrase.start())
        items = list(taken.values())
        for token in tokens_of(answer):
            if not any(covered[token.start : token.end]):
                items += self._word(token.start, token.end)
        return sorted(items, key=lambda item: item.start)

    def _word(self, start: int, end: int) -> Iterator[_Item]:
        word = self._answer[start:end].casefold()
        if len(word) == 1 and not word.isalnum():
            symbol = _SIGNS.get(word, "." if word in ".!?" else "U")
        elif word == "s" and self._answer[max(start - 1, 0) : start] in ("'", "’"):
            symbol = ""
        else:
            symbol = _CLASS_OF.get(word, "U")
            if word == "t" and self._answer[max(start - 1, 0) : start] in ("'", "’"):
                symbol = "!"  # the rest of "doesn't"
        if symbol:
            yield _Item(symbol, start, end, word=word)

    def _unit(self, number: Number) -> tuple[str, int]:
        """The class and end of a number: K with the unit of the x axis, V of the y axis, N without, ν for a share."""
        rest = self._answer[number.end : number.end + 24]
        after = rest.lstrip(" \u00a0")
        skipped = len(rest) - len(after)
        found: dict[str, int] = {}
        for panel in self._chart.panels:
            for symbol, axis in (("K", panel.x), ("V", panel.y)):
                for unit in _spellings(axis):
                    free = after[len(unit) : len(unit) + 1]
                    is_free = not free.isalnum() and free not in ("/", "^") if unit else False
                    if after[: len(unit)].casefold() == unit and is_free:
                        found[symbol] = max(found.get(symbol, 0), len(unit))
        if number.percent:
            is_y, is_x = (
                any("%" in _spellings(axis) for axis in axes)
                for axes in ([panel.y for panel in self._chart.panels], [panel.x for panel in self._chart.panels])
            )
            return ("N" if is_x and is_y else "V" if is_y else "K" if is_x else "ν"), number.end
        if not found:
            return "N", number.end
        longest = max(found.values())
        symbols = [symbol for symbol, length in found.items() if length == longest]
        return (symbols[0] if len(symbols) == 1 else "N"), number.end + skipped + longest

    def _sentences(self, items: list[_Item]) -> Iterator[tuple[list[_Item], int, int]]:
        """Items by sentence, with the sentence's bounds; a stop within a name or a number ends none."""
        bounds = []
        place = 0
        inside = bytearray(len(self._answer) + 1)
        for item in items:
            if item.symbol in "SCXYONKV":
                inside[item.start : item.end] = b"\x01" * (item.end - item.start)
        for match in _SENTENCE_END.finditer(self._answer):
            if not inside[match.start()]:
                bounds.append((place, match.end()))
                place = match.end()
        bounds.append((place, len(self._answer)))
        i = 0
        for start, end in bounds:
            group = []
            while i < len(items) and items[i].start < end:
                if items[i].symbol != ".":
                    group.append(items[i])
                i += 1
            if group:
                yield group, start, end

    def _sentence(
        self, items: list[_Item], text: str, panel: int | None, is_asked: bool, goes_on: bool, is_about_other: bool
    ) -> None:
        if len(items) > 2 and items[0].symbol in "NK" and re.match(r"[NK][,)]", text):
            items, text = items[2:], text[2:]  # the number of an item in a list
        if len(items) > 2 and items[0].word in ("yes", "no") and text[1] in ",:":
            items, text = items[2:], text[2:]  # "No, A rises" denies the question, not the statement
        text = _INDEPENDENT.sub(lambda match: "k" * len(match[0]), text)
        used = bytearray(len(items))
        for clause, first, past in _clauses(text):
            denied = is_asked or bool(re.search("[!χ]", clause if "W" in text else text))
            is_part = goes_on or bool(re.search("[Zα]", clause))
            if not denied:
                found = [
                    (match.start(), kind, match) for kind, pattern in _PATTERNS for match in pattern.finditer(clause)
                ]
                for _, kind, match in sorted(found, key=lambda hit: hit[0]):
                    self._claim(
                        _Found(kind, match, clause, items[first:past], panel, is_part, is_about_other), used, first
                    )
        is_about_data = "S" in text or (self._panel_of_one(panel) is not None and re.search("[Yπg]", text) is not None)
        for index, (item, symbol) in enumerate(zip(items, text, strict=True)):
            if not used[index] and symbol in "rlijF" and is_about_data:
                self.parsed.trend_words.append((item.start, item.end))

    def _claim(self, found: _Found, used: bytearray, offset: int) -> None:
        """Adds the claim that a pattern found, unless its verb belongs to another or it speaks of no series."""
        verb = found.verb_span
        if verb and used[offset + verb[0]]:
            return
        subjects, is_all = self._subjects(found)
        if found.kind in _ABOUT_SERIES and not subjects and not is_all:
            return
        first, past = verb or found.match.span()
        start, end = found.items[first].start, found.items[past - 1].end
        blank = Claim("values", start, end, subjects, is_all=is_all, panel=found.panel, is_part=found.is_part)
        claim = _MAKERS[found.kind](self, blank, found)
        # "In panel (a), C is the highest" of a C that only another panel has speaks of no series of that panel.
        if claim is None or not all(claim.subjects):
            return
        if verb:
            used[offset + verb[0] : offset + verb[1]] = b"\x01" * (verb[1] - verb[0])
        self.parsed.claims.append(claim)

    def _trend(self, blank: Claim, found: _Found) -> Claim | None:
        rest = found.clause[found.match.end() :]
        if found.kind == "trend" and not _MAY_FOLLOW_A_TREND.match(rest):
            return None
        trend: Trend = "flat" if found.kind == "flat" else "rises" if found.verb in "riID" else "falls"
        tails = (_LEVEL,) if found.kind == "flat" else (_FROM_TO, _TO, _BY)
        tail = next((match for pattern in tails if (match := pattern.match(rest))), None)
        values = found.values(_OWN_ROLES, tail) if tail else ()
        # A second movement of the same curve makes this one a part of its course.
        other, next_series = re.search("[rlijpqFPQ]", rest), rest.find("S")
        goes_on = other is not None and not 0 <= next_series < other.start()
        verb_at = found.verb_span[0] if found.verb_span else 0
        is_strong = any(item.word in _STRONG for item in found.items[max(verb_at - 2, 0) : found.match.end() + 2])
        is_begun = tail is not None and tail.re is _FROM_TO and not tail["last"]  # "from 21 at the surface to 4"
        is_placed = not is_begun and _IS_A_PLACE.match(rest[tail.end() :] if tail else rest) is not None
        # "From 40 on, A rises", "in 2018, A rises"
        is_placed = (
            is_placed or re.search("[MNKCszyu]", found.clause[: found.match.start()].rpartition("&")[2]) is not None
        )
        is_part = blank.is_part or goes_on or is_placed or "Z" in found.clause[:verb_at]
        return replace(blank, kind="trend", trend=trend, values=values, is_part=is_part, is_strong=is_strong)

    def _more(self, blank: Claim, found: _Found) -> Claim | None:
        """Of "B from 3 to 5" behind "A rises from 1 to 2": the same verb. Numbers that go the other way deny it."""
        verbs = set(re.sub("[^rlijpqszFPQbvemn7]", "", found.clause[: found.match.start()]))
        rest = found.clause[found.match.end() :]
        if verbs and (verbs <= set("ri") or verbs <= set("lj")):
            tail = _FROM_TO.match(rest) or _TO.match(rest)
            values = found.values(_OWN_ROLES, tail) if tail else ()
            rises = verbs <= set("ri")
            if not values or (len(values) == 2 and (values[0].number.value < values[1].number.value) != rises):
                return None
            return replace(blank, kind="trend", trend="rises" if rises else "falls", values=values)
        role, tail = _ROLES_OF_VERBS.get("".join(sorted(verbs))), _AT_LEVEL.match(rest)
        if role is None or tail is None or not re.match("$|[,;&]", rest[tail.end() :]):
            return None
        shapes: dict[str, Trend] = {"p": "peaks", "Pe": "peaks", "q": "dips", "Qe": "dips", "Fb": "flat"}
        shape = shapes.get("".join(sorted(verbs)))
        return replace(blank, trend=shape, values=found.values({"level": role}, tail), is_part=False)

    def _all_top(self, blank: Claim, found: _Found) -> Claim | None:
        bar, word = found.names("bar"), found.items[found.match.start("all")].word
        if word not in ("all", "both") or not bar:
            return None
        return replace(blank, kind="extreme", subjects=(bar,), is_high=found.verb == "m", is_all=True)

    def _ends(self, blank: Claim, found: _Found) -> Claim:
        return replace(blank, values=found.values({"first": "first", "last": "last"}), is_part=False)

    def _turn(self, blank: Claim, found: _Found) -> Claim:
        role: Role = "maximum" if found.verb in "pPm" else "minimum"
        shape: Trend | None = None if found.verb in "mn" else "peaks" if role == "maximum" else "dips"
        return replace(blank, trend=shape, values=found.values({"level": role}), is_part=False)

    def _stay(self, blank: Claim, found: _Found) -> Claim | None:
        if found.items[found.match.start("verb")].word not in _STAYS or blank.is_part:
            return None
        return replace(blank, kind="trend", trend="flat", values=found.values({"level": "level"}))

    def _reached(self, blank: Claim, found: _Found) -> Claim:
        return replace(blank, values=found.values({"level": "reached"}))

    def _at(self, blank: Claim, found: _Found) -> Claim:
        return replace(blank, values=found.values({"level": "at"}))

    def _crossing(self, blank: Claim, found: _Found) -> Claim:
        pair = (found.names("first"), found.names("second"))
        return replace(blank, kind="crossing", subjects=pair, values=found.values({"level": "crossing"}))

    def _top(self, blank: Claim, found: _Found) -> Claim:
        is_overall = any(item.word in _EVERYWHERE for item in found.items)
        is_reached = any(symbol in "eP" for symbol in found.match[0])
        is_high = found.verb == "m"
        is_part = blank.is_part or re.match("w{0,2}(?!Aa8)[Af]", found.clause[found.match.end() :]) is not None
        return replace(
            blank, kind="extreme", is_part=is_part, is_high=is_high, is_overall=is_overall, is_reached=is_reached
        )

    def _order(self, blank: Claim, found: _Found) -> Claim | None:
        at = found.names("at") if found.kind == "order_at" else ()
        if found.kind == "order_at" and not at:
            return None
        place = at[0].text if at else None
        pair = (*blank.subjects, found.names("second"))
        return replace(blank, kind="order", subjects=pair, is_high=found.verb in ("16", "3", "5"), place=place)

    def _bar_top(self, blank: Claim, found: _Found) -> Claim | None:
        bar = found.names("bar")
        if found.names_others or not bar:
            return None
        values = found.values({"level": "bar"}, place=bar[0].text)
        is_high, of = found.verb == "m", found.series_in("of") or found.only_series
        return replace(blank, kind="extreme", subjects=(bar,), values=values, is_high=is_high, bars_of=of)

    def _bar(self, blank: Claim, found: _Found) -> Claim | None:
        bar = found.names("bar")
        if found.names_others or not bar:
            return None
        values = found.values({"level": "bar"}, place=bar[0].text)
        return replace(blank, subjects=(bar,), values=values, bars_of=found.only_series)

    def _bar_order(self, blank: Claim, found: _Found) -> Claim | None:
        if found.names_others:
            return None
        pair = (found.names("bar"), found.names("second"))
        is_high, of = found.verb == "1", found.only_series
        return replace(blank, kind="order", subjects=pair, is_high=is_high, bars_of=of)

    def _subjects(self, found: _Found) -> tuple[tuple[tuple[Name, ...], ...], bool]:
        """The series that a claim speaks of, and whether it speaks of all of them."""
        span = found.span_of("subject")
        inside = found.items[slice(*span)] if span else []
        named = tuple(_in_panel(item.names, found.panel) for item in inside if item.symbol == "S")
        if named:
            return named, False
        if any(item.symbol == "a" for item in inside):
            return (), True
        panel = self._panel_of_one(found.panel)
        if panel is None and found.panel is None:
            panel = self._panel_of_label([name for item in inside if item.symbol == "Y" for name in item.names])
        # Who names the label of the y axis goes by no sentence before.
        names_axis = any(item.symbol == "Y" for item in inside) and found.panel != _NO_PANEL
        is_about_other = any(item.symbol == "O" for item in found.items) if names_axis else found.is_about_other
        if panel is None or is_about_other:
            return (), False
        if any(item.symbol == "Y" and all(name.panel != panel for name in item.names) for item in inside):
            return (), False
        return ((Name("series", panel, 0, self._chart.panels[panel].series[0].name or ""),),), False

    def _panel_of_label(self, labels: Sequence[Name]) -> int | None:
        """The panel with one series whose y axis alone has this label."""
        panels = {name.panel for name in labels}
        return next(iter(panels)) if len(panels) == 1 and panels <= set(self._alone) else None

    def _panel_of_one(self, spoken_of: int | None) -> int | None:
        """The panel whose only series "the curve" is: the one spoken of, or the only one that has a series."""
        if spoken_of is None:
            return self._alone[0] if self._is_single else None
        return spoken_of if spoken_of in self._alone else None


_MAKERS: Mapping[str, Callable[[_Reader, Claim, _Found], Claim | None]] = {
    "trend": _Reader._trend,
    "flat": _Reader._trend,
    "ends": _Reader._ends,
    "turn": _Reader._turn,
    "stay": _Reader._stay,
    "reached": _Reader._reached,
    "at": _Reader._at,
    "crossing": _Reader._crossing,
    "top": _Reader._top,
    "order": _Reader._order,
    "order_at": _Reader._order,
    "more": _Reader._more,
    "all_top": _Reader._all_top,
    "bar_top": _Reader._bar_top,
    "bar": _Reader._bar,
    "bar_order": _Reader._bar_order,
}
_ABOUT_SERIES = _MAKERS.keys() - {"crossing", "all_top", "bar_top", "bar", "bar_order"}


def _clauses(text: str) -> Iterator[tuple[str, int, int]]:
    """Stretches of a sentence between "while", "but" and semicolons."""
    place = 0
    for match in re.finditer("[W;]|$", text):
        if match.start() > place:
            yield text[place : match.start()], place, match.start()
        place = match.end()


def _spellings(axis: Axis) -> tuple[str, ...]:
    unit = axis.unit
    if not unit and axis.label and (found := re.search(r"[(\[]([^()\[\]]{1,12})[)\]]\s*$", axis.label)):
        unit = found[1]
    if not unit:
        return ()
    folded = unit.strip().casefold()[:20]
    return (folded, *_UNITS.get(folded, "").split())
