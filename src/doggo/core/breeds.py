"""The names of breeds: the keys a model answers with, and how a person's spelling finds them.

Owns the 120 breeds of Stanford Dogs, which the ImageNet head already knows. Knows nothing of
what a model was trained on: a breed outside the 120 is a new key, not an error. Other names of
the same breeds are in `aliases.toml`, read when the first name is looked up.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import permutations

from doggo.core.errors import InputError

MAX_KEY_LENGTH = 100
"""A key is a folder name and a part of object keys, where 255 bytes is the common limit."""

# fmt: off
BREEDS: tuple[str, ...] = (
    "affenpinscher", "afghan_hound", "african_hunting_dog", "airedale",
    "american_staffordshire_terrier", "appenzeller", "australian_terrier", "basenji", "basset",
    "beagle", "bedlington_terrier", "bernese_mountain_dog", "black-and-tan_coonhound",
    "blenheim_spaniel", "bloodhound", "bluetick", "border_collie", "border_terrier", "borzoi",
    "boston_bull", "bouvier_des_flandres", "boxer", "brabancon_griffon", "briard",
    "brittany_spaniel", "bull_mastiff", "cairn", "cardigan", "chesapeake_bay_retriever",
    "chihuahua", "chow", "clumber", "cocker_spaniel", "collie", "curly-coated_retriever",
    "dandie_dinmont", "dhole", "dingo", "doberman", "english_foxhound", "english_setter",
    "english_springer", "entlebucher", "eskimo_dog", "flat-coated_retriever", "french_bulldog",
    "german_shepherd", "german_short-haired_pointer", "giant_schnauzer", "golden_retriever",
    "gordon_setter", "great_dane", "great_pyrenees", "greater_swiss_mountain_dog", "groenendael",
    "ibizan_hound", "irish_setter", "irish_terrier", "irish_water_spaniel", "irish_wolfhound",
    "italian_greyhound", "japanese_spaniel", "keeshond", "kelpie", "kerry_blue_terrier",
    "komondor", "kuvasz", "labrador_retriever", "lakeland_terrier", "leonberg", "lhasa",
    "malamute", "malinois", "maltese_dog", "mexican_hairless", "miniature_pinscher",
    "miniature_poodle", "miniature_schnauzer", "newfoundland", "norfolk_terrier",
    "norwegian_elkhound", "norwich_terrier", "old_english_sheepdog", "otterhound", "papillon",
    "pekinese", "pembroke", "pomeranian", "pug", "redbone", "rhodesian_ridgeback", "rottweiler",
    "saint_bernard", "saluki", "samoyed", "schipperke", "scotch_terrier", "scottish_deerhound",
    "sealyham_terrier", "shetland_sheepdog", "shih-tzu", "siberian_husky", "silky_terrier",
    "soft-coated_wheaten_terrier", "staffordshire_bullterrier", "standard_poodle",
    "standard_schnauzer", "sussex_spaniel", "tibetan_mastiff", "tibetan_terrier", "toy_poodle",
    "toy_terrier", "vizsla", "walker_hound", "weimaraner", "welsh_springer_spaniel",
    "west_highland_white_terrier", "whippet", "wire-haired_fox_terrier", "yorkshire_terrier",
)
# fmt: on
"""Sorted keys, spelled as the labels of Stanford Dogs and of Kaggle's dog-breed-identification:
lower case, words joined by `_`, hyphens kept."""

_SQUASHED = tuple(re.sub(r"[_-]", "", key) for key in BREEDS)
_GENERIC = frozenset({"breed", "breeds", "dog", "dogs", "pup", "puppies", "puppy", "pups"})
_ANOTHER_WORD = 1000
_SYNSET = re.compile(r"n[0-9]{8}")
# Latin letters that Unicode does not decompose into a base letter and an accent.
_LATIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"}
)
_TITLES = {"brabancon_griffon": "Brabançon Griffon", "shih-tzu": "Shih-Tzu"}
_SMALL_WORDS = frozenset({"and", "de", "des", "du", "of", "the"})


@lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """Return the key of a breed, however a folder, a label file or a person spells it.

    Case, accents, spaces, underscores, hyphens and ImageNet's `n02106662-` prefix do not matter,
    nor does a trailing "dog" after a known breed. A known breed or one of its other names gives
    its key from `BREEDS`; any other name gives a new key of a-z, 0-9 and `_`.

    Args:
        name: such as `German Shepherd`, `n02106662-German_shepherd`, `n02106662` or `GSD`.

    Returns:
        A key that is safe as a folder name; `normalise(key) == key`.

    Raises:
        InputError: the name has no letter or digit, letters outside the Latin alphabet (dropping
            them could make two breeds one), or more than `MAX_KEY_LENGTH` characters.
    """
    words = _words(name)
    for candidate in (words, words[:-1] if words[-1] in ("dog", "dogs") else words):
        key = _index().get("".join(candidate))
        if key is not None:
            return key
    key = "_".join(words)
    if len(key) > MAX_KEY_LENGTH:
        raise InputError(
            f"the breed name {key[:30]}... has {len(key)} characters: "
            f"shorten it to {MAX_KEY_LENGTH} or fewer"
        )
    return key


def title(key: str) -> str:
    """Return the name of a breed as a person reads it: `german_shepherd` is "German Shepherd"."""
    if key in _TITLES:
        return _TITLES[key]
    words = key.replace("_", " ").split()
    return " ".join(
        word if place and word in _SMALL_WORDS else word[:1].upper() + word[1:]
        for place, word in enumerate(words)
    )


def nearest(key: str, among: Sequence[str] = BREEDS) -> str | None:
    """Return the breed that a new key most resembles, or None if none comes close.

    A suggestion for a person ("did you mean ...?"), never applied by itself. If the words of the
    key all occur in these breeds (`husky`), it is that breed, or None if there are several
    (`terrier`). Else it is the name that the fewest typing errors turn into the key: two at most,
    one between names of five letters, where two make another word (`puli`, `pug`). Failing that,
    another name of a breed with one typing error; then the name that has the same words in any
    order, but for an error in each. Words that say nothing of the breed (`dog`) are left out.

    Args:
        among: keys of the breeds it may be: the known ones, or the labels of a model.
    """
    said = _telling(re.split(r"[_-]", key))
    parts = {known: re.split(r"[_-]", known) for known in among}
    holding = [known for known, words in parts.items() if said and set(said) <= set(words)]
    if holding or not said:
        return holding[0] if len(holding) == 1 else None
    keys = {"".join(_telling(words)): known for known, words in parts.items()}
    keys |= {"".join(words): known for known, words in parts.items()}
    names = {name: known for name, known in _known_names().items() if known in among}
    for written in dict.fromkeys(("".join(re.split(r"[_-]", key)), "".join(said))):
        close = _closest(written, keys, one=1, two=6) or _closest(
            written, names, one=6, two=MAX_KEY_LENGTH
        )
        if close:
            return {**names, **keys}[close]
    return min(_of_the_same_words(said, parts), default=(0, None))[1]


def _of_the_same_words(
    said: Sequence[str], parts: Mapping[str, Sequence[str]]
) -> Iterator[tuple[int, str]]:
    """Yield the names that have as many words, each written with few errors, with their number."""
    for known, all_words in parts.items():
        words = _telling(all_words)
        if len(words) != len(said) or len(words) < 2:
            continue
        errors = min(sum(map(_word_errors, said, order)) for order in permutations(words))
        if errors < _ANOTHER_WORD:
            yield errors, known


def _telling(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in _GENERIC)


@lru_cache(maxsize=4096)
def _word_errors(written: str, word: str) -> int:
    """Return the typing errors in a word; very many if there are so many that it is another."""
    longest = max(len(written), len(word))
    allowed = (longest >= 5) + (longest >= 8)
    if abs(len(written) - len(word)) > allowed:
        return _ANOTHER_WORD
    errors = _typing_errors(written, word)
    return errors if errors <= allowed else _ANOTHER_WORD


def _closest(written: str, names: Iterable[str], *, one: int, two: int) -> str | None:
    """Return the name with the fewest typing errors in `written`.

    Args:
        one, two: the letters that the longer of both must have to allow as many errors.
    """
    found = list[tuple[int, str]]()
    for name in names:
        longest = max(len(written), len(name))
        allowed = (longest >= one) + (longest >= two)
        if abs(len(written) - len(name)) <= allowed:
            errors = _typing_errors(written, name)
            if errors <= allowed:
                found.append((errors, name))
    return min(found)[1] if found else None


def _typing_errors(written: str, name: str) -> int:
    """Return how many letters are wrong, missing, too many, or swapped with their neighbour.

    The distance of Damerau and Levenshtein, no part being edited twice.
    """
    before, row = list[int](), list(range(len(name) + 1))
    for i, letter in enumerate(written):
        earlier, before, row = before, row, [i + 1]
        for j, wanted in enumerate(name):
            errors = min(before[j + 1] + 1, row[j] + 1, before[j] + (letter != wanted))
            if i and j and letter == name[j - 1] and wanted == written[i - 1]:
                errors = min(errors, earlier[j - 1] + 1)
            row.append(errors)
    return row[-1]


def other_names(key: str) -> tuple[str, ...]:
    """Return the other names of a known breed, as people write them; none for any other key."""
    return tuple(name for name in _aliases().get(key, ()) if not _SYNSET.fullmatch(name))


@cache
def _aliases() -> dict[str, list[str]]:
    # Imported on use, with their 20 ms: many commands look no name up.
    import tomllib
    from importlib.resources import files

    text = files("doggo.core").joinpath("aliases.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _index() -> dict[str, str]:
    """Map every known spelling, squashed to a-z and 0-9, to its key."""
    index = dict(zip(_SQUASHED, BREEDS, strict=True))
    for key, names in _aliases().items():
        for name in (key, *names):
            squashed = "".join(_words(name))
            assert index.setdefault(squashed, key) == key, f"{name} names two breeds"
    return index


@cache
def _known_names() -> dict[str, str]:
    """Map the names of the known breeds, squashed, to their keys; ImageNet's ids left out."""
    known = set(BREEDS)
    return {name: key for name, key in _index().items() if key in known and not name[-1].isdigit()}


def _words(name: str) -> tuple[str, ...]:
    """Split a name into lower-case ASCII words, at least one."""
    text = unicodedata.normalize("NFKD", name.casefold()).casefold().translate(_LATIN)
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"['`´‘’ʼ]", "", text)
    foreign = next((c for c in text if c.isalnum() and not c.isascii()), None)
    words = re.findall(r"[a-z0-9]+", text)
    while len(words) > 1 and _SYNSET.fullmatch(words[0]):
        words = words[1:]
    if foreign is not None or not words:
        raise InputError(
            f"{name[:60]!r} cannot name a breed: use Latin letters and digits, such as shiba_inu"
        )
    return tuple(words)
