"""Simplified Chinese: past 了 (negated 没有), present 正在 or a bare habitual (negated 不), future 将会 (将不会).

Word order is subject, time, auxiliary, place, manner, verb, objects. A relative clause stands between classifier and
noun; a subject with no definite part is introduced by 有; adjectives as predicates take 以前 in the past.
"""

from interference.demo.forms import finish
from interference.demo.meaning import Clause, Phrase, Relative, Sentence, noun_class

# fmt: off
NOUNS = {  # classifier and noun
    "man": ("个", "男人"), "woman": ("个", "女人"), "boy": ("个", "男孩"), "girl": ("个", "女孩"),
    "teacher": ("位", "老师"), "doctor": ("位", "医生"), "friend": ("个", "朋友"), "king": ("位", "国王"),
    "queen": ("位", "王后"), "farmer": ("个", "农民"), "neighbor": ("个", "邻居"), "brother": ("个", "哥哥"),
    "sister": ("个", "姐姐"), "baker": ("位", "面包师"), "soldier": ("名", "士兵"), "grandmother": ("位", "祖母"),
    "grandfather": ("位", "祖父"), "painter": ("位", "画家"), "student": ("个", "学生"), "thief": ("个", "小偷"),
    "uncle": ("个", "叔叔"), "aunt": ("个", "阿姨"), "poet": ("位", "诗人"), "sailor": ("名", "水手"),
    "judge": ("位", "法官"), "cook": ("位", "厨师"), "dog": ("只", "狗"), "cat": ("只", "猫"), "horse": ("匹", "马"),
    "bird": ("只", "鸟"), "cow": ("头", "奶牛"), "mouse": ("只", "老鼠"), "wolf": ("只", "狼"), "bear": ("头", "熊"),
    "fox": ("只", "狐狸"), "elephant": ("头", "大象"), "rabbit": ("只", "兔子"), "duck": ("只", "鸭子"),
    "book": ("本", "书"), "letter": ("封", "信"), "apple": ("个", "苹果"), "key": ("把", "钥匙"),
    "table": ("张", "桌子"), "hat": ("顶", "帽子"), "chair": ("把", "椅子"), "picture": ("幅", "画"),
    "flower": ("朵", "花"), "cup": ("个", "杯子"), "box": ("个", "箱子"), "bag": ("个", "包"), "lamp": ("盏", "灯"),
    "knife": ("把", "刀"), "ring": ("枚", "戒指"), "coat": ("件", "外套"), "ball": ("个", "球"),
    "stone": ("块", "石头"), "bottle": ("个", "瓶子"), "egg": ("个", "鸡蛋"), "house": ("栋", "房子"),
    "garden": ("座", "花园"), "city": ("座", "城市"), "village": ("个", "村庄"), "forest": ("片", "森林"),
    "school": ("所", "学校"), "kitchen": ("间", "厨房"), "shop": ("家", "商店"), "park": ("座", "公园"),
    "room": ("个", "房间"), "church": ("座", "教堂"), "museum": ("座", "博物馆"),
}
ADJECTIVES = {  # before 的
    "animate": {
        "old": "年老", "small": "矮小", "young": "年轻", "big": "高大", "happy": "快乐", "tired": "疲倦",
        "strong": "强壮", "beautiful": "漂亮", "hungry": "饥饿", "poor": "贫穷", "sad": "悲伤", "clever": "聪明",
        "rich": "富有", "brave": "勇敢", "lazy": "懒惰", "friendly": "友好", "weak": "虚弱", "famous": "著名",
    },
    "thing": {
        "new": "新", "big": "很大", "red": "红色", "old": "旧", "small": "很小", "white": "白色", "heavy": "沉重",
        "expensive": "昂贵", "black": "黑色", "clean": "干净", "green": "绿色", "beautiful": "漂亮", "dirty": "肮脏",
        "cheap": "便宜", "round": "圆形", "blue": "蓝色",
    },
    "place": {
        "big": "很大", "old": "古老", "small": "很小", "beautiful": "美丽", "dark": "黑暗", "new": "新",
        "quiet": "安静", "cold": "寒冷", "empty": "空荡荡", "warm": "温暖",
    },
}
PREDICATES = ADJECTIVES["animate"] | {"old": "老", "hungry": "饿"}
INTRANSITIVE = {  # plain form and past form; 等, 跳, 睡 and 做梦 need a complement to be complete after 了
    "sleep": ("睡觉", "睡了一觉"), "work": ("干活", "干了活"), "laugh": ("笑", "笑了"), "wait": ("等待", "等了一会儿"),
    "sing": ("唱歌", "唱了歌"), "dance": ("跳舞", "跳了舞"), "run": ("跑步", "跑了步"), "cry": ("哭", "哭了"),
    "swim": ("游泳", "游了泳"), "smile": ("微笑", "微笑了"), "rest": ("休息", "休息了"), "jump": ("跳跃", "跳了一下"),
    "dream": ("做梦", "做了一个梦"),
}
TRANSITIVE = {  # with an object or a goal directly after the verb
    "see": "看见", "help": "帮助", "find": "找到", "call": "呼唤", "follow": "跟随", "greet": "问候", "visit": "拜访",
    "watch": "观察", "hug": "拥抱", "protect": "保护", "push": "推", "thank": "感谢", "buy": "买", "look_for": "寻找",
    "sell": "卖", "eat": "吃", "wash": "洗", "carry": "搬运", "paint": "画", "lose": "失去", "hide": "藏",
    "repair": "修理", "choose": "挑选", "steal": "偷", "go": "去", "return": "返回", "walk": "走进", "travel": "前往",
}
# 看见 and 找到 take neither 正在 nor 不: their present is 能, negated 无法. A relative clause has the potential form,
# as 那只 before 能看见 would read as 只能, "can only".
RESULTATIVE = {"see": "看得见", "find": "找得到"}
DITRANSITIVE = {  # word before the recipient, verb between recipient and object
    "give": ("给", ""), "show": ("向", "展示"), "send": ("给", "寄"), "bring": ("给", "拿"),
    "give_back": ("向", "归还"),
}
TIMES = {
    "yesterday": "昨天", "last_week": "上周", "last_year": "去年", "three_days_ago": "三天前", "often": "常常",
    "now": "现在", "always": "总是", "every_day": "每天都", "sometimes": "有时", "tomorrow": "明天", "soon": "不久后",
    "next_week": "下周", "next_year": "明年", "today": "今天", "in_the_morning": "早上", "at_night": "夜里",
    "in_the_evening": "晚上",
}
MANNERS = {
    "quickly": "快速地", "slowly": "慢慢地", "quietly": "安静地", "carefully": "谨慎地", "gladly": "高兴地",
    "secretly": "秘密地", "without_fear": "无畏地", "with_pleasure": "愉快地",
}
# fmt: on
HABITUAL = ("often", "always", "every_day", "sometimes", "in_the_morning", "at_night", "in_the_evening")
DETERMINERS = {"the": "那", "this": "这", "my": "我的那", "a": "一"}
NUMERALS = dict(enumerate("两三四五六七八九十", start=2))
CONNECTIVES = {"and": "并且", "but": "但是", "because": "因为"}


def render(sentence: Sentence) -> str:
    """The sentence in Simplified Chinese."""
    texts = [_clause(clause, sentence.question) for clause in sentence.clauses]
    text = ("，" + CONNECTIVES.get(sentence.connective, "")).join(texts)
    if sentence.question == "polar":
        text += "吗"
    return finish([text], "？" if sentence.question else "。", separator="")


def _clause(clause: Clause, question: str) -> str:
    subject = "谁" if question == "who" else _subject(clause)
    predicate = _copular(clause) if clause.frame == "copular" else _verbal(clause)
    return subject + _time(clause) + predicate


def _subject(clause: Clause) -> str:
    """Joined by 和; wholly indefinite subjects are not natural before the verb unless 有 introduces them."""
    indefinite = all(subject.determiner in ("a", "count") for subject in clause.subjects)
    return ("有" if indefinite else "") + "和".join(_phrase(subject, clause.tense) for subject in clause.subjects)


def _time(clause: Clause) -> str:
    if clause.negated and clause.adverbial == "every_day":
        return "不是每天都"
    return TIMES.get(clause.adverbial, "")


def _negated(clause: Clause) -> bool:
    """Whether the predicate itself is negated, and not 每天."""
    return clause.negated and clause.adverbial != "every_day"


def _copular(clause: Clause) -> str:
    adjective = PREDICATES[clause.predicate]
    if clause.tense == "future":
        return ("将不会" if clause.negated else "将会很") + adjective
    time = "以前" if clause.tense == "past" and not clause.adverbial else ""
    return time + ("不" if _negated(clause) else "很") + adjective


def _verbal(clause: Clause) -> str:
    """Auxiliary, place, manner and the verb with its objects; 正在 already contains the 在 of the place."""
    auxiliary = _auxiliary(clause.verb, clause.tense, _negated(clause), clause.adverbial)
    place = _phrase(clause.place, clause.tense) + "里" if clause.frame == "intransitive" and clause.place else ""
    if place and auxiliary != "正在":
        place = "在" + place
    return auxiliary + place + MANNERS.get(clause.adverbial, "") + _core(clause, auxiliary == "正在")


def _auxiliary(verb: str, tense: str, negated: bool = False, adverbial: str = "") -> str:
    """What marks tense and negation before the verb; 并不, as 不 with a manner could read as 不高兴, "unhappily"."""
    if tense == "past":
        return "没有" if negated else ""
    if tense == "future":
        return "将不会" if negated else "将会"
    if verb in RESULTATIVE:
        return "无法" if negated else "能"
    if negated:
        return "并不" if adverbial in MANNERS else "不"
    return "" if adverbial in HABITUAL else "正在"


def _core(clause: Clause, progressive: bool) -> str:
    """The verb, with 了 in the affirmative past, and its objects or goal; 去 alone does not take 正在."""
    past = clause.tense == "past" and not clause.negated
    if clause.frame == "intransitive":
        return INTRANSITIVE[clause.verb][past]
    aspect = "了" if past else ""
    if clause.frame == "ditransitive":
        return _ditransitive(clause, aspect)
    target = clause.place or clause.object
    verb = "去往" if progressive and clause.verb == "go" else TRANSITIVE[clause.verb]
    return verb + aspect + (_phrase(target, clause.tense) if target else "什么")


def _ditransitive(clause: Clause, aspect: str) -> str:
    assert clause.recipient
    assert clause.object
    before, verb = DITRANSITIVE[clause.verb]
    recipient, thing = _phrase(clause.recipient, clause.tense), _phrase(clause.object, clause.tense)
    return f"{before}{recipient}{verb}{aspect}{thing}" if verb else f"{before}{aspect}{recipient}{thing}"


def _phrase(phrase: Phrase, tense: str, embedded: bool = False) -> str:
    """Determiner, classifier, relative clause, adjective, noun; `embedded` is true inside a relative clause."""
    modifiers = _relative(phrase.relative, tense) if phrase.relative else ""
    if phrase.adjective:
        modifiers += ADJECTIVES[noun_class(phrase.noun)][phrase.adjective] + "的"
    # 我的 alone before another 的 reads badly and would be ambiguous; 我的那 with a classifier is not.
    bare = phrase.determiner == "my" and not (phrase.plural or modifiers or embedded)
    return ("我的" if bare else _determiner(phrase)) + modifiers + NOUNS[phrase.noun][1]


def _determiner(phrase: Phrase) -> str:
    if phrase.count:
        return NUMERALS[phrase.count] + NOUNS[phrase.noun][0]
    return DETERMINERS[phrase.determiner] + ("些" if phrase.plural else NOUNS[phrase.noun][0])


def _relative(relative: Relative, tense: str) -> str:
    if tense == "present" and relative.verb in RESULTATIVE:
        verb = RESULTATIVE[relative.verb]
    else:
        verb = _auxiliary(relative.verb, tense) + TRANSITIVE[relative.verb] + ("了" if tense == "past" else "")
    return verb + _phrase(relative.object, tense, embedded=True) + "的"
