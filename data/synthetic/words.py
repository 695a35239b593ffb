"""Names for axes, series and categories, drawn from a vocabulary too large to memorise.

A model that reads must copy names from the OCR lines and the caption; one that knows a few hundred names by heart looks
right on its training data and invents on everything else. So most names are invented syllable by syllable, and each
word belongs, by a checksum of its letters, to exactly one split: what is held out was never seen. Only units, years and
parameters ("alpha = 3") occur in both. Nothing here knows where a name will stand.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import Literal

Split = Literal["train", "heldout"]


def _table(text: str) -> tuple[str, ...]:
    """The words of a table written as running text, which reads better than a list of quoted words."""
    return tuple(text.split())


_ONSETS = _table("""
b c d f g h j k l m n p q r s t v w x z
bl br ch cl cr dr fl fr gl gr kl kr ph pl pr qu sh sk sl sm sn sp st str th tr tw vr wr zh
""")
_VOWELS = _table("a e i o u a e i o u a e o ai au ea ei ia io oa oo ou y ae")
_CODAS = _table("b ck d f g k l lk lm ln lt m mp n nd nk ns nt p r rd rk rm rn rs rt s sk st t th x z")

# Words of real axis labels and captions, so that a model meets them too. They do not make the names hard to guess, the
# invented ones do.
_HEADS = _table("""
rate time temperature pressure density energy power speed velocity length width height depth distance mass weight volume
area force current voltage resistance frequency wavelength intensity amplitude phase angle concentration fraction ratio
yield error loss accuracy precision recall score cost price income demand supply output input throughput latency load
capacity efficiency gain noise signal flux potential field entropy enthalpy viscosity porosity moisture salinity
humidity rainfall population abundance diversity growth mortality survival incidence prevalence dose response
activity expression coverage count number share level index size age duration delay period strain stress stiffness
hardness roughness thickness conductivity mobility lifetime absorption emission transmission reflectance magnitude
luminosity redshift metallicity radius eccentricity inclination curvature probability likelihood variance bias rank
degree
""")
_MODIFIERS = _table("""
mean median total relative absolute average maximum minimum normalized effective initial final local global annual daily
thermal optical electric magnetic kinetic chemical surface volumetric specific critical apparent residual cumulative
spectral radial axial lateral vertical soil water air blood plasma tumor cell leaf root sediment ocean stellar solar
galactic network training validation test prediction reconstruction memory sampling learning packet queue link signal
carrier photon electron neutron proton phonon exciton polymer membrane crystal alloy oxide carbon nitrogen oxygen iron
""")
_UNITS = (
    *_table("s ms min h days years m mm cm km nm µm kg g mg K °C eV keV MeV GeV J kJ W mW kW MW V mV A mA Hz kHz MHz"),
    *_table("GHz Pa kPa MPa bar % dB mol mmol/L mg/L g/cm3 kg/m3 m/s km/h m/s2 N kN W/m2 mW/cm2 1/s 1/K S/m a.u."),
    "arb. units",
    *_table("USD EUR persons items pixels GB MB/s ns ps Myr pc kpc AU counts/s"),
    "per day",
    *_table("kWh mm/h ppm ppb"),
)
_GREEK = _table("alpha beta gamma delta lambda sigma tau eta mu rho")
_GROUPS = _table("method model group site sample run phase class cohort batch plot line type zone unit")
_STATES = _table("""
low medium high small large control treated before after north south east west spring summer autumn winter mild severe
young old dry wet cold warm slow fast left right upper lower inner outer early late male female urban rural
""")


def split_of(name: str) -> Split:
    """The split that a word belongs to; about one in eight is held out. The case of letters does not matter."""
    return "heldout" if zlib.crc32(name.lower().encode()) % 8 == 0 else "train"


def _draw(rng: random.Random, split: Split, make: Callable[[random.Random], str]) -> str:
    """The first name of `make` that belongs to `split`; the bound is far beyond what chance needs."""
    for _ in range(2000):
        name = make(rng)
        if split_of(name) == split:
            return name
    raise RuntimeError(f"2000 names drawn and none belongs to {split!r}")


def _syllables(rng: random.Random) -> str:
    word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((1, 2, 2, 2, 3))))
    return word + rng.choice(_CODAS) if rng.random() < 0.6 or len(word) < 4 else word


def invented_word(rng: random.Random, split: Split) -> str:
    """A pronounceable word in lower case that hardly exists, such as `brelunk`."""
    return _draw(rng, split, _syllables)


def quantity(rng: random.Random, split: Split) -> str:
    """What an axis shows, such as `Thermal brelunk rate`, with the spelling of one of the usual house styles."""
    kind = rng.random()
    head = _draw(rng, split, lambda r: r.choice(_HEADS))
    if kind < 0.15:
        words = [head]
    elif kind < 0.35:
        words = [_draw(rng, split, lambda r: r.choice(_MODIFIERS)), head]
    elif kind < 0.70:
        words = [invented_word(rng, split), head]
    elif kind < 0.85:
        words = [_draw(rng, split, lambda r: r.choice(_MODIFIERS)), invented_word(rng, split), head]
    else:
        words = [invented_word(rng, split)]
    return _cased(rng, words)


def _cased(rng: random.Random, words: list[str]) -> str:
    style = rng.random()
    if style < 0.6:
        return " ".join([words[0].capitalize(), *words[1:]])
    if style < 0.8:
        return " ".join(words)
    return " ".join(word.capitalize() for word in words)


def unit(rng: random.Random) -> str:
    return rng.choice(_UNITS)


def names(rng: random.Random, split: Split, count: int) -> list[str]:
    """Distinct names for series or categories. One figure's names share a pattern, as they do in papers."""
    patterns = (_proper, _proper, _proper, _acronym, _phrase, _numbered, _parameter, _state)
    pattern = rng.choice(patterns)
    group = rng.choice((_draw(rng, split, lambda r: r.choice(_GROUPS)), invented_word(rng, split))).capitalize()
    greek = rng.choice(_GREEK)
    chosen: list[str] = []
    for _ in range(500):
        name = pattern(rng, split, group, greek)
        if all(name.lower() != other.lower() for other in chosen):
            chosen.append(name)
        if len(chosen) == count:
            return chosen
    while len(chosen) < count:
        name = invented_word(rng, split).capitalize()
        if all(name.lower() != other.lower() for other in chosen):
            chosen.append(name)
    return chosen


def _proper(rng: random.Random, split: Split, _group: str, _greek: str) -> str:
    word = invented_word(rng, split).capitalize()
    return f"{word}-{rng.randint(1, 20)}" if rng.random() < 0.1 else word


def _acronym(rng: random.Random, split: Split, _group: str, _greek: str) -> str:
    def make(rng: random.Random) -> str:
        return "".join(rng.choice("ABCDEFGHKLMNPRSTUVXZ") for _ in range(rng.choice((2, 3, 3, 4))))

    name = _draw(rng, split, make)
    return name + rng.choice(("", "", "", "-Net", "+", "-2", "*"))


def _phrase(rng: random.Random, split: Split, _group: str, _greek: str) -> str:
    return f"{invented_word(rng, split).capitalize()} {_draw(rng, split, lambda r: r.choice(_HEADS))}"


def _numbered(rng: random.Random, _split: Split, group: str, _greek: str) -> str:
    return f"{group} {rng.choice('ABCDEFGH' + '12345678')}"


def _parameter(rng: random.Random, _split: Split, _group: str, greek: str) -> str:
    value = rng.choice(
        (f"{rng.randint(1, 9)}", f"{rng.randint(10, 500)}", f"0.{rng.randint(1, 99):02d}", f"{rng.randint(1, 9)}.5")
    )
    return f"{greek} = {value}"


def _state(rng: random.Random, split: Split, _group: str, _greek: str) -> str:
    return _draw(rng, split, lambda r: r.choice(_STATES)).capitalize()


def categories(rng: random.Random, split: Split, count: int) -> tuple[str, ...]:
    """Names under the bars: years in order now and then, names otherwise."""
    if rng.random() < 0.25:
        first = rng.randint(1985, 2020)
        return tuple(str(first + i) for i in range(count))
    return tuple(names(rng, split, count))


def real_words() -> set[str]:
    """Every word that names are made of besides the invented ones, in each spelling that `_cased` can give it."""
    plain = {*_HEADS, *_MODIFIERS, *_GREEK, *_GROUPS, *_STATES}
    return plain | {word.capitalize() for word in plain}
