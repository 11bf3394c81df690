"""German: Präteritum, Präsens and Futur I with *werden*; verb second, verb first in yes/no questions, verb last after
*weil* and in relative clauses, which leave an object's place for the end of the sentence. Proximal *dieser*, places
always with *in*, and animals *fressen* where persons *essen*."""

from interference.demo.forms import finish
from interference.demo.meaning import ANIMALS, Clause, Phrase, Sentence

# fmt: off
NOUNS = {  # concept: gender, singular, plural
    "man": ("m", "Mann", "Männer"), "woman": ("f", "Frau", "Frauen"), "boy": ("m", "Junge", "Jungen"),
    "girl": ("n", "Mädchen", "Mädchen"), "teacher": ("m", "Lehrer", "Lehrer"), "doctor": ("m", "Arzt", "Ärzte"),
    "friend": ("m", "Freund", "Freunde"), "king": ("m", "König", "Könige"), "queen": ("f", "Königin", "Königinnen"),
    "farmer": ("m", "Bauer", "Bauern"), "neighbor": ("m", "Nachbar", "Nachbarn"), "brother": ("m", "Bruder", "Brüder"),
    "sister": ("f", "Schwester", "Schwestern"), "baker": ("m", "Bäcker", "Bäcker"),
    "soldier": ("m", "Soldat", "Soldaten"), "grandmother": ("f", "Großmutter", "Großmütter"),
    "grandfather": ("m", "Großvater", "Großväter"), "painter": ("m", "Maler", "Maler"),
    "student": ("m", "Student", "Studenten"), "thief": ("m", "Dieb", "Diebe"), "uncle": ("m", "Onkel", "Onkel"),
    "aunt": ("f", "Tante", "Tanten"), "poet": ("m", "Dichter", "Dichter"), "sailor": ("m", "Matrose", "Matrosen"),
    "judge": ("m", "Richter", "Richter"), "cook": ("m", "Koch", "Köche"),
    "dog": ("m", "Hund", "Hunde"), "cat": ("f", "Katze", "Katzen"), "horse": ("n", "Pferd", "Pferde"),
    "bird": ("m", "Vogel", "Vögel"), "cow": ("f", "Kuh", "Kühe"), "mouse": ("f", "Maus", "Mäuse"),
    "wolf": ("m", "Wolf", "Wölfe"), "bear": ("m", "Bär", "Bären"), "fox": ("m", "Fuchs", "Füchse"),
    "elephant": ("m", "Elefant", "Elefanten"),
    "rabbit": ("n", "Kaninchen", "Kaninchen"), "duck": ("f", "Ente", "Enten"),
    "book": ("n", "Buch", "Bücher"), "letter": ("m", "Brief", "Briefe"), "apple": ("m", "Apfel", "Äpfel"),
    "key": ("m", "Schlüssel", "Schlüssel"), "table": ("m", "Tisch", "Tische"), "hat": ("m", "Hut", "Hüte"),
    "chair": ("m", "Stuhl", "Stühle"), "picture": ("n", "Bild", "Bilder"), "flower": ("f", "Blume", "Blumen"),
    "cup": ("f", "Tasse", "Tassen"), "box": ("f", "Kiste", "Kisten"), "bag": ("f", "Tasche", "Taschen"),
    "lamp": ("f", "Lampe", "Lampen"), "knife": ("n", "Messer", "Messer"), "ring": ("m", "Ring", "Ringe"),
    "coat": ("m", "Mantel", "Mäntel"), "ball": ("m", "Ball", "Bälle"), "stone": ("m", "Stein", "Steine"),
    "bottle": ("f", "Flasche", "Flaschen"), "egg": ("n", "Ei", "Eier"),
    "house": ("n", "Haus", "Häuser"), "garden": ("m", "Garten", "Gärten"), "city": ("f", "Stadt", "Städte"),
    "village": ("n", "Dorf", "Dörfer"), "forest": ("m", "Wald", "Wälder"), "school": ("f", "Schule", "Schulen"),
    "kitchen": ("f", "Küche", "Küchen"), "shop": ("m", "Laden", "Läden"), "park": ("m", "Park", "Parks"),
    "room": ("n", "Zimmer", "Zimmer"), "church": ("f", "Kirche", "Kirchen"), "museum": ("n", "Museum", "Museen"),
}
# n-declension: every singular case but the nominative looks like the plural.
WEAK_NOUNS = {"boy", "farmer", "neighbor", "soldier", "student", "sailor", "bear", "elephant"}

ADJECTIVES = {
    "old": "alt", "small": "klein", "young": "jung", "big": "groß", "happy": "glücklich", "tired": "müde",
    "strong": "stark", "beautiful": "schön", "hungry": "hungrig", "poor": "arm", "sad": "traurig", "clever": "klug",
    "rich": "reich", "brave": "mutig", "lazy": "faul", "friendly": "freundlich", "weak": "schwach",
    "famous": "berühmt", "new": "neu", "red": "rot", "white": "weiß", "heavy": "schwer", "expensive": "teuer",
    "black": "schwarz", "clean": "sauber", "green": "grün", "dirty": "schmutzig", "cheap": "billig", "round": "rund",
    "blue": "blau", "dark": "dunkel", "quiet": "ruhig", "cold": "kalt", "empty": "leer", "warm": "warm",
}
STEMS = {"teuer": "teur", "dunkel": "dunkl", "müde": "müd"}  # adjectives that lose an e before an ending

VERBS = {
    "see": "sehen", "help": "helfen", "find": "finden", "call": "rufen", "follow": "folgen", "greet": "grüßen",
    "visit": "besuchen", "watch": "beobachten", "hug": "umarmen", "protect": "beschützen", "push": "stoßen",
    "thank": "danken", "buy": "kaufen", "look_for": "suchen", "sell": "verkaufen", "eat": "essen", "wash": "waschen",
    "carry": "tragen", "paint": "malen", "lose": "verlieren", "hide": "verstecken", "repair": "reparieren",
    "choose": "wählen", "steal": "stehlen", "sleep": "schlafen", "work": "arbeiten", "laugh": "lachen",
    "wait": "warten", "sing": "singen", "dance": "tanzen", "run": "rennen", "cry": "weinen", "swim": "schwimmen",
    "smile": "lächeln", "rest": "ruhen", "jump": "springen", "dream": "träumen", "give": "geben", "show": "zeigen",
    "send": "schicken", "bring": "bringen", "give_back": "geben", "go": "gehen", "return": "kehren",
    "walk": "spazieren", "travel": "reisen", "be": "sein",
}
STRONG = {  # infinitive: third person singular of present and past
    "sehen": ("sieht", "sah"), "helfen": ("hilft", "half"), "finden": ("findet", "fand"), "rufen": ("ruft", "rief"),
    "stoßen": ("stößt", "stieß"), "essen": ("isst", "aß"), "fressen": ("frisst", "fraß"),
    "waschen": ("wäscht", "wusch"), "tragen": ("trägt", "trug"), "verlieren": ("verliert", "verlor"),
    "stehlen": ("stiehlt", "stahl"), "schlafen": ("schläft", "schlief"), "singen": ("singt", "sang"),
    "rennen": ("rennt", "rannte"), "schwimmen": ("schwimmt", "schwamm"), "springen": ("springt", "sprang"),
    "geben": ("gibt", "gab"), "bringen": ("bringt", "brachte"), "gehen": ("geht", "ging"), "sein": ("ist", "war"),
}
PREFIXES = {"give_back": "zurück", "return": "zurück", "rest": "aus"}
REFLEXIVE = {"rest"}
DATIVE_VERBS = {"help", "follow", "thank"}

ADVERBIALS = {
    "yesterday": "gestern", "last_week": "letzte Woche", "last_year": "letztes Jahr",
    "three_days_ago": "vor drei Tagen", "often": "oft", "now": "jetzt", "always": "immer", "every_day": "jeden Tag",
    "sometimes": "manchmal", "tomorrow": "morgen", "soon": "bald", "next_week": "nächste Woche",
    "next_year": "nächstes Jahr", "today": "heute", "quickly": "schnell", "in_the_morning": "am Morgen",
    "slowly": "langsam", "at_night": "in der Nacht", "quietly": "leise", "in_the_evening": "am Abend",
    "carefully": "vorsichtig", "gladly": "gern", "secretly": "heimlich", "without_fear": "ohne Angst",
    "with_pleasure": "mit Vergnügen",
}
MANNER = {"quickly", "slowly", "quietly", "carefully", "gladly", "secretly"}
NEGATABLE = MANNER | {"without_fear", "with_pleasure", "every_day", "soon"}  # *nicht* stands before these

NUMERALS = {2: "zwei", 3: "drei", 4: "vier", 5: "fünf", 6: "sechs", 7: "sieben", 8: "acht", 9: "neun", 10: "zehn"}
CONNECTIVES = {"and": "und", "but": "aber", "because": "weil"}

# Columns: masculine, feminine, neuter, plural.
DEFINITE = {
    "nom": ("der", "die", "das", "die"), "acc": ("den", "die", "das", "die"), "dat": ("dem", "der", "dem", "den"),
}
STRONG_ENDINGS = {"nom": ("er", "e", "es", "e"), "acc": ("en", "e", "es", "e"), "dat": ("em", "er", "em", "en")}
WEAK_ENDINGS = {"nom": ("e", "e", "e", "en"), "acc": ("en", "e", "e", "en"), "dat": ("en", "en", "en", "en")}
EIN_ENDINGS = {"nom": ("", "e", "", "e"), "acc": ("en", "e", "", "e"), "dat": ("em", "er", "em", "en")}
# fmt: on


def _column(phrase: Phrase) -> int:
    return 3 if phrase.plural else "mfn".index(NOUNS[phrase.noun][0])


def _determiner(phrase: Phrase, case: str, denied: bool) -> str:
    """The determiner; `denied` makes the indefinite one *kein*."""
    column = _column(phrase)
    if phrase.determiner == "the":
        return DEFINITE[case][column]
    if phrase.determiner == "this":
        return "dies" + STRONG_ENDINGS[case][column]
    if phrase.determiner == "count":
        return NUMERALS[phrase.count]
    if phrase.determiner == "a" and phrase.plural and not denied:
        return ""
    stem = "mein" if phrase.determiner == "my" else "kein" if denied else "ein"
    return stem + EIN_ENDINGS[case][column]


def _adjective(phrase: Phrase, case: str, determiner: str) -> str:
    """The adjective: a strong ending unless the determiner shows one itself."""
    if not phrase.adjective:
        return ""
    base = ADJECTIVES[phrase.adjective]
    bare = phrase.determiner == "count" or determiner in ("", "ein", "mein", "kein")
    endings = STRONG_ENDINGS if bare else WEAK_ENDINGS
    return STEMS.get(base, base) + endings[case][_column(phrase)]


def _noun(phrase: Phrase, case: str) -> str:
    _, singular, plural = NOUNS[phrase.noun]
    if phrase.plural:
        return plural + "n" if case == "dat" and plural[-1] not in "ns" else plural
    return plural if phrase.noun in WEAK_NOUNS and case != "nom" else singular


def _phrase(phrase: Phrase, case: str, denied: bool = False) -> str:
    """The noun phrase without its relative clause."""
    determiner = _determiner(phrase, case, denied)
    words = [determiner, _adjective(phrase, case, determiner), _noun(phrase, case)]
    return " ".join(word for word in words if word)


def _place(phrase: Phrase, case: str, denied: bool) -> str:
    """*in* with the dative for where, the accusative for where to, contracted with *dem* and *das*."""
    return f"in {_phrase(phrase, case, denied)}".replace("in dem ", "im ").replace("in das ", "ins ")


def _finite(infinitive: str, tense: str, plural: bool) -> str:
    """The third person of present or past."""
    stem = infinitive.removesuffix("n").removesuffix("e")
    stem += "e" if stem[-1] in "td" else ""
    present, past = STRONG.get(infinitive, (stem + "t", stem + "te"))
    if tense == "past":
        return past + ("n" if past.endswith("e") else "en") * plural
    if plural:
        return "sind" if infinitive == "sein" else infinitive
    return present


def _verb(verb: str, tense: str, subjects: tuple[Phrase, ...]) -> tuple[str, str]:
    """The finite verb and what the clause keeps for its end: a prefix or the infinitive."""
    plural = len(subjects) == 2 or any(subject.plural for subject in subjects)
    beasts = subjects and all(subject.noun in ANIMALS for subject in subjects)
    infinitive = "fressen" if verb == "eat" and beasts else VERBS[verb]
    prefix = PREFIXES.get(verb, "")
    if tense == "future":
        return "werden" if plural else "wird", prefix + infinitive
    return _finite(infinitive, tense, plural), prefix


def _last(finite: str, rest: str, tense: str) -> str:
    """The verb of a verb-last clause, in one word with its prefix."""
    return f"{rest} {finite}" if tense == "future" else rest + finite


def _object_case(verb: str) -> str:
    return "dat" if verb in DATIVE_VERBS else "acc"


def _relative(phrase: Phrase | None, tense: str) -> list[str]:
    """The relative clause of a phrase, after its comma; nothing where there is none."""
    if phrase is None or phrase.relative is None:
        return []
    verb, pronoun = phrase.relative.verb, DEFINITE["nom"][_column(phrase)]
    last = _last(*_verb(verb, tense, (phrase,)), tense)
    return [",", pronoun, _phrase(phrase.relative.object, _object_case(verb)), last]


def _subject(clause: Clause) -> list[str]:
    if not clause.subjects:
        return ["wer"]
    relative = _relative(clause.subjects[0], clause.tense)
    text = " und ".join(_phrase(subject, "nom") for subject in clause.subjects)
    return [text, *relative, ","] if relative else [text]


def _objects(clause: Clause) -> list[tuple[Phrase, str]]:
    """Recipient and object with their cases, in this order."""
    pairs = [(clause.recipient, "dat"), (clause.object, _object_case(clause.verb))]
    return [(phrase, case) for phrase, case in pairs if phrase]


def _denied(clause: Clause, inner: str) -> Phrase | None:
    """The phrase that says *kein*: the first indefinite object or goal, unless *nicht* precedes an adverbial."""
    if not clause.negated or inner:
        return None
    goal = [clause.place] if clause.frame == "motion" else []
    phrases = [phrase for phrase, _ in _objects(clause)] + goal
    return next((phrase for phrase in phrases if phrase and phrase.determiner == "a"), None)


def _middle(clause: Clause) -> list[str]:
    """What stands between the verb's parts. Light definite objects come before *nicht* and inner adverbials;
    outer adverbials come first, but in a negated clause they follow those objects."""
    adverbial = ADVERBIALS.get(clause.adverbial, "")
    inner = adverbial if clause.adverbial in (NEGATABLE if clause.negated else MANNER) else ""
    outer = "" if inner else adverbial
    denied, objects = _denied(clause, inner), _objects(clause)
    light = [phrase.determiner not in ("a", "count") and not phrase.relative for phrase, _ in objects]
    cut = [*light, False].index(False)
    words = [_phrase(phrase, case, phrase is denied) for phrase, case in objects]
    negation = "nicht" if clause.negated and not denied else ""
    early = [*words[:cut], outer] if clause.negated else [outer, *words[:cut]]
    late = [negation, inner, *words[cut:]] if inner else [*words[cut:], negation]
    case = "acc" if clause.frame == "motion" else "dat"
    place = _place(clause.place, case, clause.place is denied) if clause.place else ""
    return [*early, *late, place, ADJECTIVES[clause.predicate] if clause.predicate else ""]


def _clause(clause: Clause, question: str = "", verb_last: bool = False) -> list[str]:
    """The words of one clause in the order its kind asks for, commas as words of their own."""
    finite, rest = _verb(clause.verb, clause.tense, clause.subjects)
    subject, middle = _subject(clause), _middle(clause)
    reflexive = "sich" if clause.verb in REFLEXIVE else ""
    if verb_last:
        return [reflexive, *subject, *middle, _last(finite, rest, clause.tense)]
    opening = {"polar": [finite, reflexive, *subject], "what": ["was", finite, reflexive, *subject]}
    start = opening.get(question, [*subject, finite, reflexive])
    words = [word for word in (*start, *middle, rest) if word]
    # A question can end in its subject's relative clause, whose closing comma then goes.
    return (words[:-1] if words[-1] == "," else words) + _relative(clause.object, clause.tense)


def render(sentence: Sentence) -> str:
    """The sentence in German."""
    words = _clause(sentence.clauses[0], sentence.question)
    if sentence.connective:
        last = sentence.connective == "because"
        words += [",", CONNECTIVES[sentence.connective], *_clause(sentence.clauses[1], verb_last=last)]
    return finish(words, "?" if sentence.question else ".")
