"""Who says the digits, and how: random speakers and accents for eSpeak NG.

A *voice* is a variant (a vocal tract with its pitch and noise); an *accent* is a
language of eSpeak's with the words as it should read them. `draw_variant` makes
speakers that do not come with eSpeak, `draw_accent` makes accents from other
sounds of English, and `RESPELT` has other languages' voices read the English
words, which gives the accents of their speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

ENGLISH = (
    "en",
    "en-us",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
)

# The ten English words in other languages' spelling, checked by eye through `espeak-ng -x --ipa`.
RESPELT: dict[str, tuple[str, ...]] = {
    "de": ("siro", "wann", "tuh", "sri", "foor", "faif", "ßicks", "ßewwen", "ejt", "nein"),
    "fr": ("ziro", "ouane", "tou", "sri", "faure", "faïve", "sixe", "sévenne", "éïte", "naïne"),
    "es": ("siro", "uan", "tu", "tri", "for", "faif", "six", "séven", "eit", "nain"),
    "it": ("ziro", "uan", "tu", "tri", "for", "faiv", "sics", "seven", "eit", "nain"),
    "nl": ("ziero", "wan", "toe", "srie", "foor", "faiv", "siks", "sevven", "eet", "najn"),
    "sv": ("siro", "oann", "to", "tri", "får", "fajv", "siks", "sevven", "ejt", "najn"),
    "pl": ("ziro", "łan", "tu", "tri", "for", "fajw", "syks", "sewen", "ejt", "najn"),
    "ru": ("зиро", "уан", "ту", "сри", "фор", "файв", "сикс", "сэвэн", "эйт", "найн"),
    "hi": ("ज़ीरो", "वन", "टू", "थ्री", "फ़ोर", "फ़ाइव", "सिक्स", "सेवन", "एट", "नाइन"),
    "bn": ("জিরো", "ওয়ান", "টু", "থ্রি", "ফোর", "ফাইভ", "সিক্স", "সেভেন", "এইট", "নাইন"),
    "ta": ("ஜீரோ", "வன்", "டூ", "த்ரீ", "ஃபோர்", "ஃபைவ்", "சிக்ஸ்", "செவன்", "எய்ட்", "நைன்"),
    "pt-br": ("zírou", "uan", "tu", "trí", "fór", "fáiv", "sics", "séven", "êit", "náin"),
    "tr": ("ziro", "van", "tuu", "tri", "for", "fayv", "siks", "sevın", "eyt", "nayn"),
    "fi": ("siirou", "van", "tuu", "srii", "foor", "faiv", "siks", "seven", "eit", "nain"),
    "id": ("ziro", "wan", "tu", "tri", "for", "faif", "siks", "seven", "eit", "nain"),
    "cs": ("zírou", "uan", "tů", "srí", "fór", "fajv", "siks", "sevn", "ejt", "najn"),
    "hu": ("zíró", "van", "tú", "szrí", "fór", "fájv", "sziksz", "szeven", "éjt", "nájn"),
    "ro": ("ziro", "uan", "tu", "tri", "for", "faiv", "sics", "seven", "eit", "nain"),
    "el": ("ζίρο", "ουάν", "του", "θρι", "φορ", "φάιβ", "σιξ", "σέβεν", "έιτ", "νάιν"),
    "ca": ("ziro", "uan", "tu", "tri", "for", "faif", "sics", "sèven", "eit", "nain"),
    "sw": ("ziro", "wan", "tu", "thri", "foo", "faiv", "siks", "seven", "eit", "nain"),
    "cy": ("siro", "wyn", "tŵ", "thri", "ffôr", "ffaif", "sics", "sefyn", "eit", "nain"),
}

# eSpeak phonemes of each word, with the sounds that accents say differently in braces.
_WORDS_IN_SOUNDS = (
    "{Z}'{IR}{R}{OU}",
    "{W}'{V}n",
    "{T}'{UU}",
    "{TH}{R}'{II}",
    "f'{OR}",
    "f'{AI}{VE}",
    "{S}'{I}k{S}",
    "{S}'{E}{VE}{SCHWA}n",
    "'{EI}{TE}",
    "n'{AI}n",
)
# What a speaker may say in each place; repeats are weights.
_SOUNDS: dict[str, tuple[str, ...]] = {
    "Z": ("z", "z", "z", "z", "s", "dZ"),
    "IR": ("i@", "i@", "i:", "i", "I", "I@"),
    "R": ("r", "r", "r", "R", "*", "Q"),
    "OU": ("oU", "oU", "@U", "o:", "o", "O:"),
    "W": ("w", "w", "w", "w", "v", "B"),
    "V": ("V", "V", "V2", "0", "a", "a#", "A:", "O"),
    # "two" with much or little breath after the t, its vowel from the back of the mouth to the front.
    "T": ("t", "t", "t", "th", "th", "ts", "t2", "t["),
    "UU": ("u:", "u:", "u", "U:", "u#", "Iu:", "iu"),
    "TH": ("T", "T", "T", "t", "t[", "f", "s"),
    "II": ("i:", "i:", "i", "I2"),
    "OR": ("o@", "o@", "O@", "o:", "O:", "O:r", "O:R", "o:*"),
    "AI": ("aI", "aI", "aI", "aI2", "aI3", "OI", "aI"),
    "VE": ("v", "v", "v", "f", "v#", "w"),
    "S": ("s", "s", "s", "s;"),
    "I": ("I", "I", "I", "i", "I2", "i:", "@"),
    "E": ("E", "E", "E", "e", "E2", "E:"),
    "SCHWA": ("@", "@", "I2", "E", "@2", ""),
    "EI": ("eI", "eI", "eI", "e:", "E:", "aI"),
    # The t that ends "eight": held, released with breath, or in the throat.
    "TE": ("t", "t", "t", "th", "th", "ts", "t[", "?"),
}


class Accent(NamedTuple):
    """Ten texts for one of eSpeak's languages."""

    name: str
    language: str
    texts: Sequence[str]
    phonemes: bool


def english(language: str) -> Accent:
    """Returns one of eSpeak's own accents of English."""
    return Accent(language, language, WORDS, False)


def foreign(language: str) -> Accent:
    """Returns the accent of a speaker of another language, a key of `RESPELT`."""
    return Accent(f"{language}-speaker", language, RESPELT[language], False)


def draw_accent(rng: np.random.Generator, name: str) -> Accent:
    """Draws an accent of English: each sound is said in one way throughout the ten words."""
    sounds = {place: choices[rng.integers(len(choices))] for place, choices in _SOUNDS.items()}
    if sounds["EI"] == sounds["AI"]:
        sounds["EI"] = "eI"  # "eight" with the vowel of "five" only where "five" has another one
    texts = [f"[[{word.format_map(sounds)}]]" for word in _WORDS_IN_SOUNDS]
    return Accent(name, ENGLISH[rng.integers(len(ENGLISH))], texts, True)


def draw_variant(rng: np.random.Generator, name: str) -> str:
    """Draws a speaker as the text of an eSpeak variant file.

    Pitch runs from a low male voice to a child's, the vocal tract shortens with
    it, and each formant, the spectrum's slope, breath, roughness and the
    strength of consonants vary on their own. One in five uses one of the Klatt
    synthesisers.
    """
    height = rng.uniform()  # 0 a low male voice, 1 a child
    pitch = 75 * (290 / 75) ** height * np.exp(rng.normal(0, 0.08))
    tract = np.clip(0.88 + 0.26 * height + rng.normal(0, 0.05), 0.82, 1.24)
    slope = rng.normal(0, 0.12)
    lines = [
        "language variant",
        f"name {name}",
        f"pitch {pitch:.0f} {pitch * rng.uniform(1.15, 1.8):.0f}",
        f"flutter {rng.integers(0, 9)}",
        f"roughness {rng.choice([0, 0, 1, 2, 2, 3, 4])}",
        f"voicing {rng.uniform(60, 170):.0f}",
        f"consonants {rng.uniform(50, 160):.0f} {rng.uniform(50, 150):.0f}",
        f"intonation {rng.integers(1, 5)}",
    ]
    for formant in range(9):
        frequency = 100 * tract * np.exp(rng.normal(0, 0.045))
        strength = 100 * np.exp(slope * (formant - 2) / 2 + rng.normal(0, 0.15))
        width = 100 * np.exp(rng.normal(0, 0.22))
        limits = ((70, 135), (25, 220), (60, 200))
        values = (np.clip(v, *limit) for v, limit in zip((frequency, strength, width), limits, strict=True))
        lines.append(f"formant {formant} " + " ".join(f"{value:.0f}" for value in values))
    low, middle, high = rng.uniform(120, 255), rng.uniform(70, 200), rng.uniform(40, 180)
    lines.append(f"tone 600 {low:.0f} 1200 {middle:.0f} 2000 {high:.0f}")
    if rng.uniform() < 0.35:
        lines.append("breath " + " ".join(str(v) for v in (0, *rng.integers(0, 7, size=7))))
    if rng.uniform() < 0.2:
        lines.append(f"klatt {rng.integers(1, 5)}")
    return "\n".join(lines) + "\n"
