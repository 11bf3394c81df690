"""French: passé composé (imparfait for the copula), présent, futur simple; subject, verb, object, recipient, place.

Time adverbials open a clause and close a question, frequency and manner stand by the verb; a direct object with an
indefinite article takes *de* under negation, and the verb of its relative clause is then in the subjunctive. Where
manner is what is negated, the article stays: *ne mange pas lentement une pomme*.
"""

from dataclasses import replace

from interference.demo.forms import finish
from interference.demo.meaning import FREQUENCY, Clause, Phrase, Sentence

# fmt: off
MASCULINE = {
    "man": "homme", "boy": "garçon", "teacher": "professeur", "doctor": "médecin", "friend": "ami", "king": "roi",
    "farmer": "fermier", "neighbor": "voisin", "brother": "frère", "baker": "boulanger", "soldier": "soldat",
    "grandfather": "grand-père", "painter": "peintre", "student": "étudiant", "thief": "voleur", "uncle": "oncle",
    "poet": "poète", "sailor": "marin", "judge": "juge", "cook": "cuisinier",
    "dog": "chien", "cat": "chat", "horse": "cheval", "bird": "oiseau", "wolf": "loup", "bear": "ours", "fox": "renard",
    "elephant": "éléphant", "rabbit": "lapin", "duck": "canard",
    "book": "livre", "hat": "chapeau", "picture": "tableau", "bag": "sac", "knife": "couteau", "coat": "manteau",
    "ball": "ballon", "egg": "œuf",
    "garden": "jardin", "village": "village", "shop": "magasin", "park": "parc", "museum": "musée",
}
FEMININE = {
    "woman": "femme", "girl": "fille", "queen": "reine", "sister": "sœur", "grandmother": "grand-mère", "aunt": "tante",
    "cow": "vache", "mouse": "souris",
    "letter": "lettre", "apple": "pomme", "key": "clé", "table": "table", "chair": "chaise", "flower": "fleur",
    "cup": "tasse", "box": "boîte", "lamp": "lampe", "ring": "bague", "stone": "pierre", "bottle": "bouteille",
    "house": "maison", "city": "ville", "forest": "forêt", "school": "école", "kitchen": "cuisine", "room": "pièce",
    "church": "église",
}
NOUNS = MASCULINE | FEMININE
PRENOMINAL = {
    "old": "vieux", "small": "petit", "young": "jeune", "big": "grand", "beautiful": "beau", "new": "nouveau",
}
ADJECTIVES = PRENOMINAL | {
    "happy": "heureux", "tired": "fatigué", "strong": "fort", "hungry": "affamé", "poor": "pauvre", "sad": "triste",
    "clever": "intelligent", "rich": "riche", "brave": "courageux", "lazy": "paresseux", "friendly": "aimable",
    "weak": "faible", "famous": "célèbre", "red": "rouge", "white": "blanc", "heavy": "lourd", "expensive": "cher",
    "black": "noir", "clean": "propre", "green": "vert", "dirty": "sale", "cheap": "bon marché", "round": "rond",
    "blue": "bleu", "dark": "sombre", "quiet": "calme", "cold": "froid", "empty": "vide", "warm": "chaud",
}
FEMININES = {
    "vieux": "vieille", "beau": "belle", "nouveau": "nouvelle", "blanc": "blanche", "cher": "chère",
    "bon marché": "bon marché",
}
PLURALS = {
    "cheval": "chevaux", "grand-père": "grands-pères", "grand-mère": "grands-mères", "bon marché": "bon marché",
}
BEFORE_VOWEL = {"vieux": "vieil", "beau": "bel", "nouveau": "nouvel", "ce": "cet", "ma": "mon"}
DETERMINERS = {  # masculine, feminine, plural
    "the": ("le", "la", "les"), "a": ("un", "une", "des"), "this": ("ce", "cette", "ces"), "my": ("mon", "ma", "mes"),
}
COUNTS = dict(enumerate(("deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix"), start=2))

VERBS = {
    "sleep": "dormir", "work": "travailler", "laugh": "rire", "wait": "patienter", "sing": "chanter", "dance": "danser",
    "run": "courir", "cry": "pleurer", "swim": "nager", "smile": "sourire", "rest": "reposer", "jump": "sauter",
    "dream": "rêver",
    "see": "voir", "help": "aider", "find": "trouver", "call": "appeler", "follow": "suivre", "greet": "saluer",
    "visit": "rendre", "watch": "regarder", "hug": "enlacer", "protect": "protéger", "push": "pousser",
    "thank": "remercier",
    "buy": "acheter", "look_for": "chercher", "sell": "vendre", "eat": "manger", "wash": "laver",
    "carry": "transporter", "paint": "peindre", "lose": "perdre", "hide": "cacher", "repair": "réparer",
    "choose": "choisir", "steal": "voler",
    "give": "donner", "show": "montrer", "send": "envoyer", "bring": "apporter", "give_back": "rendre",
    "go": "aller", "return": "retourner", "walk": "marcher", "travel": "voyager",
}
IRREGULAR = {  # present singular, present plural, past participle, future stem
    "dormir": ("dort", "dorment", "dormi", "dormir"), "rire": ("rit", "rient", "ri", "rir"),
    "courir": ("court", "courent", "couru", "courr"), "sourire": ("sourit", "sourient", "souri", "sourir"),
    "voir": ("voit", "voient", "vu", "verr"), "appeler": ("appelle", "appellent", "appelé", "appeller"),
    "suivre": ("suit", "suivent", "suivi", "suivr"), "rendre": ("rend", "rendent", "rendu", "rendr"),
    "protéger": ("protège", "protègent", "protégé", "protéger"), "acheter": ("achète", "achètent", "acheté", "achèter"),
    "vendre": ("vend", "vendent", "vendu", "vendr"), "peindre": ("peint", "peignent", "peint", "peindr"),
    "perdre": ("perd", "perdent", "perdu", "perdr"), "choisir": ("choisit", "choisissent", "choisi", "choisir"),
    "envoyer": ("envoie", "envoient", "envoyé", "enverr"), "aller": ("va", "vont", "allé", "ir"),
}
BE = {"past": ("était", "étaient"), "present": ("est", "sont"), "future": ("sera", "seront")}
WITH_BE = ("go", "return", "rest")  # passé composé with être
REFLEXIVE = ("rest",)
FIXED_NOUN = {"visit": "visite"}  # rendre visite à quelqu'un: visiter is for places only
PREPOSITIONS = {"go": "dans", "return": "dans", "walk": "jusqu'à", "travel": "jusqu'à"}

ADVERBIALS = {
    "yesterday": "hier", "last_week": "la semaine dernière", "last_year": "l'année dernière",
    "three_days_ago": "il y a trois jours", "often": "souvent", "now": "maintenant", "always": "toujours",
    "every_day": "tous les jours", "sometimes": "parfois", "tomorrow": "demain", "soon": "bientôt",
    "next_week": "la semaine prochaine", "next_year": "l'année prochaine", "today": "aujourd'hui",
    "quickly": "rapidement", "in_the_morning": "le matin", "slowly": "lentement", "at_night": "la nuit",
    "quietly": "silencieusement", "in_the_evening": "le soir", "carefully": "prudemment", "gladly": "volontiers",
    "secretly": "secrètement", "without_fear": "sans peur", "with_pleasure": "avec plaisir",
}
MANNER = ("quickly", "slowly", "quietly", "carefully", "gladly", "secretly")
PHRASES = ("without_fear", "with_pleasure")
OPENINGS = {"": [], "polar": ["est-ce", "que"], "who": ["qui"], "what": ["qu'est-ce", "que"]}
CONNECTIVES = {"": [], "and": [",", "et"], "but": [",", "mais"], "because": ["parce", "que"]}
ELIDED = ("le", "la", "de", "ne", "se", "que")
CONTRACTED = {"le": "au", "les": "aux"}
# The h of homme and hier is mute, that of huit is not.
VOWELS = ("a", "e", "é", "i", "o", "œ", "u", "homme", "hier")
# fmt: on


def _before_vowel(form: str, following: str) -> str:
    """The form a determiner or an adjective takes before this word."""
    return BEFORE_VOWEL.get(form, form) if following.startswith(VOWELS) else form


def _plural(word: str) -> str:
    if word in PLURALS:
        return PLURALS[word]
    return word if word.endswith(("s", "x")) else word + ("x" if word.endswith("au") else "s")


def _feminine(adjective: str) -> str:
    if adjective in FEMININES:
        return FEMININES[adjective]
    if adjective.endswith("eux"):
        return adjective.removesuffix("x") + "se"
    return adjective if adjective.endswith("e") else adjective + "e"


def _agree(word: str, feminine: bool, plural: bool) -> str:
    """A masculine singular adjective or participle in the given gender and number."""
    word = _feminine(word) if feminine else word
    return _plural(word) if plural else word


def _nominal(phrase: Phrase) -> list[str]:
    """Noun and adjective, in their order."""
    noun = _plural(NOUNS[phrase.noun]) if phrase.plural else NOUNS[phrase.noun]
    if not phrase.adjective:
        return [noun]
    adjective = _agree(ADJECTIVES[phrase.adjective], phrase.noun in FEMININE, phrase.plural)
    if phrase.adjective not in PRENOMINAL:
        return [noun, adjective]
    return [adjective if phrase.plural else _before_vowel(adjective, noun), noun]


def _determiner(phrase: Phrase, following: str) -> str:
    if phrase.count:
        return COUNTS[phrase.count]
    if phrase.determiner == "a" and phrase.plural and phrase.adjective in PRENOMINAL:
        return "de"
    masculine, feminine, plural = DETERMINERS[phrase.determiner]
    form = plural if phrase.plural else feminine if phrase.noun in FEMININE else masculine
    return _before_vowel(form, following)


def _phrase(phrase: Phrase, tense: str, bare: bool = False) -> list[str]:
    """A noun phrase; a bare one has *de* for its article."""
    nominal = _nominal(phrase)
    words = ["de" if bare else _determiner(phrase, nominal[0]), *nominal]
    if not phrase.relative:
        return words
    verb = _verb(phrase.relative.verb, tense, plural=phrase.plural, subjunctive=bare)
    return [*words, "qui", *verb, *_object(phrase.relative.verb, phrase.relative.object, tense)]


def _object(verb: str, phrase: Phrase, tense: str, bare: bool = False) -> list[str]:
    return ["à" if verb in FIXED_NOUN else "", *_phrase(phrase, tense, bare)]


def _parts(verb: str) -> tuple[str, str, str, str]:
    """Present singular and plural, past participle, future stem."""
    infinitive = VERBS[verb]
    stem = infinitive.removesuffix("er")
    return IRREGULAR.get(infinitive, (stem + "e", stem + "ent", stem + "é", infinitive))


def _auxiliary(verb: str, plural: bool, subjunctive: bool) -> str:
    if subjunctive:  # only in relative clauses, whose verbs all take avoir
        return "aient" if plural else "ait"
    return (BE["present"] if verb in WITH_BE else ("a", "ont"))[plural]


def _forms(verb: str, tense: str, feminine: bool, plural: bool, subjunctive: bool) -> tuple[str, str]:
    """The finite form and, in the past, the participle."""
    if verb == "be":
        return BE[tense][plural], ""
    present_singular, present_plural, participle, future = _parts(verb)
    if tense == "past":
        agreeing = _agree(participle, feminine, plural) if verb in WITH_BE else participle
        return _auxiliary(verb, plural, subjunctive), agreeing
    if subjunctive:  # the present subjunctive also stands for the future
        return present_plural if plural else present_plural.removesuffix("nt"), ""
    if tense == "future":
        return future + ("ont" if plural else "a"), ""
    return (present_plural if plural else present_singular), ""


def _verb(
    verb: str,
    tense: str,
    feminine: bool = False,
    plural: bool = False,
    negated: bool = False,
    subjunctive: bool = False,
    middle: str = "",
) -> list[str]:
    """The verb with its pronoun and negation; `middle` is an adverb between finite form and participle."""
    finite, participle = _forms(verb, tense, feminine, plural, subjunctive)
    before = ["ne" if negated else "", "se" if verb in REFLEXIVE else ""]
    return [*before, finite, "pas" if negated else "", middle, participle, FIXED_NOUN.get(verb, "")]


def _has_bare_object(clause: Clause) -> bool:
    """Whether negation turns the object's article into *de*; *pas un ours* keeps it, as *ours* hides its number."""
    phrase = clause.object
    if not clause.negated or phrase is None or phrase.determiner != "a" or clause.verb in FIXED_NOUN:
        return False
    if clause.adverbial in (*MANNER, *PHRASES):
        return False
    return phrase.plural or _nominal(phrase) != _nominal(replace(phrase, plural=True))


def _slot(clause: Clause, question: str) -> str:
    """Where the adverbial stands: first, middle (before the participle), after (the verb) or last.

    None follows a relative clause, to which it would seem to belong.
    """
    relative = clause.object is not None and clause.object.relative is not None
    if clause.adverbial in FREQUENCY:
        return "middle"
    if clause.adverbial in MANNER:
        return "middle" if clause.frame in ("transitive", "ditransitive") else "after"
    if clause.adverbial in PHRASES:
        return "after"
    return "last" if question and not relative else "first"


def _subjects(clause: Clause) -> tuple[list[str], bool, bool]:
    """The subjects' words, and whether they are feminine and plural for the verb; *qui* is neither."""
    subjects = clause.subjects
    words = [word for subject in subjects for word in ["et", *_phrase(subject, clause.tense)]]
    feminine = bool(subjects) and all(subject.noun in FEMININE for subject in subjects)
    return words[1:], feminine, len(subjects) > 1 or any(subject.plural for subject in subjects)


def _complements(clause: Clause, feminine: bool, plural: bool) -> list[str]:
    words: list[str] = []
    if clause.object:
        words += _object(clause.verb, clause.object, clause.tense, _has_bare_object(clause))
    if clause.recipient:
        words += ["à", *_phrase(clause.recipient, clause.tense)]
    if clause.place:
        words += [PREPOSITIONS.get(clause.verb, "dans"), *_phrase(clause.place, clause.tense)]
    return [*words, _agree(ADJECTIVES[clause.predicate], feminine, plural)] if clause.predicate else words


def _clause(clause: Clause, question: str = "") -> list[str]:
    subject, feminine, plural = _subjects(clause)
    slots = {_slot(clause, question): ADVERBIALS[clause.adverbial]} if clause.adverbial else {}
    middle, after, last = (slots.get(slot, "") for slot in ("middle", "after", "last"))
    first = [slots["first"], ","] if "first" in slots else []
    verb = _verb(clause.verb, clause.tense, feminine, plural, clause.negated, middle=middle)
    return [*first, *OPENINGS[question], *subject, *verb, after, *_complements(clause, feminine, plural), last]


def _elide(words: list[str]) -> list[str]:
    """Elision (*l'ami*, *n'a*) and contraction (*au*), from the right, as elision comes first: *à l'ami*."""
    joined: list[str] = []
    for word in reversed([word for word in words if word]):
        following = joined[-1] if joined else ""
        if word in ELIDED and following.startswith(VOWELS):
            joined[-1] = word[:-1] + "'" + following
        elif word.endswith("à") and following in CONTRACTED:
            joined[-1] = word[:-1] + CONTRACTED[following]
        else:
            joined.append(word)
    return joined[::-1]


def render(sentence: Sentence) -> str:
    """The sentence in French."""
    words = _clause(sentence.clauses[0], sentence.question) + CONNECTIVES[sentence.connective]
    for clause in sentence.clauses[1:]:
        words += _clause(clause)
    return finish(_elide(words), " ?" if sentence.question else ".")
