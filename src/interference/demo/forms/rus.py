"""Russian: subject, adverbial, verb, recipient, object, place. Completed events are perfective in past and future,
activities imperfective; what negation singles out (manner, "every day") follows an imperfective verb. Negation keeps
the accusative, only the question mark tells a yes/no question from a statement, and ё is always written.
"""

from interference.demo.forms import finish
from interference.demo.meaning import Clause, Phrase, Relative, Sentence, noun_class

CASES = ("nom", "gen", "dat", "ins", "prep", "acc")
HUSHERS_AND_VELARS = "кгхжшчщ"

# fmt: off
# Nominative, genitive and instrumental singular, nominative and genitive plural; one form alone is regular.
NOUNS = {
    "man": "мужчина", "woman": "женщина", "boy": "мальчик", "girl": "девочка девочки девочкой девочки девочек",
    "teacher": "учитель учителя учителем учителя учителей", "doctor": "врач врача врачом врачи врачей",
    "friend": "друг друга другом друзья друзей", "king": "король короля королём короли королей", "queen": "королева",
    "farmer": "фермер", "neighbor": "сосед соседа соседом соседи соседей",
    "brother": "брат брата братом братья братьев",
    "sister": "сестра сестры сестрой сёстры сестёр", "baker": "пекарь пекаря пекарем пекари пекарей",
    "soldier": "солдат солдата солдатом солдаты солдат",
    "grandmother": "бабушка бабушки бабушкой бабушки бабушек",
    "grandfather": "дедушка дедушки дедушкой дедушки дедушек", "painter": "художник", "student": "студент",
    "thief": "вор",
    "uncle": "дядя дяди дядей дяди дядей", "aunt": "тётя тёти тётей тёти тёть", "poet": "поэт", "sailor": "моряк",
    "judge": "судья судьи судьёй судьи судей", "cook": "повар повара поваром повара поваров",
    "dog": "собака", "cat": "кошка кошки кошкой кошки кошек", "horse": "лошадь лошади лошадью лошади лошадей",
    "bird": "птица птицы птицей птицы птиц", "cow": "корова", "mouse": "мышь мыши мышью мыши мышей", "wolf": "волк",
    "bear": "медведь медведя медведем медведи медведей", "fox": "лиса", "elephant": "слон", "rabbit": "кролик",
    "duck": "утка утки уткой утки уток",
    "book": "книга", "letter": "письмо письма письмом письма писем", "apple": "яблоко яблока яблоком яблоки яблок",
    "key": "ключ ключа ключом ключи ключей", "table": "стол", "hat": "шляпа",
    "chair": "стул стула стулом стулья стульев", "picture": "картина", "flower": "цветок цветка цветком цветы цветов",
    "cup": "чашка чашки чашкой чашки чашек", "box": "коробка коробки коробкой коробки коробок",
    "bag": "сумка сумки сумкой сумки сумок", "lamp": "лампа", "knife": "нож ножа ножом ножи ножей",
    "ring": "кольцо кольца кольцом кольца колец", "coat": "плащ плаща плащом плащи плащей",
    "ball": "мяч мяча мячом мячи мячей", "stone": "камень камня камнем камни камней",
    "bottle": "бутылка бутылки бутылкой бутылки бутылок", "egg": "яйцо яйца яйцом яйца яиц",
    "house": "дом дома домом дома домов", "garden": "сад", "city": "город города городом города городов",
    "village": "деревня деревни деревней деревни деревень", "forest": "лес леса лесом леса лесов", "school": "школа",
    "kitchen": "кухня кухни кухней кухни кухонь", "shop": "магазин", "park": "парк", "room": "комната",
    "church": "церковь церкви церковью церкви церквей", "museum": "музей музея музеем музеи музеев",
}
MASCULINE_IN_A = ("man", "grandfather", "uncle", "judge")
FEMININE_IN_SOFT_SIGN = ("horse", "mouse", "church")
IRREGULAR = {
    ("horse", "ins", True): "лошадьми", ("church", "prep", True): "церквах",
    ("garden", "prep", False): "саду", ("forest", "prep", False): "лесу",
}
ADJECTIVES = {
    "old": "старый", "small": "маленький", "young": "молодой", "big": "большой", "happy": "счастливый",
    "tired": "усталый", "strong": "сильный", "beautiful": "красивый", "hungry": "голодный", "poor": "бедный",
    "sad": "грустный", "clever": "умный", "rich": "богатый", "brave": "смелый", "lazy": "ленивый",
    "friendly": "дружелюбный", "weak": "слабый", "famous": "знаменитый", "new": "новый", "red": "красный",
    "white": "белый", "heavy": "тяжёлый",
    "expensive": "дорогой", "black": "чёрный", "clean": "чистый", "green": "зелёный", "dirty": "грязный",
    "cheap": "дешёвый", "round": "круглый", "blue": "синий", "dark": "тёмный", "quiet": "тихий", "cold": "холодный",
    "empty": "пустой", "warm": "тёплый",
}
# In the order of CASES; the accusative stands only where it has a form of its own.
ENDINGS = {
    "m": "- ого ому ым ом", "n": "ое ого ому ым ом", "f": "ая ой ой ой ой ую", "pl": "ые ых ым ыми ых",
}
DETERMINERS = {
    "this": {
        "m": "этот этого этому этим этом", "n": "это этого этому этим этом", "f": "эта этой этой этой этой эту",
        "pl": "эти этих этим этими этих",
    },
    "my": {
        "m": "мой моего моему моим моём", "n": "моё моего моему моим моём", "f": "моя моей моей моей моей мою",
        "pl": "мои моих моим моими моих",
    },
}
NUMERALS = {
    2: "два двух двум двумя двух", 3: "три трёх трём тремя трёх", 4: "четыре четырёх четырём четырьмя четырёх",
    5: "пять пяти пяти пятью пяти", 6: "шесть шести шести шестью шести", 7: "семь семи семи семью семи",
    8: "восемь восьми восьми восемью восьми", 9: "девять девяти девяти девятью девяти",
    10: "десять десяти десяти десятью десяти",
}
# Infinitive, third person singular and plural, and an irregular past; an infinitive alone is regular (-ает, -ают).
IMPERFECTIVE = {
    "sleep": "спать спит спят", "work": "работать", "laugh": "смеяться смеётся смеются", "wait": "ждать ждёт ждут",
    "sing": "петь поёт поют", "dance": "танцевать танцует танцуют", "run": "бегать", "cry": "плакать плачет плачут",
    "swim": "плавать", "smile": "улыбаться улыбается улыбаются", "rest": "отдыхать", "jump": "прыгать",
    "dream": "мечтать",
    "see": "видеть видит видят", "help": "помогать", "find": "находить находит находят", "call": "звать зовёт зовут",
    "follow": "следовать следует следуют", "greet": "приветствовать приветствует приветствуют", "visit": "навещать",
    "watch": "наблюдать", "hug": "обнимать", "protect": "защищать", "push": "толкать",
    "thank": "благодарить благодарит благодарят", "buy": "покупать", "look_for": "искать ищет ищут",
    "sell": "продавать продаёт продают", "eat": "есть ест едят ел ела", "wash": "мыть моет моют",
    "carry": "нести несёт несут нёс несла", "paint": "красить красит красят", "lose": "терять теряет теряют",
    "hide": "прятать прячет прячут", "repair": "чинить чинит чинят", "choose": "выбирать",
    "steal": "красть крадёт крадут крал крала", "give": "давать даёт дают", "show": "показывать",
    "send": "отправлять отправляет отправляют", "bring": "приносить приносит приносят", "give_back": "возвращать",
    "go": "идти идёт идут шёл шла", "return": "возвращаться возвращается возвращаются", "walk": "шагать",
    "travel": "ехать едет едут",
}
PERFECTIVE = {
    "see": "увидеть увидит увидят", "help": "помочь поможет помогут помог помогла",
    "find": "найти найдёт найдут нашёл нашла", "call": "позвать позовёт позовут",
    "follow": "последовать последует последуют", "greet": "поприветствовать поприветствует поприветствуют",
    "visit": "навестить навестит навестят", "hug": "обнять обнимет обнимут", "protect": "защитить защитит защитят",
    "push": "толкнуть толкнёт толкнут", "thank": "поблагодарить поблагодарит поблагодарят", "buy": "купить купит купят",
    "sell": "продать продаст продадут", "eat": "съесть съест съедят съел съела", "wash": "помыть помоет помоют",
    "paint": "покрасить покрасит покрасят", "lose": "потерять потеряет потеряют", "hide": "спрятать спрячет спрячут",
    "repair": "починить починит починят", "choose": "выбрать выберет выберут",
    "steal": "украсть украдёт украдут украл украла", "give": "дать даст дадут", "show": "показать покажет покажут",
    "send": "отправить отправит отправят", "bring": "принести принесёт принесут принёс принесла",
    "give_back": "вернуть вернёт вернут", "go": "пойти пойдёт пойдут пошёл пошла",
    "return": "вернуться вернётся вернутся", "travel": "поехать поедет поедут",
}
# Verbs of motion in one direction have partners for what happens again and again; so does "to be".
HABITUAL = {"go": "ходить ходит ходят", "travel": "ездить ездит ездят", "carry": "носить носит носят", "be": "бывать"}
GOVERNMENT = {"help": ("", "dat"), "follow": ("за", "ins"), "watch": ("за", "ins")}
ADVERBIALS = {
    "yesterday": "вчера", "last_week": "на прошлой неделе", "last_year": "в прошлом году",
    "three_days_ago": "три дня назад", "often": "часто", "now": "сейчас", "always": "всегда",
    "every_day": "каждый день", "sometimes": "иногда", "tomorrow": "завтра", "soon": "скоро",
    "next_week": "на следующей неделе", "next_year": "в следующем году", "today": "сегодня",
    "quickly": "быстро", "in_the_morning": "утром",
    "slowly": "медленно", "at_night": "ночью", "quietly": "тихо", "in_the_evening": "вечером", "carefully": "осторожно",
    "gladly": "охотно", "secretly": "тайно", "without_fear": "без страха", "with_pleasure": "с удовольствием",
}
NEGATED_SOON = "в ближайшее время"
REPEATED = ("often", "always", "every_day", "sometimes")
MANNER = ("quickly", "slowly", "quietly", "carefully", "gladly", "secretly", "without_fear", "with_pleasure")
CONNECTIVES = {"and": "и", "but": "но", "because": "потому что"}
# fmt: on


def _gender(noun: str) -> str:
    last = NOUNS[noun].split()[0][-1]
    if last in "ая":
        return "m" if noun in MASCULINE_IN_A else "f"
    if noun in FEMININE_IN_SOFT_SIGN:
        return "f"
    return "n" if last == "о" else "m"


def _principal_forms(noun: str) -> list[str]:
    """Nominative, genitive and instrumental singular, nominative and genitive plural."""
    forms = NOUNS[noun].split()
    if len(forms) > 1:
        return forms
    word = forms[0]
    stem = word.removesuffix("а")
    plural = stem + ("и" if stem[-1] in HUSHERS_AND_VELARS else "ы")
    if stem == word:
        return [word, word + "а", word + "ом", plural, word + "ов"]
    return [word, plural, stem + "ой", plural, stem]


def _noun(noun: str, case: str, plural: bool) -> str:
    decline = _plural_forms if plural else _singular_forms
    return IRREGULAR.get((noun, case, plural)) or _pick(decline(noun), case, noun)


def _singular_forms(noun: str) -> tuple[str, ...]:
    nominative, genitive, instrumental, *_ = _principal_forms(noun)
    if nominative[-1] in "ая":
        stem = nominative[:-1]
        accusative = stem + ("у" if nominative[-1] == "а" else "ю")
        return nominative, genitive, stem + "е", instrumental, stem + "е", accusative
    if noun in FEMININE_IN_SOFT_SIGN:
        return nominative, genitive, genitive, instrumental, genitive, nominative
    stem = genitive[:-1]
    return nominative, genitive, stem + ("у" if genitive[-1] == "а" else "ю"), instrumental, stem + "е"


def _plural_forms(noun: str) -> tuple[str, ...]:
    *_, nominative, genitive = _principal_forms(noun)
    soft = nominative[-1] == "я" or (nominative[-1] == "и" and nominative[-2] not in HUSHERS_AND_VELARS)
    stem = nominative[:-1] + ("я" if soft else "а")
    return nominative, genitive, stem + "м", stem + "ми", stem + "х"


def _pick(forms: tuple[str, ...] | list[str], case: str, noun: str) -> str:
    """The form of this case; an accusative without its own form is the genitive of animates, else the nominative."""
    if case == "acc" and len(forms) < len(CASES):
        case = "gen" if noun_class(noun) == "animate" else "nom"
    return forms[CASES.index(case)]


def _adjective(adjective: str, agreement: str, case: str, noun: str) -> str:
    citation = ADJECTIVES[adjective]
    stem = citation[:-2]
    ending = _pick(ENDINGS[agreement].split(), case, noun)
    if ending == "-":
        return citation
    if adjective == "blue":
        ending = ending[0].translate(str.maketrans("оауы", "еяюи")) + ending[1:]
    elif ending[0] == "ы" and stem[-1] in HUSHERS_AND_VELARS:
        ending = "и" + ending[1:]
    return stem + ending


def _counted(phrase: Phrase, case: str) -> list[str]:
    """Numeral, adjective and noun: a direct case makes the noun genitive, other cases run through all three."""
    feminine = _gender(phrase.noun) == "f"
    few = phrase.count < 5
    like_genitive = case == "acc" and few and noun_class(phrase.noun) == "animate"
    direct = case in ("nom", "acc") and not like_genitive
    numeral_case = adjective_case = noun_case = "gen" if like_genitive else case
    if direct:
        numeral_case, noun_case = "nom", "gen"
        adjective_case = "nom" if few and feminine else "gen"
    numeral = NUMERALS[phrase.count].split()[CASES.index(numeral_case)]
    return [
        "две" if numeral == "два" and feminine else numeral,
        phrase.adjective and _adjective(phrase.adjective, "pl", adjective_case, phrase.noun),
        _noun(phrase.noun, noun_case, not (direct and few)),
    ]


def _phrase(phrase: Phrase, case: str, tense: str) -> list[str]:
    """The noun phrase; a relative clause stands between commas."""
    if phrase.count:
        return _counted(phrase, case)
    agreement = _agreement((phrase,))
    words = []
    if phrase.determiner in DETERMINERS:
        words.append(_pick(DETERMINERS[phrase.determiner][agreement].split(), case, phrase.noun))
    if phrase.adjective:
        words.append(_adjective(phrase.adjective, agreement, case, phrase.noun))
    words.append(_noun(phrase.noun, case, phrase.plural))
    return words + (_relative(phrase.relative, agreement, tense) if phrase.relative else [])


def _relative(relative: Relative, agreement: str, tense: str) -> list[str]:
    pronoun = {"m": "который", "f": "которая", "pl": "которые"}[agreement]
    verb = _verb(relative.verb, tense, agreement)
    return [",", pronoun, *verb, *_object(relative.verb, relative.object, tense), ","]


def _object(verb: str, phrase: Phrase, tense: str) -> list[str]:
    preposition, case = GOVERNMENT.get(verb, ("", "acc"))
    return [preposition, *_phrase(phrase, case, tense)]


def _agreement(subjects: tuple[Phrase, ...]) -> str:
    """m, f, n or pl; who-questions, which have no subject phrase, are masculine."""
    if len(subjects) > 1 or any(subject.plural for subject in subjects):
        return "pl"
    return _gender(subjects[0].noun) if subjects else "m"


def _past(forms: list[str], agreement: str) -> str:
    if len(forms) > 3:
        masculine, feminine = forms[3:]
        return {"m": masculine, "f": feminine, "pl": feminine[:-1] + "и"}[agreement]
    stem = forms[0].removesuffix("ся")[:-2]
    reflexive = forms[0].endswith("ся")
    ending = {"m": "л", "f": "ла", "pl": "ли"}[agreement]
    return stem + ending + (("ся" if agreement == "m" else "сь") if reflexive else "")


def _verb(verb: str, tense: str, agreement: str, incomplete: bool = False, repeated: bool = False) -> list[str]:
    """The verb, auxiliary first; `incomplete` forces the imperfective, `repeated` a habitual present."""
    perfective = tense != "present" and not incomplete and verb in PERFECTIVE
    habitual = repeated and verb in HABITUAL
    forms = (PERFECTIVE if perfective else HABITUAL if habitual else IMPERFECTIVE)[verb].split()
    if len(forms) == 1:
        forms += [forms[0][:-2] + "ет", forms[0][:-2] + "ют"]
    if tense == "past":
        return [_past(forms, agreement)]
    number = 2 if agreement == "pl" else 1
    if tense == "present" or perfective:
        return [forms[number]]
    return [_future_auxiliary(agreement), forms[0]]


def _future_auxiliary(agreement: str) -> str:
    return "будут" if agreement == "pl" else "будет"


def _copular(clause: Clause, agreement: str) -> list[str]:
    """Copula and predicate: nominative without a verb in the present and with "always", otherwise instrumental."""
    noun = clause.subjects[0].noun
    if clause.tense == "past":
        verb = {"m": "был", "f": "была", "pl": "были"}[agreement]
    elif clause.tense == "future":
        verb = _future_auxiliary(agreement)
    elif clause.adverbial in REPEATED and clause.adverbial != "always":
        verb = _verb("be", "present", agreement, repeated=True)[0]
    else:
        return [_adjective(clause.predicate, agreement, "nom", noun)]
    return [verb, _adjective(clause.predicate, agreement, "ins", noun)]


def _place(clause: Clause) -> list[str]:
    if clause.place is None:
        return []
    # Being in a kitchen is being "on" it.
    preposition = "на" if clause.place.noun == "kitchen" else "в"
    return [preposition, *_phrase(clause.place, "acc" if clause.frame == "motion" else "prep", clause.tense)]


def _complements(clause: Clause) -> list[str]:
    recipient = _phrase(clause.recipient, "dat", clause.tense) if clause.recipient else []
    direct = _object(clause.verb, clause.object, clause.tense) if clause.object else []
    return [*recipient, *direct, *_place(clause)]


def _adverbial(clause: Clause) -> str:
    # "Скоро" does not combine with negation of the whole event.
    if clause.negated and clause.adverbial == "soon":
        return NEGATED_SOON
    return ADVERBIALS[clause.adverbial] if clause.adverbial else ""


def _slot(clause: Clause) -> str:
    """Where the adverbial stands: after the subject, before the verb, or after it as what negation singles out."""
    manner = clause.adverbial in MANNER
    if clause.negated and (manner or clause.adverbial == "every_day"):
        return "focus"
    return "manner" if manner else "time"


def _predicate(clause: Clause, slot: str, adverbial: str) -> list[str]:
    """Verb and complements; an adverbial in focus ends the clause, but does not follow a relative clause."""
    agreement = _agreement(clause.subjects)
    focus = adverbial if slot == "focus" else ""
    if clause.frame == "copular":
        return [*_copular(clause, agreement), focus]
    verb = _verb(clause.verb, clause.tense, agreement, slot == "focus", clause.adverbial in REPEATED)
    if slot == "manner":
        verb.insert(len(verb) - 1, adverbial)
    if clause.object and clause.object.relative:
        return [*verb, focus, *_complements(clause)]
    return [*verb, *_complements(clause), focus]


def _clause(clause: Clause, question: str) -> list[str]:
    slot, adverbial = _slot(clause), _adverbial(clause)
    subject: list[str] = ["кто"] if question == "who" else []
    for phrase in clause.subjects:
        subject += [*(["и"] if subject else []), *_phrase(phrase, "nom", clause.tense)]
    time = adverbial if slot == "time" else ""
    predicate = [time, "не" if clause.negated else "", *_predicate(clause, slot, adverbial)]
    return ["что", *predicate, *subject] if question == "what" else [*subject, *predicate]


def render(sentence: Sentence) -> str:
    """The sentence in Russian."""
    words = _clause(sentence.clauses[0], sentence.question)
    for clause in sentence.clauses[1:]:
        words += [",", CONNECTIVES[sentence.connective], *_clause(clause, "")]
    while words[-1] in ("", ","):
        words.pop()
    return finish(words, "?" if sentence.question else ".")
