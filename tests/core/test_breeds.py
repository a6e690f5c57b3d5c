"""Breed names: the 120 keys, every spelling of them, and names that nobody has seen."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from doggo.core.breeds import BREEDS, MAX_KEY_LENGTH, nearest, normalise, other_names, title
from doggo.core.errors import InputError


def test_keys_are_the_folders_of_the_photos(shared_photos: Path) -> None:
    assert tuple(sorted(folder.name for folder in shared_photos.iterdir())) == BREEDS


def test_keys_are_120_sorted_and_distinct() -> None:
    assert len(BREEDS) == 120
    assert tuple(sorted(set(BREEDS))) == BREEDS


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("German Shepherd", "german_shepherd"),
        ("n02106662-German_shepherd", "german_shepherd"),
        ("n02106662", "german_shepherd"),
        ("german-shepherd", "german_shepherd"),
        ("GERMAN SHEPHERD DOG", "german_shepherd"),
        ("  german__shepherd ", "german_shepherd"),
        ("Deutscher Schäferhund", "german_shepherd"),
        ("Alsatian", "german_shepherd"),
        ("GSD", "german_shepherd"),
        ("n02086240-Shih-Tzu", "shih-tzu"),
        ("ShihTzu", "shih-tzu"),
        ("Black and Tan Coonhound", "black-and-tan_coonhound"),
        ("German Shorthaired Pointer", "german_short-haired_pointer"),
        ("Boston Terrier", "boston_bull"),
        ("Lhasa Apso", "lhasa"),
        ("St. Bernard", "saint_bernard"),
        ("Westie", "west_highland_white_terrier"),
        ("Xoloitzcuintli", "mexican_hairless"),
        ("African Wild Dog", "african_hunting_dog"),
        ("Brabançon griffon", "brabancon_griffon"),
        ("ＰＵＧ", "pug"),
        ("Beagle dogs", "beagle"),
        ("eskimo dog", "eskimo_dog"),
    ],
)
def test_spellings_of_a_known_breed_find_its_key(name: str, key: str) -> None:
    assert normalise(name) == key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Shiba Inu", "shiba_inu"),
        ("shiba-inu", "shiba_inu"),
        ("American Eskimo Dog", "american_eskimo_dog"),
        ("Bichon Frisé", "bichon_frise"),
        ("../../etc/passwd", "etc_passwd"),
        ("Jämthund & Łajka", "jamthund_lajka"),
        ("Dalmatian", "dalmatian"),
        ("n02110341", "dalmatian"),
        ("husky", "husky"),
        ("n99999999", "n99999999"),
    ],
)
def test_an_unknown_name_becomes_a_clean_new_key(name: str, key: str) -> None:
    assert normalise(name) == key
    assert key not in BREEDS


@pytest.mark.parametrize("name", ["", "   ", "---", "🐶", "柴犬", "柴犬 1", "Хаски"])
def test_a_name_that_would_lose_its_letters_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot name a breed"):
        normalise(name)


def test_a_name_too_long_for_a_folder_is_refused() -> None:
    assert normalise("x" * MAX_KEY_LENGTH) == "x" * MAX_KEY_LENGTH
    with pytest.raises(InputError, match="101 characters"):
        normalise("x" * (MAX_KEY_LENGTH + 1))


@given(st.text(max_size=120))
def test_any_text_gives_a_stable_safe_key_or_an_input_error(name: str) -> None:
    try:
        key = normalise(name)
    except InputError:
        return
    assert re.fullmatch(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?", key)
    assert normalise(key) == key
    assert normalise(title(key)) == key


@given(st.sampled_from(BREEDS), st.sampled_from(" _-"), st.booleans(), st.booleans())
def test_case_and_separators_do_not_matter(
    key: str, separator: str, upper: bool, synset: bool
) -> None:
    name = re.sub("[_-]", separator, key)
    name = name.upper() if upper else name.title()
    assert normalise(f"n02106662-{name}" if synset else name) == key


@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1), st.text("abcdefghij", min_size=1))
def test_two_new_names_of_different_letters_stay_two_breeds(first: str, second: str) -> None:
    assume(re.sub("_", "", first) and re.sub("_", "", first) != second)
    one, two = normalise(first), normalise(second)
    assert one != two or one in {*BREEDS, "dalmatian"}


def test_aliases_name_known_breeds_and_no_known_key_of_another() -> None:
    aliases = tomllib.loads(files("doggo.core").joinpath("aliases.toml").read_text("utf-8"))
    assert set(aliases) == {*BREEDS, "dalmatian"}
    for key, names in aliases.items():
        assert [name for name in names if re.fullmatch(r"n\d{8}", name)], f"{key} lacks its id"
        for name in names:
            assert normalise(name) == key


def test_aliases_agree_with_imagenet_on_every_dog_class() -> None:
    data = pytest.importorskip("timm.data", reason="the train extra brings ImageNet's synonyms")
    info = data.ImageNetInfo("imagenet-1k")
    left_out = set()
    for index in [*range(151, 269), 273, 274, 275]:
        synset = info.index_to_label_name(index)
        synonyms = info.index_to_description(index, detailed=True).split(":")[0].split(",")
        key = normalise(synonyms[0])
        assert normalise(synset) == key
        assert key in {*BREEDS, "dalmatian"}
        left_out |= {name.strip() for name in synonyms if normalise(name) != key}
    assert left_out == {
        "husky",
        "chrysanthemum dog",
        "pit bull terrier",
        "American pit bull terrier",
    }, "the reasons are at the top of aliases.toml"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("german_shepherd", "German Shepherd"),
        ("black-and-tan_coonhound", "Black-and-tan Coonhound"),
        ("shih-tzu", "Shih-Tzu"),
        ("bouvier_des_flandres", "Bouvier des Flandres"),
        ("brabancon_griffon", "Brabançon Griffon"),
        ("shiba_inu", "Shiba Inu"),
    ],
)
def test_title_is_what_a_person_reads(key: str, name: str) -> None:
    assert title(key) == name


def test_titles_are_distinct_and_lead_back() -> None:
    assert len({title(key) for key in BREEDS}) == 120
    assert all(normalise(title(key)) == key for key in BREEDS)


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("germn_shepherd", "german_shepherd"),
        ("goldn_retriver", "golden_retriever"),
        ("husky", "siberian_husky"),
        ("xoloitzcuintl", "mexican_hairless"),
        ("bogle", "beagle"),
        ("beagel", "beagle"),
        ("puug", "pug"),
        ("boxr", "boxer"),
        ("chiwawa", None),  # four errors
        ("chihuaua", "chihuahua"),
        ("dobermann", "doberman"),
        ("rotweiler", "rottweiler"),
        ("yorkshir_terier", "yorkshire_terrier"),
        ("shih_tsu", "shih-tzu"),
        ("alsation", "german_shepherd"),
        ("german_sheperd_dog", "german_shepherd"),
        ("golden_retreiver_puppies", "golden_retriever"),
        ("beagel_dog", "beagle"),
        ("dog_beagle", "beagle"),
        ("west_higland_wite_terier", "west_highland_white_terrier"),
        ("germen_shepard", "german_shepherd"),
        ("sheperd_german", "german_shepherd"),
        ("retreiver_golden", "golden_retriever"),
        ("my_own_breed", None),
        ("dog", None),
        ("dogs_breed", None),
        ("hot_dog", None),
        ("terrier", None),
        ("dalmatian", None),
        ("shiba_inu", None),
        ("class_3", None),
    ],
)
def test_nearest_suggests_only_what_comes_close(key: str, known: str | None) -> None:
    assert nearest(key) == known


@pytest.mark.parametrize(
    "key",
    [
        *("akita", "beauceron", "bichon_frise", "biewer_terrier", "cane_corso", "cesky_terrier"),
        *("dachshund", "estrela_mountain_dog", "german_pinscher", "german_spitz", "goldendoodle"),
        *("harrier", "havanese", "hovawart", "icelandic_sheepdog", "kangal", "labradoodle"),
        *("lurcher", "mudi", "norwegian_buhund", "plott", "puggle", "puli", "pumi", "rat_terrier"),
        *("american_eskimo_dog", "american_bulldog", "english_bulldog", "english_pointer"),
        *("german_wirehaired_pointer", "shepherd_mix", "boykin_spaniel", "karelian_bear_dog"),
        *("portuguese_water_dog", "canaan_dog", "irish_red_and_white_setter", "field_spaniel"),
        *("anatolian_shepherd", "australian_cattle_dog", "american_foxhound", "manchester_terrier"),
        *("skye_terrier", "tibetan_spaniel", "welsh_terrier", "wolf", "mixed", "drawn_rings"),
    ],
)
def test_a_breed_of_its_own_is_no_typing_error(key: str) -> None:
    assert nearest(key) is None


def test_nearest_may_be_asked_of_other_breeds() -> None:
    assert nearest("labradoodel", ("labradoodle", "pug")) == "labradoodle"
    assert nearest("beagel", ("pug",)) is None
    assert nearest("alsation", ("pug",)) is None


@given(st.sampled_from([key for key in BREEDS if len(key) >= 9]), st.data())
def test_two_typing_errors_are_seen_in_a_long_name(key: str, data: st.DataObject) -> None:
    written = key
    for _ in range(2):
        place = data.draw(st.integers(1, len(written) - 2))
        letter = data.draw(st.sampled_from(["", "e", written[place] * 2]))
        written = written[:place] + letter + written[place + 1 :]
    assume(normalise(written) not in BREEDS)
    assert nearest(normalise(written)) is not None


@given(st.sampled_from([key for key in BREEDS if 1 < len(re.split("[_-]", key)) < 6]), st.data())
def test_words_in_another_order_with_an_error_in_each_are_seen(
    key: str, data: st.DataObject
) -> None:
    words = data.draw(st.permutations(re.split("[_-]", key)))
    written = [word[:2] + "x" + word[3:] if len(word) >= 5 else word for word in words]
    assume(normalise("_".join(written)) not in BREEDS)
    assert nearest(normalise("_".join([*written, "puppy"]))) is not None


@given(st.sampled_from(BREEDS))
def test_nearest_of_a_known_key_is_itself(key: str) -> None:
    if len(re.split("[_-]", key)) > 1:
        assert nearest(key) == key


@given(st.text(max_size=60))
def test_nearest_takes_any_key(name: str) -> None:
    assert nearest(name) is None or nearest(name) in BREEDS


def test_other_names_are_for_people_and_lead_back() -> None:
    assert "alsatian" in other_names("german_shepherd")
    assert other_names("my_own_breed") == ()
    for key in BREEDS:
        for name in other_names(key):
            assert not re.fullmatch(r"n[0-9]+", name), "ImageNet's ids are not for people"
            assert normalise(name) == key


def test_the_documented_spellings_lead_to_the_documented_keys() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "breeds.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| `(.*?)`", page, re.MULTILINE)
    assert len(rows) >= 6
    for names, key in rows:
        for name in re.findall(r"`([^`]+)`", names):
            assert normalise(name) == key
