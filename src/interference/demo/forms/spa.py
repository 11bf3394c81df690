"""Spanish: indefinido (imperfect for the copula), present, future; subject, verb, adverbial, object, recipient, place.

Adjectives follow the noun, animate objects take the personal *a*, and recipients are doubled by *le* or *les*.
"""

from interference.demo.forms import finish
from interference.demo.meaning import FREQUENCY, Clause, Phrase, Sentence, object_class

# fmt: off
MASCULINE = {
    "man": "hombre", "boy": "niño", "teacher": "profesor", "doctor": "médico", "friend": "amigo", "king": "rey",
    "farmer": "granjero", "neighbor": "vecino", "brother": "hermano", "baker": "panadero", "soldier": "soldado",
    "grandfather": "abuelo", "painter": "pintor", "student": "estudiante", "thief": "ladrón", "uncle": "tío",
    "poet": "poeta", "sailor": "marinero", "judge": "juez", "cook": "cocinero", "dog": "perro", "cat": "gato",
    "horse": "caballo", "bird": "pájaro", "mouse": "ratón", "wolf": "lobo", "bear": "oso", "fox": "zorro",
    "elephant": "elefante", "rabbit": "conejo", "duck": "pato", "book": "libro", "hat": "sombrero", "picture": "cuadro",
    "knife": "cuchillo", "ring": "anillo", "coat": "abrigo", "egg": "huevo", "garden": "jardín", "village": "pueblo",
    "forest": "bosque", "park": "parque", "museum": "museo",
}
FEMININE = {
    "woman": "mujer", "girl": "niña", "queen": "reina", "sister": "hermana", "grandmother": "abuela", "aunt": "tía",
    "cow": "vaca", "letter": "carta", "apple": "manzana", "key": "llave", "table": "mesa", "chair": "silla",
    "flower": "flor", "cup": "taza", "box": "caja", "bag": "bolsa", "lamp": "lámpara", "ball": "pelota",
    "stone": "piedra", "bottle": "botella", "house": "casa", "city": "ciudad", "school": "escuela",
    "kitchen": "cocina", "shop": "tienda", "room": "habitación", "church": "iglesia",
}
ADJECTIVES = {
    "old": "viejo", "small": "pequeño", "young": "joven", "big": "grande", "happy": "feliz", "tired": "cansado",
    "strong": "fuerte", "beautiful": "hermoso", "hungry": "hambriento", "poor": "pobre", "sad": "triste",
    "clever": "inteligente", "rich": "rico", "brave": "valiente", "lazy": "perezoso", "friendly": "amable",
    "weak": "débil", "famous": "famoso", "new": "nuevo", "red": "rojo", "white": "blanco", "heavy": "pesado",
    "expensive": "caro", "black": "negro", "clean": "limpio", "green": "verde", "dirty": "sucio", "cheap": "barato",
    "round": "redondo", "blue": "azul", "dark": "oscuro", "quiet": "tranquilo", "cold": "frío", "empty": "vacío",
    "warm": "cálido",
}
STATES = ("tired", "hungry", "sad", "weak")  # said with estar; every other predicate with ser
ACCENT_SHIFTS = {
    "ladrón": "ladrones", "ratón": "ratones", "jardín": "jardines", "habitación": "habitaciones", "joven": "jóvenes",
}
VERBS = {
    "sleep": "dormir", "work": "trabajar", "laugh": "reír", "wait": "esperar", "sing": "cantar", "dance": "bailar",
    "run": "correr", "cry": "llorar", "swim": "nadar", "smile": "sonreír", "rest": "descansar", "jump": "saltar",
    "dream": "soñar", "see": "ver", "help": "ayudar", "find": "encontrar", "call": "llamar", "follow": "seguir",
    "greet": "saludar", "visit": "visitar", "watch": "observar", "hug": "abrazar", "protect": "proteger",
    "push": "empujar", "thank": "dar", "buy": "comprar", "look_for": "buscar", "sell": "vender", "eat": "comer",
    "wash": "lavar", "carry": "transportar", "paint": "pintar", "lose": "perder", "hide": "esconder",
    "repair": "reparar", "choose": "elegir", "steal": "robar", "give": "dar", "show": "mostrar", "send": "enviar",
    "bring": "traer", "give_back": "devolver", "go": "ir", "return": "volver", "walk": "caminar", "travel": "viajar",
}
PRESENT = {  # irregular third persons singular; the plural adds -n
    "dormir": "duerme", "reír": "ríe", "sonreír": "sonríe", "soñar": "sueña", "encontrar": "encuentra",
    "seguir": "sigue", "perder": "pierde", "elegir": "elige", "mostrar": "muestra", "enviar": "envía",
    "devolver": "devuelve", "volver": "vuelve", "ir": "va", "estar": "está",
}
PAST = {  # irregular third persons, singular and plural
    "dormir": ("durmió", "durmieron"), "reír": ("rio", "rieron"), "sonreír": ("sonrió", "sonrieron"),
    "ver": ("vio", "vieron"), "seguir": ("siguió", "siguieron"), "dar": ("dio", "dieron"),
    "elegir": ("eligió", "eligieron"), "traer": ("trajo", "trajeron"), "ir": ("fue", "fueron"),
    "ser": ("era", "eran"), "estar": ("estaba", "estaban"),
}
ADVERBIALS = {
    "yesterday": "ayer", "last_week": "la semana pasada", "last_year": "el año pasado",
    "three_days_ago": "hace tres días", "often": "a menudo", "now": "ahora", "always": "siempre",
    "every_day": "todos los días", "sometimes": "a veces", "tomorrow": "mañana", "soon": "pronto",
    "next_week": "la próxima semana", "next_year": "el próximo año", "today": "hoy", "quickly": "rápidamente",
    "in_the_morning": "por la mañana", "slowly": "lentamente", "at_night": "por la noche",
    "quietly": "silenciosamente", "in_the_evening": "por la tarde", "carefully": "con cuidado",
    "gladly": "de buena gana", "secretly": "a escondidas", "without_fear": "sin miedo", "with_pleasure": "con gusto",
}
NUMERALS = ("dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez")
DETERMINERS = {  # masculine singular and plural, feminine singular and plural
    "the": ("el", "los", "la", "las"), "a": ("un", "unos", "una", "unas"), "my": ("mi", "mis", "mi", "mis"),
    "this": ("este", "estos", "esta", "estas"),
}
CONNECTIVES = {"and": ", y", "but": ", pero", "because": "porque"}
# fmt: on


def inflect(word: str, plural: bool) -> str:
    """A noun or adjective in the given number."""
    if not plural:
        return word
    if word in ACCENT_SHIFTS:
        return ACCENT_SHIFTS[word]
    if word[-1] in "aeiou":
        return word + "s"
    return (word[:-1] + "c" if word[-1] == "z" else word) + "es"


def agree(adjective: str, noun: str, plural: bool) -> str:
    """The adjective concept in the gender of the noun concept."""
    word = ADJECTIVES[adjective]
    if noun in FEMININE and word[-1] == "o":
        word = word[:-1] + "a"
    return inflect(word, plural)


def conjugate(verb: str, tense: str, plural: bool) -> str:
    """The third person of an infinitive."""
    if tense == "future":  # reír loses its accent: reirá
        return verb.replace("í", "i") + ("án" if plural else "á")
    if tense == "past":
        regular = ("ó", "aron") if verb.endswith("ar") else ("ió", "ieron")
        return (PAST.get(verb) or [verb[:-2] + ending for ending in regular])[plural]
    if verb == "ser":
        return "son" if plural else "es"
    singular = PRESENT.get(verb) or verb[:-2] + ("a" if verb.endswith("ar") else "e")
    return singular + "n" if plural else singular


def verb_group(verb: str, tense: str, plural: bool, dative: Phrase | None, negated: bool = False) -> list[str]:
    """Negation, doubling clitic and verb; to thank is *dar las gracias*."""
    clitic = "" if dative is None else "les" if dative.plural else "le"
    return [
        "no" if negated else "",
        clitic,
        conjugate(VERBS[verb], tense, plural),
        "las gracias" if verb == "thank" else "",
    ]


def is_bare(phrase: Phrase, allowed: bool) -> bool:
    """Whether a phrase goes without *unos*, where the construction allows it; it then stays next to the verb."""
    return allowed and phrase.plural and phrase.determiner == "a"


def noun_phrase(phrase: Phrase, tense: str, bare: bool = False) -> str:
    """Determiner, noun, adjective, relative clause; `bare` allows an indefinite plural to leave *unos* out."""
    feminine, plural = phrase.noun in FEMININE, phrase.plural
    noun = (FEMININE if feminine else MASCULINE)[phrase.noun]
    if phrase.determiner == "count":
        determiner = NUMERALS[phrase.count - 2]
    else:
        determiner = DETERMINERS[phrase.determiner][2 * feminine + plural]
    if is_bare(phrase, bare):
        determiner = ""
    words = [determiner, inflect(noun, plural), phrase.adjective and agree(phrase.adjective, phrase.noun, plural)]
    return " ".join(word for word in (*words, relative(phrase, tense)) if word)


def relative(phrase: Phrase, tense: str) -> str:
    """The relative clause of a phrase, or nothing."""
    if phrase.relative is None:
        return ""
    verb, target = phrase.relative.verb, phrase.relative.object
    group = verb_group(verb, tense, phrase.plural, target if verb == "thank" else None)
    return " ".join(word for word in ("que", *group, direct_object(verb, target, tense)) if word)


def after_a(text: str) -> str:
    """The preposition *a* before a phrase, contracted with the article *el*."""
    return "al " + text.removeprefix("el ") if text.startswith("el ") else "a " + text


def direct_object(verb: str, phrase: Phrase, tense: str, negated: bool = False) -> str:
    """The object: animates after *a*; an indefinite plural thing is bare under negation ("no compró libros")."""
    if object_class(verb) == "animate":
        return after_a(noun_phrase(phrase, tense))
    return noun_phrase(phrase, tense, bare=negated)


def place(clause: Clause) -> str:
    """Where it happens (*en*) or where the motion leads (*a*, on foot *hasta*)."""
    if clause.place is None:
        return ""
    text = noun_phrase(clause.place, clause.tense)
    if clause.frame == "intransitive":
        return "en " + text
    return "hasta " + text if clause.verb == "walk" else after_a(text)


def copular(clause: Clause) -> list[str]:
    """The copula with its adjective; frequency and *pronto* stand between them, other times at the end."""
    owner, adverbial = clause.subjects[0], ADVERBIALS.get(clause.adverbial, "")
    copula = conjugate("estar" if clause.predicate in STATES else "ser", clause.tense, owner.plural)
    adjective = agree(clause.predicate, owner.noun, owner.plural)
    tail = [adverbial, adjective] if clause.adverbial in (*FREQUENCY, "soon") else [adjective, adverbial]
    return ["no" if clause.negated else "", copula, *tail]


def predicate(clause: Clause) -> list[str]:
    """Everything but the subject. The adverbial stands next to the verb, clear of any relative clause."""
    if clause.frame == "copular":
        return copular(clause)
    verb, tense = clause.verb, clause.tense
    plural = len(clause.subjects) > 1 or any(phrase.plural for phrase in clause.subjects)
    words = verb_group(verb, tense, plural, clause.object if verb == "thank" else clause.recipient, clause.negated)
    complements = [ADVERBIALS.get(clause.adverbial, "")]
    if clause.object:
        complements.append(direct_object(verb, clause.object, tense, clause.negated))
        if is_bare(clause.object, clause.negated and object_class(verb) == "thing"):
            complements.reverse()
    words += complements
    if clause.recipient:
        words.append(after_a(noun_phrase(clause.recipient, tense)))
    return [*words, place(clause)]


def subject(clause: Clause) -> str:
    """The subject or both; no determiner begins with i-, so *y* never becomes *e*."""
    return " y ".join(noun_phrase(phrase, clause.tense) for phrase in clause.subjects)


def clause_words(clause: Clause, question: str = "") -> list[str]:
    """The clause in order; a *what* question puts the subject last."""
    if question == "what":
        return ["qué", *predicate(clause), subject(clause)]
    return ["quién" if question == "who" else subject(clause), *predicate(clause)]


def render(sentence: Sentence) -> str:
    """The sentence in Spanish."""
    words = clause_words(sentence.clauses[0], sentence.question)
    for clause in sentence.clauses[1:]:
        words += [CONNECTIVES[sentence.connective], *clause_words(clause)]
    return "¿" + finish(words, "?") if sentence.question else finish(words)
