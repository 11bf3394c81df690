"""Dutch: present, simple past (imperfectum) and *zullen* with infinitive; the subject opens every statement.

Time stands before the object, manner after a definite object and before an indefinite one. *Niet* stands before manner,
place and predicate; an indefinite object is negated by *geen*. The relative clause of an object stands last.
"""

from interference.demo.forms import finish
from interference.demo.meaning import Clause, Phrase, Sentence

# fmt: off
NOUNS = {  # gender, singular, plural
    "man": "de man mannen", "woman": "de vrouw vrouwen", "boy": "de jongen jongens", "girl": "het meisje meisjes",
    "teacher": "de leraar leraren", "doctor": "de dokter dokters", "friend": "de vriend vrienden",
    "king": "de koning koningen", "queen": "de koningin koninginnen", "farmer": "de boer boeren",
    "neighbor": "de buurman buurmannen", "brother": "de broer broers", "sister": "de zus zussen",
    "baker": "de bakker bakkers", "soldier": "de soldaat soldaten", "grandmother": "de grootmoeder grootmoeders",
    "grandfather": "de grootvader grootvaders", "painter": "de schilder schilders", "student": "de student studenten",
    "thief": "de dief dieven", "uncle": "de oom ooms", "aunt": "de tante tantes", "poet": "de dichter dichters",
    "sailor": "de matroos matrozen", "judge": "de rechter rechters", "cook": "de kok koks", "dog": "de hond honden",
    "cat": "de kat katten", "horse": "het paard paarden", "bird": "de vogel vogels", "cow": "de koe koeien",
    "mouse": "de muis muizen", "wolf": "de wolf wolven", "bear": "de beer beren", "fox": "de vos vossen",
    "elephant": "de olifant olifanten", "rabbit": "het konijn konijnen", "duck": "de eend eenden",
    "book": "het boek boeken", "letter": "de brief brieven", "apple": "de appel appels", "key": "de sleutel sleutels",
    "table": "de tafel tafels", "hat": "de hoed hoeden", "chair": "de stoel stoelen",
    "picture": "het schilderij schilderijen", "flower": "de bloem bloemen", "cup": "het kopje kopjes",
    "box": "de doos dozen", "bag": "de tas tassen", "lamp": "de lamp lampen", "knife": "het mes messen",
    "ring": "de ring ringen", "coat": "de jas jassen", "ball": "de bal ballen", "stone": "de steen stenen",
    "bottle": "de fles flessen", "egg": "het ei eieren", "house": "het huis huizen", "garden": "de tuin tuinen",
    "city": "de stad steden", "village": "het dorp dorpen", "forest": "het bos bossen", "school": "de school scholen",
    "kitchen": "de keuken keukens", "shop": "de winkel winkels", "park": "het park parken", "room": "de kamer kamers",
    "church": "de kerk kerken", "museum": "het museum musea",
}
ADJECTIVES = {  # predicative and inflected
    "old": "oud oude", "small": "klein kleine", "young": "jong jonge", "big": "groot grote", "happy": "blij blije",
    "tired": "vermoeid vermoeide", "strong": "sterk sterke", "beautiful": "mooi mooie", "hungry": "hongerig hongerige",
    "poor": "arm arme", "sad": "verdrietig verdrietige", "clever": "slim slimme", "rich": "rijk rijke",
    "brave": "dapper dappere", "lazy": "lui luie", "friendly": "vriendelijk vriendelijke", "weak": "zwak zwakke",
    "famous": "beroemd beroemde", "new": "nieuw nieuwe", "red": "rood rode", "white": "wit witte",
    "heavy": "zwaar zware", "expensive": "duur dure", "black": "zwart zwarte", "clean": "schoon schone",
    "green": "groen groene", "dirty": "vuil vuile", "cheap": "goedkoop goedkope", "round": "rond ronde",
    "blue": "blauw blauwe", "dark": "donker donkere", "quiet": "rustig rustige", "cold": "koud koude",
    "empty": "leeg lege", "warm": "warm warme",
}
VERBS = {  # infinitive (also present plural), present singular, past singular, past plural
    "be": "zijn is was waren", "sleep": "slapen slaapt sliep sliepen", "work": "werken werkt werkte werkten",
    "laugh": "lachen lacht lachte lachten", "wait": "wachten wacht wachtte wachtten",
    "sing": "zingen zingt zong zongen",
    "dance": "dansen danst danste dansten", "run": "rennen rent rende renden", "cry": "huilen huilt huilde huilden",
    "swim": "zwemmen zwemt zwom zwommen", "smile": "glimlachen glimlacht glimlachte glimlachten",
    "rest": "rusten rust rustte rustten", "jump": "springen springt sprong sprongen",
    "dream": "dromen droomt droomde droomden", "see": "zien ziet zag zagen", "help": "helpen helpt hielp hielpen",
    "find": "vinden vindt vond vonden", "call": "roepen roept riep riepen", "follow": "volgen volgt volgde volgden",
    "greet": "begroeten begroet begroette begroetten", "visit": "bezoeken bezoekt bezocht bezochten",
    "watch": "bekijken bekijkt bekeek bekeken", "hug": "omhelzen omhelst omhelsde omhelsden",
    "protect": "beschermen beschermt beschermde beschermden", "push": "duwen duwt duwde duwden",
    "thank": "bedanken bedankt bedankte bedankten", "buy": "kopen koopt kocht kochten",
    "look_for": "zoeken zoekt zocht zochten", "sell": "verkopen verkoopt verkocht verkochten",
    "eat": "eten eet at aten",
    "wash": "wassen wast waste wasten", "carry": "dragen draagt droeg droegen",
    "paint": "schilderen schildert schilderde schilderden", "lose": "verliezen verliest verloor verloren",
    "hide": "verstoppen verstopt verstopte verstopten", "repair": "repareren repareert repareerde repareerden",
    "choose": "kiezen kiest koos kozen", "steal": "stelen steelt stal stalen", "give": "geven geeft gaf gaven",
    "show": "tonen toont toonde toonden", "send": "sturen stuurt stuurde stuurden",
    "bring": "brengen brengt bracht brachten", "give_back": "geven geeft gaf gaven", "go": "gaan gaat ging gingen",
    "return": "keren keert keerde keerden", "walk": "lopen loopt liep liepen", "travel": "reizen reist reisde reisden",
}
TIME = {
    "yesterday": "gisteren", "last_week": "vorige week", "last_year": "vorig jaar",
    "three_days_ago": "drie dagen geleden", "often": "vaak", "now": "nu", "always": "altijd", "every_day": "elke dag",
    "sometimes": "soms", "tomorrow": "morgen", "soon": "binnenkort", "next_week": "volgende week",
    "next_year": "volgend jaar", "today": "vandaag", "in_the_morning": "'s ochtends", "at_night": "'s nachts",
    "in_the_evening": "'s avonds",
}
MANNER = {
    "quickly": "snel", "slowly": "langzaam", "quietly": "stilletjes", "carefully": "voorzichtig", "gladly": "graag",
    "secretly": "stiekem", "without_fear": "zonder angst", "with_pleasure": "met plezier",
}
NUMERALS = {
    2: "twee", 3: "drie", 4: "vier", 5: "vijf", 6: "zes", 7: "zeven", 8: "acht", 9: "negen", 10: "tien",
}
# fmt: on
PARTICLES = {"give_back": "terug", "return": "terug"}  # written before the verb at the end of a clause
CONNECTIVES = {"and": "en", "but": "maar", "because": "omdat"}


def render(sentence: Sentence) -> str:
    """Say the meaning in Dutch."""
    first = sentence.clauses[0]
    if sentence.question:
        return finish(_question(first, sentence.question), "?")
    words = _statement(first)
    if sentence.connective:
        second = _subclause if sentence.connective == "because" else _statement
        words += [",", CONNECTIVES[sentence.connective], *second(sentence.clauses[1])]
    return finish(words)


def _statement(clause: Clause) -> list[str]:
    """Subject, finite verb, middle field, the rest of the verb, the relative clause of the object."""
    finite, final = _bracket(clause)
    middle, extraposed = _middle(clause)
    return [*_subject(clause, True), finite, *middle, final, *extraposed]


def _subclause(clause: Clause) -> list[str]:
    """The clause after *omdat*, all verbs last; the particle joins the verb: *teruggaf*, *zal teruggeven*."""
    middle, extraposed = _middle(clause)
    final = _final_verbs(clause.verb, clause.tense, _is_plural(clause))
    return [*_subject(clause, False), *middle, final, *extraposed]


def _question(clause: Clause, question: str) -> list[str]:
    """*Wie* or *wat* or nothing, then the finite verb, the subject and the rest."""
    finite, final = _bracket(clause)
    middle, extraposed = _middle(clause)
    rest = [*middle, final, *extraposed]
    opening = {"polar": "", "who": "wie", "what": "wat"}[question]
    return [opening, finite, *_subject(clause, any(rest)), *rest]


def _is_plural(clause: Clause) -> bool:
    return len(clause.subjects) == 2 or any(subject.plural for subject in clause.subjects)


def _subject(clause: Clause, followed: bool) -> list[str]:
    """The subjects; the comma after a relative clause keeps two verbs or two noun phrases apart."""
    words = [" en ".join(_phrase(subject) for subject in clause.subjects)]
    for subject in clause.subjects:
        if subject.relative:
            words += [*_relative(subject, clause.tense), "," if followed else ""]
    return words


def _bracket(clause: Clause) -> tuple[str, str]:
    """The two verb positions of a main clause: finite verb, and infinitive or particle."""
    particle = PARTICLES.get(clause.verb, "")
    plural = _is_plural(clause)
    if clause.tense == "future":
        return "zullen" if plural else "zal", particle + VERBS[clause.verb].split()[0]
    return _finite(clause.verb, clause.tense, plural), particle


def _finite(verb: str, tense: str, plural: bool) -> str:
    infinitive, present, past, pasts = VERBS[verb].split()
    if tense == "past":
        return pasts if plural else past
    return infinitive if plural else present


def _final_verbs(verb: str, tense: str, plural: bool) -> str:
    """The verbs at the end of a subordinate clause."""
    particle = PARTICLES.get(verb, "")
    if tense == "future":
        return f"{'zullen' if plural else 'zal'} {particle}{VERBS[verb].split()[0]}"
    return particle + _finite(verb, tense, plural)


def _middle(clause: Clause) -> tuple[list[str], list[str]]:
    """What stands between the two verb positions, and the relative clause that follows them."""
    time, manner = TIME.get(clause.adverbial, ""), MANNER.get(clause.adverbial, "")
    negation = "niet" if clause.negated else ""
    if negation and clause.adverbial == "every_day":
        time, manner = "", time  # what is denied is the frequency: "niet elke dag"
    tail = _tail(clause)
    if clause.object is None:
        return [time, negation, manner, *tail], []
    relative = _relative(clause.object, clause.tense) if clause.object.relative else []
    if clause.object.determiner in ("a", "count"):
        if negation and not manner:
            return [time, _phrase(clause.object, negated=True), *tail], relative
        return [time, negation, manner, _phrase(clause.object), *tail], relative
    words = _phrase(clause.object)
    if relative and manner:
        # A relative clause moved behind "zonder angst" would describe the fear.
        if negation:
            return [words, *relative, ",", negation, manner], []
        return [manner, words], relative
    return [time, words, negation, manner, *tail], relative


def _tail(clause: Clause) -> list[str]:
    """Recipient, place and predicate adjective, which follow negation and manner."""
    words = []
    if clause.recipient:
        words += ["naar" if clause.verb == "bring" else "aan", _phrase(clause.recipient)]
    if clause.place:
        words += ["naar" if clause.frame == "motion" else "in", _phrase(clause.place)]
    return [*words, ADJECTIVES[clause.predicate].split()[0]] if clause.predicate else words


def _phrase(phrase: Phrase, negated: bool = False) -> str:
    """A noun phrase without its relative clause; `negated` puts *geen* to an indefinite one."""
    gender, singular, plural = NOUNS[phrase.noun].split()
    words = [_determiner(phrase, gender, negated), NUMERALS.get(phrase.count, "")]
    if phrase.adjective:
        bare = gender == "het" and phrase.determiner == "a" and not phrase.plural
        words.append(ADJECTIVES[phrase.adjective].split()[0 if bare else 1])
    words.append(plural if phrase.plural else singular)
    return " ".join(word for word in words if word)


def _determiner(phrase: Phrase, gender: str, negated: bool) -> str:
    neuter = gender == "het" and not phrase.plural
    indefinite = "geen" if negated else ""
    return {
        "the": "het" if neuter else "de",
        "this": "dit" if neuter else "deze",
        "my": "mijn",
        "a": indefinite or ("" if phrase.plural else "een"),
        "count": indefinite,
    }[phrase.determiner]


def _relative(head: Phrase, tense: str) -> list[str]:
    """The relative clause of a phrase that has one."""
    assert head.relative
    pronoun = "dat" if NOUNS[head.noun].startswith("het") and not head.plural else "die"
    return [pronoun, _phrase(head.relative.object), _final_verbs(head.relative.verb, tense, head.plural)]
