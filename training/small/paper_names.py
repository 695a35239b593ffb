"""Makes names such as papers, blogs and dashboards have: legends, categories and labels of axes.

    legend(4, random.Random(3))         four names of one legend
    categories(6, random.Random(3))     six names along an axis of bars
    label(random.Random(3))             what stands at an axis, with or without a unit

Names are put together from parts, so that there are far too many to be learned by heart, and often so that one holds
another ("A", "A + cache", "Run 1", "Run 10"): these are the ones that a small model mixes up. Nothing here knows what
is drawn.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence

from data.synthetic import words
from training.small import paper_words

_LONGEST = 60
"""Characters of a name. The prompt cuts names after 40 (`name_chars`), which a model has to meet now and then."""

Maker = Callable[[random.Random], str]


def legend(count: int, rng: random.Random) -> list[str]:
    """Names of one legend, no two alike."""
    make = rng.choices(list(_LEGENDS), weights=list(_LEGENDS.values()))[0]
    return _filled(make(count, rng), count, rng)


def categories(count: int, rng: random.Random) -> tuple[str, ...]:
    """Names along an axis of bars: a stretch of a series of ticks as often as names of things."""
    if rng.random() < 0.45:
        ticks = rng.choice(paper_words.CATEGORIES)
        first = rng.randrange(max(len(ticks) - count, 0) + 1)
        return ticks[first : first + count]
    form = rng.random()
    if form < 0.3:
        return tuple(_filled(_numbers(count, rng), count, rng))
    if form < 0.45:
        return tuple(_filled(_described(count, rng), count, rng))
    return tuple(legend(count, rng))


def label(rng: random.Random, is_along: bool = False) -> str:
    """The label of an axis with values. `is_along`: of the axis along which they are plotted."""
    form = rng.random()
    if form < 0.22:
        is_place = rng.random() < (0.7 if is_along else 0.15)
        found = rng.choice(paper_words.PLACES if is_place else paper_words.QUANTITIES)
        return found if is_along or found not in _OF_TIME else "Duration (s)"
    if form < 0.32:
        return rng.choice(paper_words.AXIS_SYMBOLS)
    if form < 0.35:
        return rng.choice(paper_words.FOREIGN_AXES)
    name = words.quantity(rng, "train") if form < 0.55 else _quantity(rng)
    # A bracket at the end is taken for a unit, so one that is none never stands there.
    has_unit = name.endswith(")") or rng.random() < 0.55
    return _with_unit(_cased(name, rng), rng) if has_unit else _cased(name, rng)


def label_beside_bars(rng: random.Random) -> str:
    """The label of an axis with categories."""
    if rng.random() < 0.7:
        return _cased(rng.choice(paper_words.BESIDE_BARS), rng) if rng.random() < 0.3 else rng.choice(_BESIDE)
    return _cased(words.quantity(rng, "train"), rng)


def labels_alike(rng: random.Random) -> tuple[str, str]:
    """Labels for x and y of which one begins as the other does."""
    name = _cased(_quantity(rng) if rng.random() < 0.5 else words.quantity(rng, "train"), rng)
    form = rng.choice(
        ("{} change", "{} error", "{} ratio", "Predicted {}", "Normalised {}", "Δ {}", "{} 2", "log10 {}")
    )
    pair = [name, form.format(name)]
    rng.shuffle(pair)
    return pair[0], pair[1]


def _quantity(rng: random.Random) -> str:
    name = rng.choice(paper_words.AXIS_WORDS)
    if rng.random() < 0.4:
        name = f"{rng.choice(paper_words.AXIS_MODIFIERS)} {name}"
    if rng.random() < 0.15:
        name = rng.choice(paper_words.AXIS_PATTERNS).format(name)
    return name


def _cased(name: str, rng: random.Random) -> str:
    form = rng.random()
    if form < 0.6:
        return name[0].upper() + name[1:]
    if form < 0.78:
        return name
    if form < 0.84:
        return name.upper()
    if form < 0.88:
        return name.replace(" ", "_").lower()
    return " ".join(word[0].upper() + word[1:] for word in name.split())


def _with_unit(name: str, rng: random.Random) -> str:
    unit = rng.choice(paper_words.UNITS) if rng.random() < 0.85 else words.unit(rng)
    forms = ("{} ({})", "{} [{}]", "{}({})", "{}, {}", "{} / {}", "{} in {}")
    form = rng.choices(forms[:3], (70, 25, 5))[0] if name.endswith(")") else rng.choices(forms, (60, 22, 4, 6, 4, 4))[0]
    return form.format(name, unit)


# Legends


def _filled(names: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """`count` of the names without those that are alike; where they are fewer, the rest is invented."""
    chosen: list[str] = []
    known: set[str] = set()
    rest = iter(names)
    while len(chosen) < count:
        name = next(rest, None) or words.names(rng, "train", 1)[0]
        key = "".join(name.split()).casefold()
        if key and key not in known and len(name) <= _LONGEST:
            chosen.append(name)
            known.add(key)
    return chosen


def _several(make: Maker, count: int, rng: random.Random) -> list[str]:
    """Some more than are wanted, since some may be alike."""
    return [make(rng) for _ in range(count * 2)]


def _of_row(rows: Sequence[Sequence[str]]) -> Callable[[int, random.Random], list[str]]:
    def made(count: int, rng: random.Random) -> list[str]:
        row = rng.choice(rows)
        taken = rng.sample(range(len(row)), min(count, len(row)))
        return [row[i] for i in (sorted(taken) if rng.random() < 0.5 else taken)]

    return made


def _of_words(count: int, rng: random.Random) -> list[str]:
    """Names of one list, sometimes of two."""
    names = rng.choice(_LISTS)
    if rng.random() < 0.15:
        names = (*rng.sample(names, min(count, len(names))), *rng.choice(_LISTS))
    chosen = rng.sample(names, min(count, len(names)))
    form = rng.random()
    if form < 0.25:
        return [name[0].upper() + name[1:] for name in chosen]
    return [name.upper() for name in chosen] if form < 0.3 else chosen


def _invented(count: int, rng: random.Random) -> list[str]:
    return words.names(rng, "train", count)


def _numbers(count: int, rng: random.Random) -> list[str]:
    """Numbers in order, as the values of a parameter that only the legend's title names."""
    form = rng.random()
    if form < 0.3:
        first, step = rng.choice((0, 1, 1, 2, 5, 10, 25, 100)), rng.choice((1, 1, 2, 3, 5, 10, 20, 25, 50, 100, 250))
        found = [str(first + i * step) for i in range(count)]
    elif form < 0.5:
        first, factor = rng.choice((1, 1, 2, 3, 4, 5, 8, 16)), rng.choice((2, 2, 4, 10))
        found = [str(first * factor**i) for i in range(count)]
    elif form < 0.62:
        whole, digits = rng.choice((0, 0, 0, 1, 3)), rng.choice((1, 2, 2, 3))
        found = [f"{whole + i / 10**digits:.{digits}f}" for i in sorted(rng.sample(range(1, 10**digits + 12), count))]
    elif form < 0.7:
        lowest, form_of = rng.randint(-8, -2), rng.choice(("1e{}", "1e{}", "10^{}", "5e{}", "1.0e{}"))
        found = [form_of.format(lowest + i) for i in range(count)]
    elif form < 0.78:
        step = rng.choice((5, 10, 20, 25))
        found = [f"{i * step}{' %' if form < 0.74 else '%'}" for i in range(1, count + 1)]
    elif form < 0.88:
        first, step = rng.randint(1950, 2015), rng.choice((1, 1, 1, 2, 5, 10))
        found = [str(first + i * step) for i in range(count)]
    else:
        found = [str(value) for value in sorted(rng.sample(range(1, rng.choice((30, 200, 2000))), count))]
    if rng.random() < 0.15:
        found.reverse()
    elif rng.random() < 0.1:
        rng.shuffle(found)
    return found


def _parameters(count: int, rng: random.Random) -> list[str]:
    """Values of a named parameter, or of two of which one changes with each name and the other seldom."""
    values = _numbers(count, rng)
    values = [value.rstrip(" %") for value in values]
    if rng.random() < 0.25:
        pattern = rng.choice(paper_words.TWO_PARAMETERS)
        other = [str(rng.choice((1, 2, 4, 10, 100))) for _ in values]
        return [pattern.format(*pair) for pair in zip(values, other, strict=True)]
    pattern = rng.choice(paper_words.PARAMETERS)
    return [pattern.format(value) for value in values]


def _kindred(count: int, rng: random.Random) -> list[str]:
    """Names that hold each other: a thing and the same with something to it, or numbers of which one begins another."""
    form = rng.random()
    if form < 0.3:
        stem = rng.choice(
            ("Run", "Site", "Model", "Group", "Exp.", "Test", "Node", "Cell", "Sample", "Patient", "T", "S", "v")
        )
        stem = words.invented_word(rng, "train").capitalize() if rng.random() < 0.3 else stem
        first = rng.choice((1, 1, 2, 3, 10))
        numbers = [first, first * 10, first * 10 + 1, first * 100, first + 1, first * 10 + 2, *range(20, 30)]
        gap = "" if len(stem) == 1 else rng.choice((" ", " ", "-", "_", "#"))
        return [f"{stem}{gap}{number}" for number in numbers[:count]]
    stems = [_stem(rng) for _ in range(1 if form < 0.65 else 2)]
    made = [stems[0]] if rng.random() < 0.85 else []
    while len(made) < count * 2:
        addition = rng.choice(paper_words.ADDITIONS)
        base = rng.choice(made) if made and rng.random() < 0.12 else rng.choice(stems)
        is_apart = addition[0] in "+(w" or addition[:2] in ("no", "II")
        made.append(f"{base}{' ' if is_apart and addition != '+' and addition != '++' else ''}{addition}")
    ahead, rest = made[:count], made[count:]
    if rng.random() < 0.5:
        rng.shuffle(ahead)
    return ahead + rest


def _stem(rng: random.Random) -> str:
    form = rng.random()
    if form < 0.45:
        return rng.choice(paper_words.METHODS)
    if form < 0.6:
        return rng.choice(string.ascii_uppercase)
    if form < 0.7:
        return _code(rng)
    word = words.invented_word(rng, "train")
    return rng.choice((word, word.capitalize(), word.upper()[:5], word.capitalize() + "Net", "i" + word.capitalize()))


def _models(count: int, rng: random.Random) -> list[str]:
    """Models and programs with sizes and versions, of one family or several."""
    families = [words.invented_word(rng, "train") for _ in range(rng.choice((1, 2, count)))]
    families = [
        rng.choice((f.capitalize(), f.upper()[:6], f.capitalize() + "Net", f + "-db", "lib" + f)) for f in families
    ]

    def one(rng: random.Random) -> str:
        family = rng.choice(families)
        form = rng.random()
        if form < 0.25:
            return f"{family} {rng.randint(1, 9)}.{rng.randint(0, 20)}" + (
                f".{rng.randint(0, 9)}" if form < 0.08 else ""
            )
        gap = rng.choice(("-", "-", " ", ""))
        return f"{family}{gap}{rng.choice(paper_words.SIZES)}{rng.choice(paper_words.TAILS)}"

    return _several(one, count, rng)


def _code(rng: random.Random) -> str:
    parts = [rng.choice(paper_words.CODE_PARTS) for _ in range(rng.choice((2, 2, 3)))]
    form = rng.random()
    if form < 0.45:
        return "_".join(parts)
    if form < 0.6:
        return ".".join(parts)
    if form < 0.75:
        return "::".join(parts[:2])
    if form < 0.85:
        return f"{parts[0]}: {' '.join(parts[1:])}"
    return "/".join(parts) if form < 0.93 else f"{parts[0]}({parts[1]})"


def _codes(count: int, rng: random.Random) -> list[str]:
    if rng.random() < 0.4:
        lead, gap = rng.choice(paper_words.CODE_PARTS), rng.choice((": ", "_", ".", "::"))
        return _several(lambda rng: f"{lead}{gap}{rng.choice(paper_words.CODE_PARTS)}", count, rng)
    return _several(_code, count, rng)


def _crossed(_count: int, rng: random.Random) -> list[str]:
    """Two factors crossed: `Male, treated`, `WT + heat`, `read (4 threads)`."""
    firsts = rng.sample(rng.choice(_LISTS), 3)
    seconds = rng.sample(paper_words.TREATMENTS if rng.random() < 0.6 else rng.choice(_LISTS), 4)
    if rng.random() < 0.25:
        seconds = _parameters(4, rng)
    form = rng.choice(
        ("{}, {}", "{} ({})", "{} - {}", "{}: {}", "{} / {}", "{} {}", "{} + {}", "{}|{}", "{} & {}", "{}; {}")
    )
    pairs = [form.format(first, second) for first in firsts for second in seconds]
    if rng.random() < 0.4:
        rng.shuffle(pairs)
    return pairs


def _described(count: int, rng: random.Random) -> list[str]:
    """Things with what they are in brackets, now and then an article before one: `A sort (3 MB, short keys)`."""
    names = rng.sample(rng.choice(_LISTS), count)
    notes = [rng.choice(paper_words.NOTES).format(rng.choice((1.2, 3, 8, 20, 45, 128, 310))) for _ in names]
    if rng.random() < 0.4:
        names[0] = rng.choice(("a ", "A ", "The ", "the ")) + names[0]
    form = rng.choice(("{} ({})", "{} ({})", "{}, {}", "{} [{}]"))
    return [form.format(name, note) for name, note in zip(names, notes, strict=True)]


def _labels_of_samples(count: int, rng: random.Random) -> list[str]:
    """Tickers, genes, drugs and numbers of samples: letters that mean nothing to a reader from elsewhere."""
    form = rng.random()
    capitals = string.ascii_uppercase
    if form < 0.25:
        return _several(lambda rng: "".join(rng.choices(capitals, k=rng.choice((2, 3, 3, 4)))), count, rng)
    if form < 0.5:
        stem = "".join(rng.choices(capitals, k=3))
        return _several(
            lambda rng: f"{stem if rng.random() < 0.5 else ''.join(rng.choices(capitals, k=3))}{rng.randint(1, 19)}",
            count,
            rng,
        )
    if form < 0.7:
        endings = ("mab", "nib", "ine", "stat", "olol", "pril", "cillin", "vir", "azole", "umab")
        return _several(lambda rng: words.invented_word(rng, "train").capitalize() + rng.choice(endings), count, rng)
    if form < 0.85:
        return _several(
            lambda rng: f"{rng.choice(capitals)}-{rng.randint(1, 400):03d}{rng.choice(('', '', 'b'))}", count, rng
        )
    return _several(lambda rng: f"{rng.choice('ABCDPS')}. {words.invented_word(rng, 'train')}", count, rng)


def _letters(count: int, rng: random.Random) -> list[str]:
    row = rng.choice((string.ascii_uppercase, string.ascii_lowercase, "αβγδεζηθλμνξπρστφχψω", "xyzuvwpqrst"))
    first = rng.randrange(max(len(row) - count, 0) + 1)
    found = list(row[first : first + count]) if rng.random() < 0.6 else rng.sample(row, min(count, len(row)))
    form = rng.random()
    if form < 0.25:
        letter = rng.choice("xykTnpqvwzαβσλ")
        return [f"{letter}{rng.choice(('_', '')) if i < 9 else '_'}{i}" for i in range(1, count + 1)]
    if form < 0.35:
        return [f"{letter}(t)" for letter in found]
    return [f"({letter})" for letter in found] if form < 0.4 else found


def _long(count: int, rng: random.Random) -> list[str]:
    def one(rng: random.Random) -> str:
        text = rng.choice(paper_words.LONG_PARTS)
        if rng.random() < 0.3:
            text += rng.choice((" (n = 12)", " [3]", " and others", " *", " (see text)"))
        return text[0].upper() + text[1:] if rng.random() < 0.6 else text

    return _several(one, count, rng)


_LISTS = (
    paper_words.METHODS, paper_words.COUNTRIES, paper_words.CITIES, paper_words.SPECIES, paper_words.INSTRUMENTS,
    paper_words.TREATMENTS, paper_words.TASKS, paper_words.COUNTRIES, paper_words.METHODS,
)  # fmt: skip
_LEGENDS: dict[Callable[[int, random.Random], list[str]], float] = {
    _of_row(paper_words.LEGENDS): 0.13,
    _of_words: 0.14,
    _invented: 0.12,
    _numbers: 0.14,
    _parameters: 0.11,
    _kindred: 0.23,
    _models: 0.06,
    _codes: 0.04,
    _crossed: 0.05,
    _labels_of_samples: 0.05,
    _letters: 0.04,
    _of_row(paper_words.FOREIGN): 0.025,
    _long: 0.025,
}
_OF_TIME = ("Date", "Year", "Month", "Week", "Hour of day", "Epoch", "Step", "Iteration")
_BESIDE = paper_words.BESIDE_BARS
