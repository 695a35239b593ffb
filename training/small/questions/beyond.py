"""Questions that the data do not answer (why, what comes next, who made it), talk, and questions in other languages."""

from __future__ import annotations

from collections.abc import Sequence

from training.small import paragraphs
from training.small.paragraphs import BARS, trend_of
from training.small.questions import bars, curves
from training.small.questions.scene import Kind, Pair, Scene
from training.small.questions.wording import worded

_WHY = (
    "Why does it behave like that?",
    "What is the reason for this?",
    "Why is that so?",
    "What causes the difference?",
    "Why?",
    "why is that",
    "What explains this?",
    "How come?",
    "What is the cause?",
    "What is the mechanism behind this?",
    "Do you know why?",
    "What could be the reason?",
    "Why do they differ?",
    "Can you explain why this happens?",
    "What drives this?",
    "How can this be explained physically?",
)
_WHY_OF = (
    "Why does {s} behave like this?",
    "What causes the shape of {s}?",
    "What is behind the course of {s}?",
    "Why is {s} so high?",
    "Why is {s} so low?",
    "Why does {s} differ from the rest?",
    "What makes {s} special?",
    "why {s}?",
    "What leads to these values of {s}?",
    "Why does {s} change?",
    "What drives {s}?",
    "What explains the values of {s}?",
    "Why is {s} like that?",
    "What could cause this in {s}?",
    "How do you explain {s}?",
)
_WHY_FALLS = (
    "Why does {s} {fall}?",
    "What makes {s} {fall}?",
    "What causes {s} to {fall}?",
    "why does {s} {fall}",
    "How come {s} {falls}?",
    "Why is it that {s} {falls}?",
    "What is the reason that {s} {falls}?",
    "{s} {falls}. Why?",
    "Can you explain why {s} {falls}?",
)
_GREETINGS = (
    (
        ("Hello!", "Hi", "Good morning!", "hello", "hi there", "Good evening", "Hey!", "Hey there"),
        "Hello! Ask me anything about this figure.",
    ),
    (
        ("Thanks!", "Thank you very much.", "Great, thanks.", "thx", "Perfect, thank you.", "ok thanks", "Cheers!"),
        "You are welcome.",
    ),
    (
        (
            "Who are you?",
            "What can you do?",
            "Are you a person?",
            "what are you for",
            "Which model are you?",
            "What are you?",
        ),
        "I explain scientific figures from their text and data.",
    ),
    (
        ("How are you?", "How is it going?", "how are you doing", "Everything fine?", "Are you well?"),
        "Fine, thank you. What would you like to know about the figure?",
    ),
)
_ABSENT = (
    "a control group",
    "error bars for the background",
    "a third panel",
    "the baseline",
    "a p-value",
    "the sample size",
    "a confidence interval",
    "the standard deviation",
    "significance",
    "the hardware",
    "a legend for the arrows",
    "a regression line",
    "the number of repetitions",
)
_ABSENT_FORMS = (
    "What does the figure say about {thing}?",
    "Does the figure mention {thing}?",
    "Does the figure show {thing}?",
    "What about {thing}?",
    "Can you see {thing}?",
    "Does it say anything about {thing}?",
    "{thing}?",
    "Where in the figure is {thing}?",
    "Is anything said of {thing}?",
)
_FUTURE = (
    "Will this continue in the future?",
    "What happens beyond the plotted range?",
    "What comes next?",
    "Will it go on like this?",
    "Can you extrapolate?",
    "What will the values be next year?",
    "Where will this end?",
    "How will it go on after the last point?",
    "What would a larger value of x give?",
    "Predict the next point.",
    "Can you predict the next value?",
)
_SOURCE = (
    "Who made this figure?",
    "Which paper is this from?",
    "Who are the authors?",
    "Where was this published?",
    "Which software drew this?",
    "Who measured this?",
    "How were the data collected?",
    "Is this statistically significant?",
    "Is this result important?",
    "Which method would you recommend?",
    "Is that good or bad?",
    "Can I trust this result?",
    "When was this published?",
)
_EXACT = (
    "Can you give exact numbers?",
    "How exact are these numbers?",
    "Are these values exact?",
    "How precise is that?",
    "exact values please",
    "Can I cite these numbers?",
    "How accurate is your reading?",
    "Why do you say about?",
    "Where do the numbers come from?",
    "What is the exact value?",
    "How sure are you about the numbers?",
)
_SUMMARY = (
    "Summarise it in one sentence.",
    "In one sentence, please.",
    "In fewer than twenty words?",
    "Say it in a single sentence.",
    "What is plotted, in one line?",
    "one sentence summary",
    "Shorter, please.",
    "What is this about, in a few words?",
    "Give me a caption for this figure.",
    "Suggest a caption.",
    "In about fifteen words, what is shown?",
    "Can you put that in one sentence?",
)
_PANEL_SHOWS = (
    "What does panel ({}) show?",
    "What is in panel ({})?",
    "Describe panel ({}).",
    "And panel ({})?",
    "({})?",
    "What about panel {}?",
    "Explain subfigure ({}).",
    "What can be seen in ({})?",
    "panel {}?",
    "What is plotted in panel ({})?",
    "Tell me about panel ({}).",
)
_PANELS = (
    "How many panels are there?",
    "How many plots does the figure have?",
    "Number of panels?",
    "Is there more than one panel?",
    "Of how many subfigures does it consist?",
    "How many charts are shown?",
    "How many subplots are there?",
)
_FOREIGN_SHOWN = (
    "Was zeigt die Abbildung?",
    "Was ist hier zu sehen?",
    "Erkläre die Abbildung.",
    "Que montre cette figure ?",
    "Expliquez ce graphique.",
    "¿Qué muestra la figura?",
    "Explica este gráfico, por favor.",
    "O que mostra a figura?",
    "Wat laat de figuur zien?",
    "Co przedstawia ten wykres?",
    "Что показано на рисунке?",
    "Vad visar figuren?",
    "Bu grafik neyi gösteriyor?",
    "この図は何を示していますか?",
    "이 그림은 무엇을 보여 주나요?",
    "图中显示了什么?",
    "Cosa mostra il grafico?",
)
_FOREIGN_HIGHEST = (
    "Was ist der höchste Wert von {s}?",
    "Wie hoch steigt {s}?",
    "Quelle est la valeur maximale de {s} ?",
    "¿Cuál es el valor máximo de {s}?",
    "Qual é o valor máximo de {s}?",
    "Wat is de hoogste waarde van {s}?",
    "Jaka jest największa wartość {s}?",
    "Каково максимальное значение {s}?",
    "Vad är det högsta värdet för {s}?",
    "{s}的最大值是多少?",
    "Qual è il valore massimo di {s}?",
)
_FOREIGN_TREND = (
    "Steigt oder fällt {s}?",
    "Wie verläuft {s}?",
    "Comment évolue {s} ?",
    "¿Cómo evoluciona {s}?",
    "{s} sobe ou desce?",
    "Hoe verloopt {s}?",
    "Czy {s} rośnie, czy maleje?",
    "{s} растёт или падает?",
    "{s}是上升还是下降?",
    "Come varia {s}?",
)
_FOREIGN_END = (
    "Wo endet {s}?",
    "Welchen Wert hat {s} am Ende?",
    "Quelle est la valeur finale de {s} ?",
    "¿Cuál es el valor final de {s}?",
    "Qual é o valor final de {s}?",
    "{s}的最终值是多少?",
    "Qual è il valore finale di {s}?",
)
_FOREIGN_BAR = (
    "Welcher Balken ist der höchste?",
    "Welche Kategorie hat den größten Wert?",
    "Quelle barre est la plus haute ?",
    "¿Qué barra es la más alta?",
    "Qual barra é a mais alta?",
    "Welke staaf is het hoogst?",
    "哪个柱最高?",
    "Quale barra è la più alta?",
)
_FOREIGN_BAR_OF = (
    "Welcher Balken von {s} ist der höchste?",
    "Wo ist {s} am größten?",
    "Quelle barre de {s} est la plus haute ?",
    "¿Qué barra de {s} es la más alta?",
    "Qual barra de {s} é a mais alta?",
    "{s}的哪个柱最高?",
    "Quale barra di {s} è la più alta?",
)
_FOREIGN_VALUE = (
    "Wie hoch ist der Balken von {s}?",
    "Welchen Wert hat {s}?",
    "Quelle est la valeur de {s} ?",
    "¿Qué valor tiene {s}?",
    "Qual é o valor de {s}?",
    "Wat is de waarde van {s}?",
    "{s}的值是多少?",
    "Qual è il valore di {s}?",
)
_FOREIGN_WHY = (
    "Warum ist {s} so?",
    "Warum verläuft {s} so?",
    "Pourquoi {s} est-il ainsi ?",
    "¿Por qué {s} se comporta así?",
    "Por que {s} se comporta assim?",
    "为什么{s}会这样?",
    "Perché {s} si comporta così?",
)
_FOREIGN_Y = (
    "Was steht auf der senkrechten Achse?",
    "Was zeigt die y-Achse?",
    "Que montre l'axe vertical ?",
    "¿Qué muestra el eje vertical?",
    "O que está no eixo vertical?",
    "纵轴表示什么?",
    "Cosa c'è sull'asse verticale?",
)
_ENGLISH = "I answer in English: "


def why(scene: Scene) -> Sequence[Pair]:
    """Reasons, which no figure tells; that a curve rises where it falls is put right first."""
    name = scene.rng.choice(scene.names) if scene.names else None
    if scene.panel.data is not None and scene.claimed_names and scene.rng.random() < 0.45:
        i = scene.rng.choice([i for i in scene.claimed if scene.panel.series[i]])
        shape = trend_of(scene.series(i))
        asked = scene.rng.choice((("rise", "rises"), ("fall", "falls"), ("increase", "increases"), ("drop", "drops")))
        question = scene.ask(_WHY_FALLS, s=scene.name(i), fall=asked[0], falls=asked[1])
        is_up = asked[0] in ("rise", "increase")
        if shape is not None and shape != ("rises" if is_up else "falls") and shape not in ("peaks", "dips"):
            is_bar = scene.data.kind in BARS
            said = f"{scene.name(i)} {'rises' if shape == 'rises' else 'falls' if shape == 'falls' else 'stays flat'}"
            if is_bar and shape == "flat":
                return []
            said += " from left to right" if is_bar else ""
            return [(question, f"{said}. The figure does not tell why.")]
        return [(question, "The figure does not tell why.")]
    if name and scene.rng.random() < 0.6:
        return [(scene.ask(_WHY_OF, s=name), "The figure does not tell why.")]
    return [(scene.ask(_WHY), "The figure does not tell why.")]


def talk(scene: Scene) -> Sequence[Pair]:
    forms, answer = scene.rng.choice(_GREETINGS)
    return [(worded(forms, scene.rng, scene.ask.wording), answer)]


def absent(scene: Scene) -> Sequence[Pair]:
    if not scene.told.has_text:
        return []
    thing = scene.rng.choice(_ABSENT)
    texts = " ".join([scene.told.context.caption, *(line.text for line in scene.told.context.lines)]).casefold()
    if any(word.removesuffix("s") in texts for word in thing.split()[-1:]):
        return []
    return [(scene.ask(_ABSENT_FORMS, thing=thing), f"Nothing in the figure speaks of {thing}.")]


def future(scene: Scene) -> Sequence[Pair]:
    return [(scene.ask(_FUTURE), "The figure does not show that.")]


def source(scene: Scene) -> Sequence[Pair]:
    return [(scene.ask(_SOURCE), "The figure does not say that.")]


def exact(scene: Scene) -> Sequence[Pair]:
    if scene.panel.data is None or not scene.claimed:
        return []
    return [(scene.ask(_EXACT), "The values are read from the picture, so they are about right, not exact.")]


def summary(scene: Scene) -> Sequence[Pair]:
    if not (scene.panel.x or scene.panel.y or scene.names):
        return []
    said = paragraphs.opening(scene.panel, scene.rng)
    if scene.letter:
        said = f"In panel ({scene.letter}), {said[0].lower()}{said[1:]}"
    return [(scene.ask(_SUMMARY), said)]


def panel_shows(scene: Scene) -> Sequence[Pair]:
    if not scene.letter:
        return []
    said = paragraphs.opening(scene.panel, scene.rng)
    question = worded(_PANEL_SHOWS, scene.rng, scene.ask.wording).format(scene.letter)
    return [(question, f"In panel ({scene.letter}), {said[0].lower()}{said[1:]}")]


def panels(scene: Scene) -> Sequence[Pair]:
    chart, count = scene.told.context.chart, len(scene.told.panels)
    if chart is None or len(chart.panels) != count or not 1 <= count <= 3:
        return []
    said = {1: "There is one panel.", 2: "There are two panels, (a) and (b).", 3: "There are three panels, (a) to (c)."}
    return [(worded(_PANELS, scene.rng, scene.ask.wording), said[count])]


def foreign(scene: Scene) -> Sequence[Pair]:
    """Questions in other languages: what is asked is answered, in English."""
    panel, rng = scene.panel, scene.rng
    shown = f"{panel.y} against {panel.x}" if panel.x and panel.y else panel.y or panel.x
    name = None
    options: list[tuple[Sequence[str], str]] = []
    if shown:
        options.append((_FOREIGN_SHOWN, f"the figure shows {shown}."))
    if scene.panel.data is not None and scene.claimed:
        i = scene.pick()
        name = scene.panel.series[i]
        if scene.data.kind in BARS:
            of_bars = _FOREIGN_BAR if len(scene.data.series) == 1 else _FOREIGN_BAR_OF
            options.append((of_bars, bars.extreme_answer(scene, i, "maximum")))
            points = bars.points_told(scene, i)
            if points and len(scene.data.series) == 1:
                point = rng.choice(points)
                name = str(point.x)
                options.append((_FOREIGN_VALUE, bars.value_answer(scene, i, point)))
        elif name:
            found: tuple[tuple[Sequence[str], str | None], ...] = (
                (_FOREIGN_HIGHEST, curves.extreme_answer(scene, i, "maximum")),
                (_FOREIGN_TREND, curves.trend_answer(scene, i)),
                (_FOREIGN_END, curves.end_answer(scene, i, "last")),
                (_FOREIGN_WHY, "The figure does not tell why."),
            )
            options += [(forms, answer) for forms, answer in found if answer]
    if panel.y and not (panel.data and panel.data.horizontal):
        options.append((_FOREIGN_Y, f"the vertical axis shows {panel.y}."))
    if not options:
        return []
    asked, said = rng.choice(options)
    question = worded(asked, rng, scene.ask.wording).format(s=name or "")
    question = f"({scene.letter}) {question}" if scene.letter else question
    return [(question, _ENGLISH + curves.small_clause(said))]


KINDS = (
    Kind("why", 1.2, why),
    Kind("talk", 0.15, talk),
    Kind("thing that is absent", 0.3, absent),
    Kind("future", 0.15, future),
    Kind("source", 0.15, source),
    Kind("how exact", 0.2, exact),
    Kind("in one sentence", 0.25, summary),
    Kind("other language", 0.5, foreign),
    Kind("panel shows", 1.0, panel_shows),
    Kind("panels", 0.1, panels),
)
