"""Names and codes of languages: what OUTPUT_LANGUAGE accepts, and how a prompt names it.

The table is ISO 639-1 (Library of Congress, 2024), with the English name that is most used.
"""

from __future__ import annotations

import re

from generation.domain.names import did_you_mean

_TABLE = """
aa Afar|ab Abkhazian|ae Avestan|af Afrikaans|ak Akan|am Amharic|an Aragonese|ar Arabic|as Assamese|av Avaric|ay Aymara
az Azerbaijani|ba Bashkir|be Belarusian|bg Bulgarian|bi Bislama|bm Bambara|bn Bengali|bo Tibetan|br Breton|bs Bosnian
ca Catalan|ce Chechen|ch Chamorro|co Corsican|cr Cree|cs Czech|cu Church Slavonic|cv Chuvash|cy Welsh|da Danish
de German|dv Divehi|dz Dzongkha|ee Ewe|el Greek|en English|eo Esperanto|es Spanish|et Estonian|eu Basque|fa Persian
ff Fulah|fi Finnish|fj Fijian|fo Faroese|fr French|fy Frisian|ga Irish|gd Gaelic|gl Galician|gn Guarani|gu Gujarati
gv Manx|ha Hausa|he Hebrew|hi Hindi|ho Hiri Motu|hr Croatian|ht Haitian|hu Hungarian|hy Armenian|hz Herero
ia Interlingua|id Indonesian|ie Interlingue|ig Igbo|ii Yi|ik Inupiaq|io Ido|is Icelandic|it Italian|iu Inuktitut
ja Japanese|jv Javanese|ka Georgian|kg Kongo|ki Kikuyu|kj Kuanyama|kk Kazakh|kl Greenlandic|km Khmer|kn Kannada
ko Korean|kr Kanuri|ks Kashmiri|ku Kurdish|kv Komi|kw Cornish|ky Kyrgyz|la Latin|lb Luxembourgish|lg Ganda
li Limburgish|ln Lingala|lo Lao|lt Lithuanian|lu Luba-Katanga|lv Latvian|mg Malagasy|mh Marshallese|mi Maori
mk Macedonian|ml Malayalam|mn Mongolian|mr Marathi|ms Malay|mt Maltese|my Burmese|na Nauru|nb Norwegian Bokmål
nd Ndebele|ne Nepali|ng Ndonga|nl Dutch|nn Norwegian Nynorsk|no Norwegian|nr South Ndebele|nv Navajo|ny Chichewa
oc Occitan|oj Ojibwa|om Oromo|or Odia|os Ossetian|pa Punjabi|pi Pali|pl Polish|ps Pashto|pt Portuguese|qu Quechua
rm Romansh|rn Rundi|ro Romanian|ru Russian|rw Kinyarwanda|sa Sanskrit|sc Sardinian|sd Sindhi|se Sami|sg Sango
si Sinhala|sk Slovak|sl Slovenian|sm Samoan|sn Shona|so Somali|sq Albanian|sr Serbian|ss Swati|st Sotho|su Sundanese
sv Swedish|sw Swahili|ta Tamil|te Telugu|tg Tajik|th Thai|ti Tigrinya|tk Turkmen|tl Tagalog|tn Tswana|to Tonga
tr Turkish|ts Tsonga|tt Tatar|tw Twi|ty Tahitian|ug Uyghur|uk Ukrainian|ur Urdu|uz Uzbek|ve Venda|vi Vietnamese
vo Volapük|wa Walloon|wo Wolof|xh Xhosa|yi Yiddish|yo Yoruba|za Zhuang|zh Chinese|zu Zulu
"""
_NAMES: dict[str, str] = dict(entry.split(" ", 1) for entry in re.split(r"[|\n]", _TABLE.strip()))

# What some languages are called in themselves, and in English too.
_OTHER_NAMES = frozenset(
    """
    deutsch français francais español espanol castellano castilian português portugues italiano nederlands flemish
    русский українська polski čeština svenska norsk dansk suomi türkçe 中文 汉语 漢語 简体中文 繁體中文 mandarin
    cantonese 日本語 한국어 tiếng عربي हिन्दी farsi filipino
    """.split()  # noqa: SIM905 - as a list of strings it is hard to read
)
_WORDS = frozenset(word.lower() for name in _NAMES.values() for word in name.split()) | _OTHER_NAMES


def check_language_name(text: str) -> str:
    """Return the text if it is a language's name ("German", "Brazilian Portuguese") or code ("de", "pt-BR").

    Raise ValueError for any other.
    """
    words = re.findall(r"[^\W_]+", text.lower())
    if not _WORDS.intersection(words) and _code_of(text) is None:
        question = did_you_mean(text.capitalize(), _NAMES.values())
        raise ValueError(f"is no language: give its English name or its code, such as German or de{question}")
    return text


def spoken_language(text: str) -> str:
    """Return what a prompt calls a language: its name, also where a code is given.

    >>> spoken_language("pt-BR"), spoken_language("German")
    ('Portuguese (BR)', 'German')
    """
    code = _code_of(text)
    if code is None:
        return text
    region = text[len(code) + 1 :]
    return f"{_NAMES[code]} ({region})" if region else _NAMES[code]


def _code_of(text: str) -> str | None:
    """Return the code that a text is, or begins with before a region ("de-AT"); None if it is a name."""
    code = text.partition("-")[0].lower()
    return code if code in _NAMES and text.lower() not in _WORDS else None
