"""Turkish: -di past, -iyor present, -ecek future, participles -en and -ecek olan; joined subjects take ile, clauses ve.

Order: subject, time, place, marked object, recipient, manner, bare object, verb. The verb stays singular, as is usual
beside an overt subject. *The* puts a direct object in the accusative and *a* leaves it bare, but the two are told
apart neither on other plurals, nor on animate or negated plural objects, nor with verbs that want a case anyway.
"""

from interference.demo.forms import finish
from interference.demo.meaning import Clause, Phrase, Relative, Sentence, noun_class

# fmt: off
NOUNS = {
    "man": "adam", "woman": "kadın", "boy": "oğlan", "girl": "kız", "teacher": "öğretmen", "doctor": "doktor",
    "friend": "arkadaş", "king": "kral", "queen": "kraliçe", "farmer": "çiftçi", "neighbor": "komşu",
    "brother": "erkek kardeş", "sister": "kız kardeş", "baker": "fırıncı", "soldier": "asker", "grandmother": "nine",
    "grandfather": "dede", "painter": "ressam", "student": "öğrenci", "thief": "hırsız", "uncle": "amca",
    "aunt": "teyze", "poet": "şair", "sailor": "denizci", "judge": "yargıç", "cook": "aşçı",
    "dog": "köpek", "cat": "kedi", "horse": "at", "bird": "kuş", "cow": "inek", "mouse": "fare", "wolf": "kurt",
    "bear": "ayı", "fox": "tilki", "elephant": "fil", "rabbit": "tavşan", "duck": "ördek",
    "book": "kitap", "letter": "mektup", "apple": "elma", "key": "anahtar", "table": "masa", "hat": "şapka",
    "chair": "sandalye", "picture": "resim", "flower": "çiçek", "cup": "fincan", "box": "kutu", "bag": "çanta",
    "lamp": "lamba", "knife": "bıçak", "ring": "yüzük", "coat": "palto", "ball": "top", "stone": "taş",
    "bottle": "şişe", "egg": "yumurta",
    "house": "ev", "garden": "bahçe", "city": "şehir", "village": "köy", "forest": "orman", "school": "okul",
    "kitchen": "mutfak", "shop": "dükkân", "park": "park", "room": "oda", "church": "kilise", "museum": "müze",
}
VERBS = {
    "be": "ol", "sleep": "uyu", "work": "çalış", "laugh": "gül", "wait": "bekle", "sing": "şarkı söyle",
    "dance": "dans et", "run": "koş", "cry": "ağla", "swim": "yüz", "smile": "gülümse", "rest": "dinlen",
    "jump": "zıpla", "dream": "rüya gör",
    "see": "gör", "help": "yardım et", "find": "bul", "call": "çağır", "follow": "takip et", "greet": "selamla",
    "visit": "ziyaret et", "watch": "izle", "hug": "sarıl", "protect": "koru", "push": "it", "thank": "teşekkür et",
    "buy": "satın al", "look_for": "ara", "sell": "sat", "eat": "ye", "wash": "yıka", "carry": "taşı",
    "paint": "boya", "lose": "kaybet", "hide": "sakla", "repair": "onar", "choose": "seç", "steal": "çal",
    "give": "ver", "show": "göster", "send": "gönder", "bring": "getir", "give_back": "geri ver",
    "go": "git", "return": "geri dön", "walk": "yürü", "travel": "seyahat et",
}
DATIVE_VERBS = ("help", "hug", "thank")
# With these an unmarked object would pass for the subject, so even "a dog" is accusative (bir köpeği).
ACCUSATIVE_VERBS = ("call", "follow", "greet", "visit", "watch", "protect", "push", "give_back")
# Last words whose stem changes before a vowel: köpek, köpeği; git-, gidiyor.
OPEN_STEMS = {
    "köpek": "köpeğ", "inek": "ineğ", "ördek": "ördeğ", "kurt": "kurd", "yargıç": "yargıc", "kitap": "kitab",
    "mektup": "mektub", "resim": "resm", "çiçek": "çiçeğ", "bıçak": "bıçağ", "yüzük": "yüzüğ", "şehir": "şehr",
    "mutfak": "mutfağ", "et": "ed", "git": "gid", "kaybet": "kaybed", "ye": "yi",
}
ADJECTIVES = {
    "old": "eski", "small": "küçük", "young": "genç", "big": "büyük", "happy": "mutlu", "tired": "yorgun",
    "strong": "güçlü", "beautiful": "güzel", "hungry": "aç", "poor": "yoksul", "sad": "üzgün", "clever": "zeki",
    "rich": "zengin", "brave": "cesur", "lazy": "tembel", "friendly": "cana yakın", "weak": "güçsüz", "famous": "ünlü",
    "new": "yeni", "red": "kırmızı", "white": "beyaz", "heavy": "ağır", "expensive": "pahalı", "black": "siyah",
    "clean": "temiz", "green": "yeşil", "dirty": "kirli", "cheap": "ucuz", "round": "yuvarlak", "blue": "mavi",
    "dark": "karanlık", "quiet": "sessiz", "cold": "soğuk", "empty": "boş", "warm": "sıcak",
}
TIMES = {
    "yesterday": "dün", "last_week": "geçen hafta", "last_year": "geçen yıl", "three_days_ago": "üç gün önce",
    "often": "sık sık", "now": "şimdi", "always": "her zaman", "every_day": "her gün", "sometimes": "bazen",
    "tomorrow": "yarın", "soon": "yakında", "next_week": "önümüzdeki hafta", "next_year": "önümüzdeki yıl",
    "today": "bugün", "in_the_morning": "sabahleyin", "at_night": "geceleyin", "in_the_evening": "akşamleyin",
}
MANNERS = {
    "quickly": "hızlıca", "slowly": "yavaşça", "quietly": "sessizce", "carefully": "dikkatlice", "gladly": "seve seve",
    "secretly": "gizlice", "without_fear": "korkmadan", "with_pleasure": "zevkle",
}
NUMBERS = {2: "iki", 3: "üç", 4: "dört", 5: "beş", 6: "altı", 7: "yedi", 8: "sekiz", 9: "dokuz", 10: "on"}
CONNECTIVES = {"and": " ve", "but": ", ama", "because": ", çünkü"}
HIGH = {"a": "ı", "â": "ı", "ı": "ı", "e": "i", "i": "i", "o": "u", "u": "u", "ö": "ü", "ü": "ü"}
# fmt: on


def _high(stem: str) -> str:
    """The ı, i, u or ü that follows this stem."""
    return HIGH[next(letter for letter in reversed(stem) if letter in HIGH)]


def _low(stem: str) -> str:
    """The a or e that follows this stem."""
    return "e" if _high(stem) in "iü" else "a"


def _dental(stem: str) -> str:
    """The t or d that follows this stem."""
    return "t" if stem[-1] in "fstkçşhp" else "d"


def _glide(stem: str) -> str:
    """The y that keeps two vowels apart, if needed."""
    return "y" if stem[-1] in HIGH else ""


def _open(stem: str) -> str:
    """The stem as it stands before a vowel."""
    head, space, last = stem.rpartition(" ")
    return head + space + OPEN_STEMS.get(last, last)


def _noun(noun: str, plural: bool, mine: bool, case: str) -> str:
    form = NOUNS[noun]
    if plural:
        form += f"l{_low(form)}r"
    if mine:
        form = _open(form)
        form += "m" if form[-1] in HIGH else f"{_high(form)}m"
    if case == "locative":
        return form + _dental(form) + _low(form)
    if not case:
        return form
    form = _open(form)
    return form + _glide(form) + (_high(form) if case == "accusative" else _low(form))


def _adjective(adjective: str, noun: str) -> str:
    """The adjective beside this noun: an old person is not old as a thing is."""
    if adjective == "old" and noun_class(noun) == "animate":
        return "yaşlı"
    return ADJECTIVES[adjective] if adjective else ""


def _phrase(phrase: Phrase | None, case: str = "", tense: str = "") -> str:
    """Relative clause, this or number, adjective, bir, noun; after a number the noun is singular."""
    if phrase is None:
        return ""
    before = "bu" if phrase.determiner == "this" else NUMBERS[phrase.count] if phrase.count else ""
    words = [
        _relative(phrase.relative, tense) if phrase.relative else "",
        before,
        _adjective(phrase.adjective, phrase.noun),
        "bir" if phrase.determiner == "a" and not phrase.plural else "",
        _noun(phrase.noun, phrase.plural and not phrase.count, phrase.determiner == "my", case),
    ]
    return " ".join(filter(None, words))


def _object_case(verb: str, phrase: Phrase | None, negated: bool = False) -> str:
    """Dative or accusative by the verb, else accusative if definite, or if long and so kept away from the verb.

    An indefinite plural is accusative too if animate (atlar yargıçlar gördü would have two subjects) or negated.
    """
    if verb in DATIVE_VERBS:
        return "dative"
    bare = phrase is None or (phrase.determiner in ("a", "count") and not phrase.relative)
    if phrase and phrase.determiner == "a" and phrase.plural:
        bare = bare and not negated and noun_class(phrase.noun) == "thing"
    return "" if bare and verb not in ACCUSATIVE_VERBS else "accusative"


def _relative(relative: Relative, tense: str) -> str:
    if tense == "future":
        participle = f"{_finite(relative.verb, tense, False)} olan"
    else:
        stem = _open(VERBS[relative.verb])
        participle = f"{stem}{_glide(stem)}{_low(stem)}n"
    return f"{_phrase(relative.object, _object_case(relative.verb, relative.object))} {participle}"


def _finite(verb: str, tense: str, negated: bool) -> str:
    stem = VERBS[verb]
    if negated:
        stem += f"m{_low(stem)}"
    if tense == "past":
        return stem + _dental(stem) + _high(stem)
    stem = _open(stem)
    if tense == "future":
        return f"{stem}{_glide(stem)}{_low(stem)}c{_low(stem)}k"
    # Before -yor a final a or e gives way to a high vowel (bekle-, bekliyor); a final high vowel stays.
    stem = stem[:-1] if stem[-1] in "ae" else stem
    return f"{stem}{'' if stem[-1] in HIGH else _high(stem)}yor"


def _polar(predicate: str) -> str:
    return f"{predicate} m{_high(predicate)}"


def _copular(clause: Clause, question: str) -> str:
    """Past -di goes last: yorgundu, yorgun değildi, yorgun muydu; the present has no copula."""
    adjective = _adjective(clause.predicate, clause.subjects[0].noun)
    if clause.tense == "future":
        predicate = f"{adjective} {_finite('be', 'future', clause.negated)}"
        return _polar(predicate) if question else predicate
    predicate = f"{adjective} değil" if clause.negated else adjective
    predicate = _polar(predicate) if question else predicate
    ending = _glide(predicate) + _dental(predicate) + _high(predicate)
    return predicate + ending if clause.tense == "past" else predicate


def _predicate(clause: Clause, question: str) -> str:
    if clause.frame == "copular":
        return _copular(clause, question)
    verb = _finite(clause.verb, clause.tense, clause.negated)
    return _polar(verb) if question == "polar" else verb


def _clause(clause: Clause, question: str) -> list[str]:
    """The words in order; *kim* follows what is marked, and time follows a long object, lest it join its participle."""
    case = _object_case(clause.verb, clause.object, clause.negated)
    direct = "ne" if question == "what" else _phrase(clause.object, case, clause.tense)
    time = TIMES.get(clause.adverbial, "")
    late = clause.object is not None and clause.object.relative is not None
    return [
        " ile ".join(_phrase(subject, tense=clause.tense) for subject in clause.subjects),
        "" if late else time,
        _phrase(clause.place, "dative" if clause.frame == "motion" else "locative"),
        direct if case else "",
        time if late else "",
        _phrase(clause.recipient, "dative"),
        "kim" if question == "who" else "",
        MANNERS.get(clause.adverbial, ""),
        "" if case else direct,
        _predicate(clause, question),
    ]


def render(sentence: Sentence) -> str:
    """The Turkish sentence for this meaning."""
    clauses = [" ".join(filter(None, _clause(clause, sentence.question))) for clause in sentence.clauses]
    text = f"{CONNECTIVES.get(sentence.connective, '')} ".join(clauses)
    # A dotted i keeps its dot as a capital, which str.upper does not know.
    text = "İ" + text[1:] if text.startswith("i") else text
    return finish([text], "?" if sentence.question else ".")
