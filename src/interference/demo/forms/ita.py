"""Italian: passato prossimo (imperfect for the copula), present, future; subject, verb, adverbial, objects, place.

Adjectives follow the noun, except *bello*. An indefinite plural is *dei*, after a preposition *alcuni*.
"""

from interference.demo.forms import finish
from interference.demo.meaning import FREQUENCY, Clause, Phrase, Sentence

# fmt: off
MASCULINE = {
    "man": "uomo", "boy": "ragazzo", "teacher": "professore", "doctor": "medico", "friend": "amico", "king": "re",
    "farmer": "contadino", "neighbor": "vicino", "brother": "fratello", "baker": "fornaio", "soldier": "soldato",
    "grandfather": "nonno", "painter": "pittore", "student": "studente", "thief": "ladro", "uncle": "zio",
    "poet": "poeta", "sailor": "marinaio", "judge": "giudice", "cook": "cuoco", "dog": "cane", "cat": "gatto",
    "horse": "cavallo", "bird": "uccello", "mouse": "topo", "wolf": "lupo", "bear": "orso", "elephant": "elefante",
    "rabbit": "coniglio", "book": "libro", "table": "tavolo", "hat": "cappello", "picture": "quadro", "flower": "fiore",
    "knife": "coltello", "ring": "anello", "coat": "cappotto", "egg": "uovo", "garden": "giardino",
    "village": "villaggio", "forest": "bosco", "shop": "negozio", "park": "parco", "museum": "museo",
}
FEMININE = {
    "woman": "donna", "girl": "ragazza", "queen": "regina", "sister": "sorella", "grandmother": "nonna", "aunt": "zia",
    "cow": "mucca", "fox": "volpe", "duck": "anatra", "letter": "lettera", "apple": "mela", "key": "chiave",
    "chair": "sedia", "cup": "tazza", "box": "scatola", "bag": "borsa", "lamp": "lampada", "ball": "palla",
    "stone": "pietra", "bottle": "bottiglia", "house": "casa", "city": "città", "school": "scuola",
    "kitchen": "cucina", "room": "stanza", "church": "chiesa",
}
KIN = ("brother", "sister", "grandmother", "grandfather", "uncle", "aunt")
ADJECTIVES = {
    "old": "vecchio", "small": "piccolo", "young": "giovane", "big": "grande", "happy": "felice", "tired": "stanco",
    "strong": "forte", "beautiful": "bello", "hungry": "affamato", "poor": "povero", "sad": "triste",
    "clever": "intelligente", "rich": "ricco", "brave": "coraggioso", "lazy": "pigro", "friendly": "gentile",
    "weak": "debole", "famous": "famoso", "new": "nuovo", "red": "rosso", "white": "bianco", "heavy": "pesante",
    "expensive": "costoso", "black": "nero", "clean": "pulito", "green": "verde", "dirty": "sporco",
    "cheap": "economico", "round": "rotondo", "blue": "blu", "dark": "buio", "quiet": "tranquillo", "cold": "freddo",
    "empty": "vuoto", "warm": "caldo",
}
PLURALS = {
    "uomo": "uomini", "medico": "medici", "amico": "amici", "re": "re", "zio": "zii", "poeta": "poeti", "uovo": "uova",
    "città": "città", "economico": "economici", "blu": "blu",
}
VERBS = {
    "sleep": "dormire", "work": "lavorare", "laugh": "ridere", "wait": "aspettare", "sing": "cantare",
    "dance": "ballare", "run": "correre", "cry": "piangere", "swim": "nuotare", "smile": "sorridere",
    "rest": "riposare", "jump": "saltare", "dream": "sognare", "see": "vedere", "help": "aiutare", "find": "trovare",
    "call": "chiamare", "follow": "seguire", "greet": "salutare", "visit": "visitare", "watch": "osservare",
    "hug": "abbracciare", "protect": "proteggere", "push": "spingere", "thank": "ringraziare", "buy": "comprare",
    "look_for": "cercare", "sell": "vendere", "eat": "mangiare", "wash": "lavare", "carry": "trasportare",
    "paint": "dipingere", "lose": "perdere", "hide": "nascondere", "repair": "riparare", "choose": "scegliere",
    "steal": "rubare", "give": "dare", "show": "mostrare", "send": "mandare", "bring": "portare",
    "give_back": "restituire", "go": "andare", "return": "tornare", "walk": "camminare", "travel": "viaggiare",
    "be": "essere",
}
TAKES_ESSERE = ("andare", "tornare")
PRESENT = {  # irregular third persons, singular and plural
    "scegliere": ("sceglie", "scelgono"), "dare": ("dà", "danno"), "restituire": ("restituisce", "restituiscono"),
    "andare": ("va", "vanno"), "essere": ("è", "sono"), "avere": ("ha", "hanno"),
}
FUTURE = {  # irregular stems and those whose spelling keeps the sound of the infinitive
    "vedere": "vedr", "dare": "dar", "andare": "andr", "essere": "sar", "cercare": "cercher", "mangiare": "manger",
    "abbracciare": "abbraccer", "viaggiare": "viagger",
}
PARTICIPLES = {
    "ridere": "riso", "correre": "corso", "piangere": "pianto", "sorridere": "sorriso", "vedere": "visto",
    "proteggere": "protetto", "spingere": "spinto", "dipingere": "dipinto", "perdere": "perso",
    "nascondere": "nascosto", "scegliere": "scelto",
}
ADVERBIALS = {
    "yesterday": "ieri", "last_week": "la settimana scorsa", "last_year": "l'anno scorso",
    "three_days_ago": "tre giorni fa", "often": "spesso", "now": "adesso", "always": "sempre",
    "every_day": "ogni giorno", "sometimes": "a volte", "tomorrow": "domani", "soon": "presto",
    "next_week": "la settimana prossima", "next_year": "l'anno prossimo", "today": "oggi", "quickly": "rapidamente",
    "in_the_morning": "di mattina", "slowly": "lentamente", "at_night": "di notte", "quietly": "silenziosamente",
    "in_the_evening": "di sera", "carefully": "con attenzione", "gladly": "volentieri", "secretly": "di nascosto",
    "without_fear": "senza paura", "with_pleasure": "con piacere",
}
NUMERALS = ("due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci")
MY = {"il": "mio", "la": "mia", "i": "miei", "le": "mie"}
BELLO = {"il": "bel", "lo": "bello", "l'": "bell'", "la": "bella", "i": "bei", "gli": "begli", "le": "belle"}
CONNECTIVES = {"and": ", e", "but": ", ma", "because": "perché"}
# fmt: on


def inflect(word: str, feminine: bool, plural: bool) -> str:
    """A noun or adjective, cited in its dictionary form, in the given number and, if it varies, gender."""
    if plural and word in PLURALS and not (feminine and word == "economico"):
        return PLURALS[word]
    if feminine and word[-1] == "o":
        word = word[:-1] + "a"
    if not plural:
        return word
    stem = word[:-1] + "h" if word[-2:] in ("co", "ca") else word[:-1]
    if word[-1] == "a":
        return stem + "e"
    return stem if stem[-1] == "i" else stem + "i"


def is_feminine(noun: str, plural: bool) -> bool:
    """The gender of a noun concept; *uovo* turns feminine in the plural."""
    return noun in FEMININE or (noun == "egg" and plural)


def agree(adjective: str, noun: str, plural: bool) -> str:
    """The adjective concept in the gender of the noun concept."""
    return inflect(ADJECTIVES[adjective], is_feminine(noun, plural), plural)


def shape(word: str) -> str:
    """How a word begins, as articles hear it: vowel, cluster (z-, s- and consonant) or plain."""
    if word[0] in "aeiou":
        return "vowel"
    return "cluster" if word[0] == "z" or (word[0] == "s" and word[1] not in "aeiou") else "plain"


def article(feminine: bool, plural: bool, word: str) -> str:
    """The definite article before a word."""
    if feminine:
        return "le" if plural else "l'" if shape(word) == "vowel" else "la"
    if plural:
        return "i" if shape(word) == "plain" else "gli"
    return {"vowel": "l'", "cluster": "lo", "plain": "il"}[shape(word)]


def indefinite(feminine: bool, word: str) -> str:
    """The singular indefinite article before a word."""
    if feminine:
        return "un'" if shape(word) == "vowel" else "una"
    return "uno" if shape(word) == "cluster" else "un"


def fuse(preposition: str, definite: str) -> str:
    """The articulated preposition: a + la = alla, in + gli = negli, di + il = del."""
    if not preposition:
        return definite
    stem = {"a": "a", "in": "ne", "di": "de"}[preposition]
    return stem + {"il": "l", "i": "i", "gli": "gli"}.get(definite, "l" + definite)


def is_partitive(phrase: Phrase) -> bool:
    """Whether the phrase is an indefinite plural."""
    return phrase.determiner == "a" and phrase.plural


def determiner(phrase: Phrase, word: str, preposition: str, bare: bool) -> str:
    """The preposition and determiner before a word; a bare phrase leaves the partitive out."""
    feminine, plural = is_feminine(phrase.noun, phrase.plural), phrase.plural
    if phrase.determiner == "the":
        return fuse(preposition, article(feminine, plural, word))
    if phrase.determiner == "my":
        definite = article(feminine, plural, "mio")
        unmodified = not (plural or phrase.adjective or phrase.relative)
        return f"{preposition if phrase.noun in KIN and unmodified else fuse(preposition, definite)} {MY[definite]}"
    if phrase.determiner == "count":
        return f"{preposition} {NUMERALS[phrase.count - 2]}"
    if phrase.determiner == "this":
        return f"{preposition} {this(feminine, plural, word)}"
    if not is_partitive(phrase):
        return f"{preposition} {indefinite(feminine, word)}"
    if preposition:
        return f"{'ad' if preposition == 'a' else preposition} {'alcune' if feminine else 'alcuni'}"
    return "" if bare else fuse("di", article(feminine, True, word))


def this(feminine: bool, plural: bool, word: str) -> str:
    """The proximal demonstrative, elided before a singular that begins with a vowel."""
    return "quest'" if shape(word) == "vowel" and not plural else inflect("questo", feminine, plural)


def join(*words: str) -> str:
    """Words with single spaces, none after an apostrophe."""
    return " ".join(word.strip() for word in words if word.strip()).replace("' ", "'")


def noun_phrase(phrase: Phrase, tense: str, preposition: str = "", bare: bool = False) -> str:
    """Preposition, determiner, noun, adjective, relative clause; *bello* alone precedes the noun."""
    feminine = is_feminine(phrase.noun, phrase.plural)
    noun = inflect((MASCULINE | FEMININE)[phrase.noun], feminine, phrase.plural)
    adjective = agree(phrase.adjective, phrase.noun, phrase.plural) if phrase.adjective else ""
    words = [noun, adjective]
    if phrase.adjective == "beautiful":
        words = [BELLO[article(feminine, phrase.plural, noun)], noun]
    return join(determiner(phrase, words[0], preposition, bare), *words, relative(phrase, tense))


def relative(phrase: Phrase, tense: str) -> str:
    """The relative clause of a phrase, or nothing."""
    if phrase.relative is None:
        return ""
    return join("che", conjugate(phrase.relative.verb, tense, [phrase]), noun_phrase(phrase.relative.object, tense))


def participle(verb: str) -> str:
    """The masculine singular past participle of an infinitive."""
    return PARTICIPLES.get(verb) or verb[:-3] + {"are": "ato", "ere": "uto", "ire": "ito"}[verb[-3:]]


def present(verb: str, plural: bool) -> str:
    """The third person present of an infinitive."""
    if verb in PRESENT:
        return PRESENT[verb][plural]
    if verb.endswith("are"):
        return verb[:-2] + ("no" if plural else "")
    return verb[:-3] + ("ono" if plural else "e")


def conjugate(concept: str, tense: str, subjects: list[Phrase]) -> str:
    """The verb in the third person; participles after *essere* agree, mixed genders as masculine."""
    verb = VERBS[concept]
    plural = len(subjects) > 1 or any(phrase.plural for phrase in subjects)
    if tense == "present":
        return present(verb, plural)
    if tense == "future":
        stem = FUTURE.get(verb) or (verb[:-3] + "er" if verb.endswith("are") else verb[:-1])
        return stem + ("anno" if plural else "à")
    if verb == "essere":
        return "erano" if plural else "era"
    if verb not in TAKES_ESSERE:
        return f"{present('avere', plural)} {participle(verb)}"
    feminine = bool(subjects) and all(is_feminine(phrase.noun, phrase.plural) for phrase in subjects)
    return f"{present('essere', plural)} {inflect(participle(verb), feminine, plural)}"


def place(clause: Clause) -> str:
    """Where it happens or where one goes (*in*), and how far one walks or travels (*fino a*)."""
    if clause.place is None:
        return ""
    if clause.verb in ("walk", "travel"):
        return "fino " + noun_phrase(clause.place, clause.tense, "a")
    return noun_phrase(clause.place, clause.tense, "in")


def complements(clause: Clause) -> list[str]:
    """Adverbial, object, recipient and place. The adverbial stands next to the verb, clear of any relative clause."""
    adverbial = ADVERBIALS.get(clause.adverbial, "")
    if clause.frame == "copular":
        adjective = agree(clause.predicate, clause.subjects[0].noun, clause.subjects[0].plural)
        return [adverbial, adjective] if clause.adverbial in (*FREQUENCY, "soon") else [adjective, adverbial]
    words = [adverbial]
    if clause.object:  # the partitive has no place under negation: "non ha comprato libri"
        words.append(noun_phrase(clause.object, clause.tense, bare=clause.negated))
        if clause.negated and is_partitive(clause.object) and not clause.object.relative:
            words.reverse()  # a bare noun stays next to the verb
    if clause.recipient:
        words.append(noun_phrase(clause.recipient, clause.tense, "a"))
    return [*words, place(clause)]


def predicate(clause: Clause) -> list[str]:
    """Everything but the subject."""
    verb = conjugate(clause.verb, clause.tense, list(clause.subjects))
    return ["non" if clause.negated else "", verb, *complements(clause)]


def subject(clause: Clause) -> str:
    """The subject, or both joined."""
    return " e ".join(noun_phrase(phrase, clause.tense) for phrase in clause.subjects)


def clause_words(clause: Clause, question: str = "") -> list[str]:
    """The clause in order; a *what* question puts the subject last."""
    if question == "what":
        return ["che cosa", *predicate(clause), subject(clause)]
    return ["chi" if question == "who" else subject(clause), *predicate(clause)]


def render(sentence: Sentence) -> str:
    """The sentence in Italian."""
    words = clause_words(sentence.clauses[0], sentence.question)
    for clause in sentence.clauses[1:]:
        words += [CONNECTIVES[sentence.connective], *clause_words(clause)]
    return finish(words, "?" if sentence.question else ".")
