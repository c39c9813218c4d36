"""The check that a summary does not open with a filler such as "This function"."""

# ruff: noqa: RUF001 - letters and marks of other languages are meant where they stand

from __future__ import annotations

import functools
import re

_THING = r"(?:function|method|class|constructor|module|procedure|routine|subroutine|coroutine|symbol|snippet|code)"
_ANY_THING = rf"(?:{_THING}|helper|utility|property|attribute|variable|constant|interface|struct|enum|trait|macro)"
_VAGUE = r"(?:(?:simple|small|basic|helper|utility|convenience|generic|custom|public|private|internal|static)\s+)*"
_NAME = r"(?:[`'\"]?[\w.$]+(?:\(\))?[`'\"]?\s+)"
# Not "the class names", "the code points".
_NOUNS = "names|points|arguments|args|attributes|objects|parameters|methods|types|members|variables|instances"
_VERB = rf"(?:is|are|was|has|can|will|does|that|which|(?!(?:{_NOUNS})\b)[a-z]{{2,}}(?<![su])s)"
# "The `close` method of the `Session` class closes".
_OF_PLACE = rf"(?:(?:of|in|from|on)\s+(?:the\s+)?{_NAME}(?:(?:class|module|file|object|library|package|instance)\s+)?)"
# Not "la classe de base", "la clase padre".
_NO_VERB = r"(?!base|abstra|astratt|padre|madre|m[èã]|parente|hija|filha|figlia|de\s|que\s|che\s)"
_FILLER = {
    "en": rf"""(?:this|the\ following|the\ given|the\ above)\s+(?:\w+\s+)?{_ANY_THING}\b
        |(?:this|it)\s+is\s+(?:an?|the|used|responsible|called|designed)\b
        |it\s+(?:also\s+|then\s+|simply\s+)?[a-z]{{2,}}(?<![su])s\s
        |the\s+{_NAME}?{_THING}\s+{_OF_PLACE}?{_VERB}\s
        |an?\s+{_VAGUE}{_ANY_THING}\s+(?:that|which|to|for|used|responsible|designed|representing)\b
        |{_VAGUE}{_ANY_THING}\s+(?:that|which|used|responsible|designed)\b
        |(?:the\s+)?{_NAME}{{1,2}}is\s+an?\s+{_VAGUE}{_ANY_THING}\b
        |(?:the\s+)?{_NAME}{{1,2}}is\s+an?\s+[\w-]+\s+{_ANY_THING}\s+(?:that|which|used|to|for)\b
        |(?:the\s+(?:purpose|goal|role|job|responsibility)\s+of|in)\s+(?:this|the)\s+{_NAME}?{_ANY_THING}\b
        |(?:summary|description|purpose)\s*:""",
    "de": r"""dies(?:e|er|es)\s+(?:\w+\s+)?(?:funktion|methode|klasse|konstruktor|modul|prozedur|code|eigenschaft)\b
        |d(?:ie|er|as)\s+(?:[`\w.()]+\s+)?(?:funktion|methode|klasse|konstruktor|modul|prozedur)\s+
            (?:ist|wird|kann|hat|dient|(?!mit\b)\w+t)\b
        |(?:eine?\s+)?(?:\w+\s+)?(?:funktion|methode|klasse|modul|prozedur)\s*(?:,\s*(?:die|das|der|um)|zu[mr]|für)\b
        |(?:dies|es)\s+ist\s+eine?\b""",
    "fr": rf"""c(?:e|et|ette)\s+(?:\w+\s+)?(?:fonction|méthode|classe|constructeur|module|procédure|code|propriété)\b
        |l[ae]\s+(?:fonction|méthode|classe|constructeur|module|procédure)\s+(?:`\S+\s+)?(?:est|permet|{_NO_VERB}(?:\w+e|\w+it))\s
        |(?:une?\s+)?(?:fonction|méthode|classe|module)\s+(?:qui|pour|permettant|utilisée?|servant)\b
        |(?:c'est|il\s+s'agit\s+d')\s*une?\b""",
    "es": rf"""est[ea]\s+(?:función|método|clase|constructor|módulo|procedimiento|código|propiedad)\b
        |(?:la|el)\s+(?:función|método|clase|constructor|módulo)\s+(?:`\S+\s+)?(?:es|se|{_NO_VERB}\w{{3,}}[ae])\s
        |(?:una?\s+)?(?:función|método|clase|módulo)\s+(?:que|para|utilizad[ao])\b
        |(?:esta?|esto)\s+es\s+una?\b""",
    "pt": rf"""es[ts][ea]\s+(?:função|método|classe|construtor|módulo|procedimento|código|propriedade)\b
        |[ao]\s+(?:função|método|classe|construtor|módulo)\s+(?:`\S+\s+)?(?:é|se|{_NO_VERB}\w{{3,}}[ae])\s
        |(?:uma?\s+)?(?:função|método|classe|módulo)\s+(?:que|para|utilizad[ao]|usad[ao])\b
        |(?:est[ae]|isto|isso)\s+é\s+uma?\b""",
    "it": rf"""quest[oa]\s+(?:funzione|metodo|classe|costruttore|modulo|procedura|codice|proprietà)\b
        |(?:la|il)\s+(?:funzione|metodo|classe|costruttore|modulo)\s+(?:`\S+\s+)?(?:è|si|{_NO_VERB}\w{{3,}}[ae])\s
        |(?:una?\s+)?(?:funzione|metodo|classe|modulo)\s+(?:che|per|utilizzat[ao]|usat[ao])\b
        |quest[oa]\s+è\s+una?\b""",
    "nl": r"""de[zs]e\s+(?:functie|methode|klasse|constructor|module|procedure|code|eigenschap)\b
        |dit\s+is\s+een\b
        |de\s+(?:functie|methode|klasse|constructor|module)\s+(?:[`\w.()]+\s+)?(?:is|wordt|kan|(?!met\b)\w+t)\s
        |(?:een\s+)?(?:functie|methode|klasse|module)\s+(?:die|dat|om|voor)\b""",
    "ru": r"""(?:эт[аои]|этот|данн(?:ая|ый|ое))\s+(?:функци|метод|класс|конструктор|модул|процедур|код|свойств)\w*
        |(?:функция|метод|класс|конструктор|модуль)\s+(?:[`\w.()]+\s+)?\w+(?:ет|ит|ют|ят|ется|ится)\b
        |(?:функция|метод|класс|модуль)\s*(?:,\s*котор\w+|для|предназначен\w*)""",
    "zh": r"""(?:这是|(?:这|该|此|本|这个)\s*(?:个|一)?\s*(?:函数|方法|类|构造函数|模块|代码|属性|接口))
        |一个.{0,12}?(?:函数|方法|类)(?:[，,。]|$)|(?:函数|方法|类)(?:用于|用来)""",
    "ja": r"""(?:この|本|当該)(?:関数|メソッド|クラス|コンストラクタ|モジュール|コード|プロパティ)
        |(?:関数|メソッド|クラス)は|これは""",
    "ko": r"""(?:이|본|해당)\s*(?:함수|메서드|메소드|클래스|생성자|모듈|코드|속성)(?:는|은|가|이|를)?
        |(?:함수|메서드|메소드|클래스)(?:는|은)\s|이것은""",
}


@functools.cache
def _filler_opening(code: str) -> re.Pattern[str]:
    return re.compile(rf"\W{{,3}}(?:{_FILLER[code]})", re.IGNORECASE | re.VERBOSE)


def check_filler(summary: str, code: str | None) -> str | None:
    """Return why the summary opens with a filler, or None."""
    opening = _filler_opening(code or "en").match(summary)
    if opening is None:
        return None
    return "The summary opens by naming the kind of thing it describes; begin with what the symbol does."
