"""Modern Standard Arabic, unvocalised: perfect, imperfect and سـ future, negated with لم, لا and لن, in the order verb,
subject, object; a definite subject with a relative clause precedes its verb in statements with an object, and
its copula. Adverbials close the clause, but follow the verb where a relative clause or a bare noun would otherwise
claim them; a bare noun of place opens the clause before a subject with a relative clause.

"A dog is tired" is said with هناك, as an indefinite noun cannot open a nominal sentence. A shadda is written only where
the yāʾ of "my" melts into another, so that معلميّ "my teachers" differs from معلمي "my teacher".
"""

from interference.demo.forms import finish
from interference.demo.meaning import PERSONS, Clause, Phrase, Relative, Sentence, noun_class

NOMINATIVE, ACCUSATIVE, GENITIVE = "nominative", "accusative", "genitive"

# fmt: off
NOUNS = {  # singular, plural
    "man": "رجل رجال", "woman": "امرأة نساء", "boy": "ولد أولاد", "girl": "بنت بنات", "teacher": "معلم معلمون",
    "doctor": "طبيب أطباء", "friend": "صديق أصدقاء", "king": "ملك ملوك", "queen": "ملكة ملكات",
    "farmer": "فلاح فلاحون", "neighbor": "جار جيران", "brother": "أخ إخوة", "sister": "أخت أخوات",
    "baker": "خباز خبازون", "soldier": "جندي جنود", "grandmother": "جدة جدات", "grandfather": "جد أجداد",
    "painter": "رسام رسامون", "student": "طالب طلاب", "thief": "لص لصوص", "uncle": "عم أعمام", "aunt": "عمة عمات",
    "poet": "شاعر شعراء", "sailor": "بحار بحارة", "judge": "قاض قضاة", "cook": "طباخ طباخون",
    "dog": "كلب كلاب", "cat": "قطة قطط", "horse": "حصان أحصنة", "bird": "طائر طيور", "cow": "بقرة بقرات",
    "mouse": "فأر فئران", "wolf": "ذئب ذئاب", "bear": "دب دببة", "fox": "ثعلب ثعالب", "elephant": "فيل أفيال",
    "rabbit": "أرنب أرانب", "duck": "بطة بطات",
    "book": "كتاب كتب", "letter": "رسالة رسائل", "apple": "تفاحة تفاحات", "key": "مفتاح مفاتيح",
    "table": "طاولة طاولات", "hat": "قبعة قبعات", "chair": "مقعد مقاعد", "picture": "صورة صور",
    "flower": "زهرة زهور", "cup": "كوب أكواب", "box": "صندوق صناديق", "bag": "حقيبة حقائب", "lamp": "مصباح مصابيح",
    "knife": "سكين سكاكين", "ring": "خاتم خواتم", "coat": "معطف معاطف", "ball": "كرة كرات", "stone": "حجر أحجار",
    "bottle": "زجاجة زجاجات", "egg": "بيضة بيضات",
    "house": "بيت بيوت", "garden": "حديقة حدائق", "city": "مدينة مدن", "village": "قرية قرى", "forest": "غابة غابات",
    "school": "مدرسة مدارس", "kitchen": "مطبخ مطابخ", "shop": "متجر متاجر", "park": "متنزه متنزهات",
    "room": "غرفة غرف", "church": "كنيسة كنائس", "museum": "متحف متاحف",
}
ADJECTIVES = {  # masculine singular; masculine plural where it is broken; the rest is regular
    "old animate": "مسن", "small": "صغير صغار", "young": "شاب شبان", "big": "كبير كبار", "happy": "سعيد سعداء",
    "tired": "متعب", "strong": "قوي أقوياء", "beautiful": "جميل", "hungry": "جائع", "poor": "فقير فقراء",
    "sad": "حزين", "clever": "ذكي أذكياء", "rich": "غني أغنياء", "brave": "شجاع شجعان", "lazy": "كسول كسالى",
    "friendly": "ودود", "weak": "ضعيف ضعفاء", "famous": "مشهور",
    "old": "قديم", "new": "جديد", "heavy": "ثقيل", "expensive": "غال", "clean": "نظيف", "dirty": "متسخ",
    "cheap": "رخيص", "round": "مستدير",
    "dark": "مظلم", "quiet": "هادئ", "cold": "بارد", "empty": "فارغ", "warm": "دافئ",
}
COLORS = {  # masculine, feminine; the masculine is a diptote
    "red": "أحمر حمراء", "white": "أبيض بيضاء", "black": "أسود سوداء", "green": "أخضر خضراء", "blue": "أزرق زرقاء",
}
VERBS = {  # perfect, imperfect stem; for hollow verbs also both shortened stems
    "be": "كان كون كن كن",
    "sleep": "نام نام نم نم", "work": "عمل عمل", "laugh": "ضحك ضحك", "wait": "انتظر نتظر", "sing": "غنى غني",
    "dance": "رقص رقص", "run": "ركض ركض", "cry": "بكى بكي", "swim": "سبح سبح", "smile": "ابتسم بتسم",
    "rest": "استراح ستريح استرح سترح", "jump": "قفز قفز", "dream": "حلم حلم",
    "see": "رأى رى", "help": "ساعد ساعد", "find": "وجد جد", "call": "نادى نادي", "follow": "تبع تبع",
    "greet": "سلم سلم", "visit": "زار زور زر زر", "watch": "راقب راقب", "hug": "عانق عانق", "protect": "حمى حمي",
    "push": "دفع دفع", "thank": "شكر شكر",
    "buy": "اشترى شتري", "look_for": "بحث بحث", "sell": "باع بيع بع بع", "eat": "أكل أكل", "wash": "غسل غسل",
    "carry": "حمل حمل", "paint": "رسم رسم", "lose": "فقد فقد", "hide": "أخفى خفي", "repair": "أصلح صلح",
    "choose": "اختار ختار اختر ختر", "steal": "سرق سرق",
    "give": "أعطى عطي", "show": "عرض عرض", "send": "أرسل رسل", "bring": "أحضر حضر", "give_back": "أعاد عيد أعد عد",
    "go": "ذهب ذهب", "return": "عاد عود عد عد", "walk": "مشى مشي", "travel": "سافر سافر",
}
OBJECT_PREPOSITIONS = {"look_for": "عن", "greet": "على"}
RECIPIENT_PREPOSITIONS = {"show": "على", "send": "إلى", "bring": "إلى", "give_back": "إلى"}  # give: two accusatives
ADVERBIALS = {
    "": "", "yesterday": "أمس", "last_week": "في الأسبوع الماضي", "last_year": "في العام الماضي",
    "three_days_ago": "قبل ثلاثة أيام", "often": "في كثير من الأحيان", "now": "الآن", "always": "على الدوام",
    "every_day": "كل يوم", "sometimes": "في بعض الأحيان", "tomorrow": "غدا", "soon": "عما قريب",
    "next_week": "في الأسبوع القادم", "next_year": "في العام القادم", "today": "اليوم", "quickly": "بسرعة",
    "in_the_morning": "في الصباح", "slowly": "ببطء", "at_night": "في الليل", "quietly": "بهدوء",
    "in_the_evening": "في المساء", "carefully": "بعناية", "gladly": "عن طيب خاطر", "secretly": "سرا",
    "without_fear": "بلا خوف", "with_pleasure": "بسرور",
}
NOUN_ADVERBIALS = ("yesterday", "now", "today")  # رسالة أمس would be "yesterday's letter"
NUMERALS = {  # with feminine nouns; with masculine ones the numeral takes ة
    3: "ثلاث", 4: "أربع", 5: "خمس", 6: "ست", 7: "سبع", 8: "ثماني", 9: "تسع", 10: "عشر",
}
DEMONSTRATIVES = {"ms": "هذا", "fs": "هذه", "mp": "هؤلاء", "fp": "هؤلاء"}
RELATIVES = {"ms": "الذي", "fs": "التي", "mp": "الذين", "fp": "اللواتي"}
# fmt: on
FEMININE_WITHOUT_ENDING = ("بنت", "أخت")
DEFECTIVE = ("قاض", "غال")  # their yāʾ is dropped where an indefinite noun has nominative or genitive tanwin


def render(sentence: Sentence) -> str:
    """The sentence in Arabic, with punctuation."""
    first = _clause(sentence.clauses[0], sentence.question)
    end = "؟" if sentence.question else "."
    if not sentence.connective:
        return finish([first], end)
    return finish([first + "،", _joined(sentence.connective, sentence.clauses[1])], end)


def _joined(connective: str, clause: Clause) -> str:
    """A second clause; before a nominal sentence لكن and إذ إن put its subject into the accusative."""
    if connective == "and":
        return "و" + _clause(clause)
    if not _is_nominal(clause):
        return {"but": "ولكن", "because": "إذ"}[connective] + " " + _clause(clause)
    return {"but": "ولكن", "because": "إذ إن"}[connective] + " " + _clause(clause, case=ACCUSATIVE)


def _clause(clause: Clause, question: str = "", case: str = NOMINATIVE) -> str:
    words = _copular(clause, question, case) if clause.frame == "copular" else _verbal(clause, question)
    opening = {"": "", "polar": "هل", "who": "من", "what": "ماذا"}[question]
    preposition = OBJECT_PREPOSITIONS.get(clause.verb, "") if question == "what" else ""
    return " ".join(word for word in (preposition, opening, *words) if word)


def _verbal(clause: Clause, question: str) -> list[str]:
    """Verb, subject, objects, place, adverbial; a relative clause draws place and adverbial forward."""
    subject_first = not question and clause.object is not None and _is_heavy(clause.subjects[0])
    agreement = _agreement(clause.subjects[0], before_subject=not subject_first) if clause.subjects else "ms"
    verb = _verb(clause.verb, clause.tense, agreement, clause.negated)
    subject = " و".join(_phrase(phrase, clause.tense, NOMINATIVE) for phrase in clause.subjects)
    objects = _objects(clause)
    preposition = "إلى" if clause.frame == "motion" else "في"
    place = f"{preposition} {_phrase(clause.place, clause.tense, GENITIVE)}" if clause.place else ""
    adverbial, annexed = ADVERBIALS[clause.adverbial], _is_annexed(clause)
    if subject_first and clause.object:
        early = clause.object.relative or annexed
        words = [verb, adverbial, *objects] if early else [verb, *objects, adverbial]
        return [subject, *words]
    if any(phrase.relative for phrase in (*clause.subjects, clause.object) if phrase):
        if not question and _is_bare(clause.place):  # ذهب إلى بيت الولد would be "he went to the boy's house"
            return [place, verb, adverbial, subject]
        return [verb, place, adverbial, subject, *objects]
    if annexed:
        return [verb, adverbial, subject, *objects, place]
    return [verb, subject, *objects, place, adverbial]


def _is_annexed(clause: Clause) -> bool:
    """Whether an adverbial that is a noun would read as the genitive of the bare indefinite noun it follows."""
    recipient = clause.recipient if clause.verb in RECIPIENT_PREPOSITIONS else None
    last = clause.place or recipient or clause.object or (clause.subjects[-1] if clause.subjects else None)
    return clause.adverbial in NOUN_ADVERBIALS and _is_bare(last)


def _is_bare(phrase: Phrase | None) -> bool:
    """An indefinite noun without adjective, which a genitive could follow; a dual would lose its ن before one."""
    return phrase is not None and not _is_definite(phrase) and not phrase.adjective and phrase.count != 2


def _objects(clause: Clause) -> list[str]:
    if not clause.object:
        return []
    if not clause.recipient:
        return [_governed(clause.object, clause.tense, OBJECT_PREPOSITIONS.get(clause.verb, ""))]
    preposition = RECIPIENT_PREPOSITIONS.get(clause.verb, "")
    objects = [_governed(clause.object, clause.tense), _governed(clause.recipient, clause.tense, preposition)]
    return objects if preposition else objects[::-1]


def _governed(phrase: Phrase, tense: str, preposition: str = "") -> str:
    """An object, direct or after its preposition."""
    return f"{preposition} {_phrase(phrase, tense, GENITIVE)}" if preposition else _phrase(phrase, tense, ACCUSATIVE)


def _is_nominal(clause: Clause) -> bool:
    return clause.frame == "copular" and clause.tense == "present" and not clause.negated


def _copular(clause: Clause, question: str, case: str) -> list[str]:
    """Copula, subject, predicate, adverbial; a subject with a relative clause goes first (if definite) or last."""
    subject, adverbial = clause.subjects[0], ADVERBIALS[clause.adverbial]
    if _is_nominal(clause) and not _is_definite(subject):
        described = _phrase(subject, clause.tense, case, clause.predicate)
        return ["هناك", adverbial, described] if subject.relative else ["هناك", described, adverbial]
    subject_first = not _is_nominal(clause) and not question and _is_heavy(subject)
    copula = "" if _is_nominal(clause) else _copula(clause, _agreement(subject, before_subject=not subject_first))
    predicate = _adjective(clause.predicate, subject, ACCUSATIVE if copula else NOMINATIVE)
    noun = _phrase(subject, clause.tense, case)
    if subject_first:
        return [noun, copula, predicate, adverbial]
    return [copula, predicate, adverbial, noun] if subject.relative else [copula, noun, predicate, adverbial]


def _copula(clause: Clause, agreement: str) -> str:
    if clause.tense == "present":
        return {"ms": "ليس", "fs": "ليست", "mp": "ليسوا", "fp": "لسن"}[agreement]
    return _verb("be", clause.tense, agreement, clause.negated)


def _agreement(phrase: Phrase, before_subject: bool = False) -> str:
    """ms, fs, mp or fp (dual: md, fd); a verb before its subject is singular, and so are plurals of non-humans."""
    gender = "f" if _is_feminine(phrase.noun) else "m"
    if phrase.plural and phrase.count != 2 and phrase.noun not in PERSONS:
        return "fs"
    if before_subject or not phrase.plural:
        return gender + "s"
    return gender + ("d" if phrase.count == 2 else "p")


def _is_feminine(noun: str) -> bool:
    singular = NOUNS[noun].split()[0]
    return singular.endswith("ة") or singular in FEMININE_WITHOUT_ENDING


def _is_definite(phrase: Phrase) -> bool:
    return phrase.determiner in ("the", "this", "my")


def _is_heavy(phrase: Phrase) -> bool:
    """Definite with a relative clause: such a subject would part the verb from its object."""
    return phrase.relative is not None and _is_definite(phrase)


def _phrase(phrase: Phrase, tense: str, case: str, predicate: str = "") -> str:
    """Noun, adjective, a predicate said as a second adjective, relative clause."""
    within = GENITIVE if phrase.count > 2 else case  # a numeral above two governs the genitive
    words = [_noun(phrase, case)]
    words += [_adjective(a, phrase, within, _is_definite(phrase)) for a in (phrase.adjective, predicate) if a]
    if phrase.relative:
        words.append(_relative(phrase, phrase.relative, tense))
    return " ".join(words)


def _noun(phrase: Phrase, case: str) -> str:
    singular, plural = NOUNS[phrase.noun].split()
    form = plural if phrase.plural else singular
    if phrase.determiner == "count":
        return _counted(phrase, case)
    if phrase.determiner == "my":
        return _possessed(form)
    if phrase.determiner == "a":
        return _inflected(form, case, diptote=phrase.plural and _is_ultimate_plural(plural))
    noun = _with_article(form, case)
    return f"{DEMONSTRATIVES[_agreement(phrase)]} {noun}" if phrase.determiner == "this" else noun


def _counted(phrase: Phrase, case: str) -> str:
    """The dual, or a numeral whose gender ending is the reverse of the noun's."""
    singular, plural = NOUNS[phrase.noun].split()
    if phrase.count > 2:
        numeral = NUMERALS[phrase.count] + ("" if _is_feminine(phrase.noun) else "ة")
        return f"{numeral} {_inflected(plural, GENITIVE)}"
    dual = _dual(singular, case)
    # معلمين is both "two teachers" and "teachers", so that the numeral has to follow it
    return f"{dual} اثنين" if case != NOMINATIVE and plural.endswith("ون") else dual


def _possessed(form: str) -> str:
    """The noun with ـي "my", which replaces the case ending."""
    if form in DEFECTIVE:
        return form + "يّ"
    if form.endswith("ون"):
        return form[:-2] + "يّ"
    joining = {"ة": "ت", "ء": "ئ", "ى": "ا"}
    return form[:-1] + joining.get(form[-1], form[-1]) + "ي"


def _is_ultimate_plural(plural: str) -> bool:
    """Plurals of the patterns مفاعل and مفاعيل, which are diptotes."""
    return len(plural) > 4 and plural[2] == "ا"


def _inflected(form: str, case: str, diptote: bool = False) -> str:
    """An indefinite word with what writing shows of its case."""
    if form.endswith("ون"):
        return form if case == NOMINATIVE else form[:-2] + "ين"
    if case != ACCUSATIVE or diptote or form.endswith(("ة", "ات", "اء", "ى")):
        return form
    return form + ("يا" if form in DEFECTIVE else "ا")


def _with_article(form: str, case: str) -> str:
    if form in DEFECTIVE:
        return f"ال{form}ي"
    if form == "امرأة":
        return "المرأة"
    return "ال" + (_inflected(form, case) if form.endswith("ون") else form)


def _dual(singular: str, case: str) -> str:
    ending = "ان" if case == NOMINATIVE else "ين"
    if singular in DEFECTIVE:
        return singular + "ي" + ending
    if singular == "أخ":
        return "أخو" + ending
    joining = {"ة": "ت", "ء": "و"}
    return singular[:-1] + joining.get(singular[-1], singular[-1]) + ending


def _adjective(concept: str, phrase: Phrase, case: str, definite: bool = False) -> str:
    """The adjective agreeing with the noun of the phrase."""
    forms = _adjective_forms("old animate" if concept == "old" and noun_class(phrase.noun) == "animate" else concept)
    agreement = _agreement(phrase)
    if agreement in ("md", "fd"):
        return _dual(forms[agreement[0] + "s"], case)
    if definite:
        return _with_article(forms[agreement], case)
    return _inflected(forms[agreement], case, diptote=concept in COLORS)


def _adjective_forms(concept: str) -> dict[str, str]:
    if concept in COLORS:
        return dict(zip(("ms", "fs"), COLORS[concept].split(), strict=True))
    masculine, *broken = ADJECTIVES[concept].split()
    stem = masculine + "ي" if masculine in DEFECTIVE else masculine
    return {"ms": masculine, "fs": stem + "ة", "mp": broken[0] if broken else stem + "ون", "fp": stem + "ات"}


def _relative(phrase: Phrase, relative: Relative, tense: str) -> str:
    """The relative clause; after an indefinite noun it has no pronoun."""
    agreement = _agreement(phrase)
    pronoun = RELATIVES[agreement] + " " if _is_definite(phrase) else ""
    verb = _verb(relative.verb, tense, agreement)
    return f"{pronoun}{verb} {_governed(relative.object, tense, OBJECT_PREPOSITIONS.get(relative.verb, ''))}"


def _verb(verb: str, tense: str, agreement: str, negated: bool = False) -> str:
    """The third person, with its negation: jussive after لم, indicative after لا, subjunctive after لن."""
    perfect, imperfect, *short = VERBS[verb].split()
    if tense == "past" and not negated:
        return _suffixed(perfect, short[0] if short else perfect, agreement, ("ت", "وا"))
    stem = ("ت" if agreement == "fs" else "ي") + imperfect
    if negated and tense == "past" and agreement in ("ms", "fs"):
        return "لم " + (stem[0] + short[1] if short else stem.rstrip("يى"))
    plural = "وا" if negated and tense != "present" else "ون"
    form = _suffixed(stem, stem[0] + short[1] if short else stem, agreement, ("", plural))
    if negated:
        return {"past": "لم ", "present": "لا ", "future": "لن "}[tense] + form
    return ("س" if tense == "future" else "") + form


def _suffixed(stem: str, short: str, agreement: str, endings: tuple[str, str]) -> str:
    """The stem with the ending of the feminine singular or of a plural, losing a weak last letter; ن and ن merge."""
    weak = stem[:-1] if stem.endswith(("ي", "ى")) else ""
    feminine, plural = endings
    if agreement == "fp":
        return weak + "ين" if weak else short.removesuffix("ن") + "ن"
    ending = {"ms": "", "fs": feminine, "mp": plural}[agreement]
    return (weak or stem) + ending if ending else stem
