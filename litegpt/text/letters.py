"""Guessing a legacy encoding from letters: which one turns the bytes into words of a language.

Every sequence of bytes is valid in most single-byte encodings, so being valid is not evidence. A guess needs letters
that one language uses, in words that look like words: without capitals inside them, without two scripts in one word,
and without symbols between letters. For Russian, Greek, Chinese, Japanese and Korean, frequent characters must be
frequent. Without such evidence, the encoding stays unknown, because a wrong guess destroys the text.
"""

# ruff: noqa: RUF001

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

IMPLAUSIBLE_SHARE = 0.03
"""The largest share of implausible characters, among those that are not ASCII."""
RARE_SHARE = 0.02
"""The share of letters that are not ASCII, below which a text may mix the letters of Western European languages."""
FREQUENT_SHARE = 0.2
"""The least share of frequent characters in Chinese, Japanese or Korean."""
FOREIGN_MIN = 12
"""The fewest characters not in ASCII that are evidence for another encoding than Windows-1252."""
KANA_SHARE = 0.05
"""The largest share of kana in a Chinese text."""
MARGIN = 1.3
"""How much more frequent characters the best of these encodings must give than another."""


@dataclass(frozen=True)
class Language:
    """The letters of a language that are not ASCII, in lower case, and the encodings that were used for it."""

    letters: frozenset[str]
    encodings: tuple[str, ...]
    frequent: frozenset[str] = frozenset()  # at least half of all letters


def _language(letters: str, encodings: str, frequent: str = "") -> Language:
    return Language(frozenset(letters), tuple(encodings.split()), frozenset(frequent))


_WESTERN = "cp1252 mac_roman"
_CENTRAL = "cp1250 iso8859_2"
_WESTERN_ALPHABETS = (
    "éèêëàâçîïôùûüœæÿ",  # French
    "äöüßé",  # German
    "áéíóúñü",  # Spanish
    "áâãàçéêíóôõúü",  # Portuguese
    "àèéìíòóùúî",  # Italian
    "àèéíïòóúüç",  # Catalan
    "åäöéüà",  # Swedish, Finnish
    "æøåéòôêäö",  # Danish, Norwegian
    "ëïéèöüáóíâêû",  # Dutch
)
LANGUAGES: Sequence[Language] = (
    *(_language(alphabet, _WESTERN) for alphabet in _WESTERN_ALPHABETS),
    _language("ąćęłńóśźż", _CENTRAL),  # Polish
    _language("áčďéěíňóřšťúůýž", _CENTRAL),  # Czech
    _language("áäčďéíĺľňóôŕšťúýž", _CENTRAL),  # Slovak
    _language("áéíóöőúüű", _CENTRAL),  # Hungarian
    _language("ăâîşţ", _CENTRAL),  # Romanian
    _language("čćđšž", _CENTRAL),  # Croatian, Slovene
    _language("çğıöşüâîûi", "cp1254"),  # Turkish; a capital İ becomes an i
    _language(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",  # Russian
        "cp1251 koi8_r cp866 mac_cyrillic iso8859_5",
        "оеаинтсрвлкм",
    ),
    _language("абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "cp1251 koi8_u cp1125 mac_cyrillic", "оаинтвеіросл"),  # Ukrainian
    _language("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ", "cp1253 iso8859_7", "αοειτνσρκηυπς"),  # Greek
)
WESTERN_LETTERS = frozenset("".join(_WESTERN_ALPHABETS))

CHINESE = ("gb18030", "big5")
EAST_ASIAN = (*CHINESE, "cp932", "euc_jp", "cp949")
"""Encodings for Chinese, Japanese and Korean; cp932 is Shift-JIS, cp949 is EUC-KR."""
FREQUENT_EAST_ASIAN = frozenset(
    "，。、；：？！「」『』《》“”（）…—\u3000"
    "的一是不了人在有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家"
    "种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力"
    "它与长把机"
    "十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新"
    "己制身果加西"
    "這個們來為國說時會對過發後裡經麼學現當沒動還進樣開從實軍無與長機關點業將兩間應戰頭體見給門東聲員論處"
    "義幾條氣題"
    "爾別變總電數報結務場計許統區隊決則聽達難權設記類據邊張該規萬覺術領傳師觀讓識帶導爭運産検気広対応戦験"
    "図読売続"
    "あいうえおかがきぎくぐけげこごさざしじすずせぜそたちっつてでとどなにぬねのはばひびふへべほまみむめも"
    "ゃやゅゆょよらりるれろわをん"
    "アィイウェエォオカガキギクグケコゴサザシジスズセタダチッテデトドナニネノハバパヒビピフブプヘベペホボ"
    "ポマミムメモャヤュユョヨラリルレロワンー"
    "이다는에의가을를은도로고한하지사기리서대인나아자그어라해시수일정보여게스부있것들만제었니면장전신조주"
    "용적원성상경국"
)

_CONTRACTED = re.compile(r"(?:[sdmt]|ll|re|ve)\b", re.IGNORECASE)
_ELIDED = re.compile(r"(?:.*[\W\d_])?(?:[cdjlmnsto]|un)|.*(?:ll|qu|st|urd)", re.IGNORECASE | re.DOTALL)
TYPOGRAPHY = frozenset("“”„‘’‚«»‹›–—…•·°§£€©®™¿¡½¼¾×±÷¢¥\u00a0\u00ad")
BETWEEN_LETTERS = frozenset("–—·\u00ad")


def guess_encoding(sample: bytes) -> str | None:
    """Guess the encoding of a text that is not Unicode; None without sufficient evidence."""
    return _guess_east_asian(sample) or _guess_alphabetic(sample)


def _guess_east_asian(sample: bytes) -> str | None:
    """Return the encoding in which most characters are frequent in Chinese, Japanese or Korean."""
    shares: dict[str, float] = {}
    counts: dict[str, int] = {}
    for encoding in EAST_ASIAN:
        text = _decoded(sample, encoding) or ""
        foreign = [character for character in text if not character.isascii()]
        # A Latin text with some pairs of accented letters is not Chinese, and a text with kana is Japanese.
        if len(foreign) < sum(character.isascii() and character.isalpha() for character in text) or not foreign:
            continue
        kana = sum("\u3041" <= character <= "\u30ff" for character in foreign) / len(foreign)
        if kana > KANA_SHARE and encoding in CHINESE:
            continue
        shares[encoding] = sum(character in FREQUENT_EAST_ASIAN for character in foreign) / len(foreign)
        counts[encoding] = len(foreign)
    best = max(shares, key=lambda encoding: shares[encoding], default=None)
    if best is None or counts[best] < FOREIGN_MIN or shares[best] < FREQUENT_SHARE:
        return None
    others = [share for encoding, share in shares.items() if encoding != best]
    return best if all(MARGIN * share < shares[best] for share in others) else None


def _guess_alphabetic(sample: bytes) -> str | None:
    """Return the encoding that gives the most plausible words of a language with an alphabet."""
    implausible: dict[str, float] = {}
    texts: dict[str, str] = {}
    for encoding in dict.fromkeys(encoding for language in LANGUAGES for encoding in language.encodings):
        text = _decoded(sample, encoding)
        share = None if text is None else _implausible_share(text, encoding)
        if text is not None and share is not None and share <= IMPLAUSIBLE_SHARE:
            texts[encoding], implausible[encoding] = text, share
    best = min(implausible, key=lambda encoding: implausible[encoding], default=None)
    if best is None:
        return None
    foreign = [character for character in texts[best] if not character.isascii()]
    is_few = len(foreign) < FOREIGN_MIN
    if best == "cp1252":
        # In this most common encoding, punctuation in its places is evidence enough.
        is_rare = len(foreign) < RARE_SHARE / 2 * len(texts[best])
        if not any(map(str.isalpha, foreign)) and (is_rare or not is_few):
            return best
    elif is_few:
        return None
    is_ambiguous = any(implausible[other] <= implausible[best] and texts[other] != texts[best] for other in texts)
    return None if is_ambiguous else best


def _decoded(sample: bytes, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return None


def _implausible_share(text: str, encoding: str) -> float | None:
    """Return the share of characters that do not fit the best language of an encoding, among those not in ASCII.

    None if no language with this encoding has its frequent letters.
    """
    letters: list[str] = []
    foreign = misplaced = 0
    for i, character in enumerate(text):
        if character.isascii():
            continue
        foreign += 1
        before, after = text[i - 1 : i], text[i + 1 : i + 2]
        if character.isalpha():
            letters.append(character)
            is_inner_capital = character.isupper() and (before.islower() or (before.isupper() and after.islower()))
            misplaced += is_inner_capital or _mixes_scripts(character, before, after)
        elif character in TYPOGRAPHY:
            is_inner = before.isalpha() and after.isalpha() and character not in BETWEEN_LETTERS
            misplaced += is_inner and not (character == "\N{RIGHT SINGLE QUOTATION MARK}" and _is_apostrophe(text, i))
        else:
            misplaced += 1
    if not foreign:
        return None
    is_rare = len(letters) < RARE_SHARE * sum(map(str.isalpha, text))
    shares = []
    for language in LANGUAGES:
        frequent = sum(letter in language.frequent for letter in letters if letter.islower())
        if encoding in language.encodings and (not language.frequent or frequent > len(letters) / 2):
            is_western = language.letters <= WESTERN_LETTERS
            alphabet = WESTERN_LETTERS if is_rare and is_western else language.letters
            shares.append((misplaced + sum(letter.lower()[0] not in alphabet for letter in letters)) / foreign)
    return min(shares, default=None)


def _mixes_scripts(character: str, before: str, after: str) -> bool:
    """Whether a Cyrillic or Greek letter stands beside a Latin one."""
    is_latin = character < "\u0370"
    return any(other.isalpha() and (other < "\u0370") != is_latin for other in (before, after))


def _is_apostrophe(text: str, index: int) -> bool:
    """Whether a quotation mark between letters is in a contraction or an elision: don't, O'Neill, l'eau, dell'acqua."""
    return bool(_CONTRACTED.match(text, index + 1) or _ELIDED.fullmatch(text, max(0, index - 3), index))
