"""The rewriter without a model: the user's own sentences, and around them what a dense caption also says.

Nothing is invented about the scene: people, things, colours and events are the prompt's. What is added is what NAVA's
captions always have and short prompts leave out: how the shot is taken, that lips follow words, who speaks when, and
that each visible event is heard.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from vivace.conditioning.prompts import SPEECH_END, SPEECH_START, speech_spans
from vivace.conditioning.rewriting import Wanted

_SPOKEN = re.compile(f"{SPEECH_START}.*?{SPEECH_END}", re.DOTALL)


@dataclass(frozen=True)
class _Wording:
    """A language's sentences, and the words by which a prompt says the same itself."""

    shot: str
    light: str
    one_voice: str
    voices: str  # with {count}
    unseen: str  # where no lips are to be seen
    heard: str
    no_music: str
    silence: str
    camera_words: re.Pattern[str]
    light_words: re.Pattern[str]
    music_words: re.Pattern[str]
    silent_words: re.Pattern[str]
    unseen_words: re.Pattern[str]
    joint: str


def _words(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


_ENGLISH = _Wording(
    shot="One continuous shot with a steady camera, in sharp focus.",
    light="The light is soft and natural.",
    one_voice="The voice is clear and close, and the lips move with every word.",
    voices="The {count} lines are spoken one after another, never at once; each voice is clear and close, and the lips "
    "of whoever speaks move with every word.",
    unseen="Every word is clear and close.",
    heard="Each movement that can be seen is heard at the very moment it happens, over the quiet sound of the place.",
    no_music="There is no music.",
    silence="Nothing else is heard.",
    camera_words=_words(
        *("camera", "shots?", "close-?ups?", "pans?", "panning", "zooms?", "tracking", "dolly", "handheld", "drone"),
        *("wide angle", "view from", "slow motion", "time-?lapse"),
    ),
    light_words=_words(
        *("light", "lights", "lit", "sunny", "sunlight", "sunset", "sunrise", "night", "dark", "dusk", "dawn", "neon"),
        *("candle", "candlelight", "moonlight", "shadows?", "backlit", "foggy"),
    ),
    music_words=_words(
        *("music", "songs?", "sings?", "singing", "sang", "melody", "melodies", "tunes?", "concert", "orchestra"),
        *("band", "piano", "guitar", "violin", "cello", "flute", "drums?", "drumming", "xylophone", "trumpet"),
        *("saxophone", "bells?", "choir", "hums?", "humming", "whistles?", "whistling", "rap", "raps"),
    ),
    silent_words=_words("silent", "silence", "silently", "soundless", "no sound", "without sound", "mute", "muted"),
    unseen_words=_words(
        *("off-?screen", "off camera", "voice-?over", "narrator", "narrates", "narration", "radio", "telephone"),
        *("phone", "loudspeaker", "speakers", "unseen", "from outside", "from behind"),
    ),
    joint=" ",
)
_CHINESE = _Wording(
    shot="一镜到底，机位平稳，画面清晰。",
    light="光线柔和自然。",
    one_voice="人声清晰贴近，口型与每个字同步。",
    voices="{count}句话依次说出，互不重叠；每个人声都清晰贴近，说话者的口型与每个字同步。",
    unseen="每个字都清晰贴近。",
    heard="每个看得见的动作都在发生的那一刻发出相应的声音，背景是现场安静的环境声。",
    no_music="没有音乐。",
    silence="没有其他声音。",
    camera_words=re.compile("镜头|特写|近景|远景|全景|中景|机位|俯拍|航拍|慢动作"),
    light_words=re.compile("光|夜|黄昏|黎明|日落|日出|昏暗|阴影|霓虹"),
    music_words=re.compile("音乐|歌|唱|旋律|乐队|钢琴|吉他|小提琴|鼓|钟|铃|合唱|口哨|哼"),
    silent_words=re.compile("无声|寂静|静音|没有声音"),
    unseen_words=re.compile("画外|旁白|解说|广播|收音机|电话|扩音器|背对"),
    joint="",
)


class TemplateRewriter:
    """Sentences put around the prompt, in English or, around a Chinese prompt, in Chinese.

    A sentence whose matter the prompt treats itself is left out, and so is each that the model could not read any
    more, the least important ones first.

    Source: ours (NAVA's public rewriter is a language model that writes Chinese).
    """

    @property
    def name(self) -> str:
        return "template"

    def __call__(self, prompt: str, wanted: Wanted) -> str:
        """A caption for a checked prompt; nothing of the prompt is changed but its last full stop."""
        said = len(speech_spans(prompt))
        scene = _SPOKEN.sub(" ", prompt)
        words = _CHINESE if _is_chinese(scene if scene.strip() else prompt) else _ENGLISH
        before: list[str] = []
        after: list[str] = []
        # In the order of their importance: sentence, and whether it stands before the prompt or behind it.
        candidates = [*self._sound(scene, said, wanted, words), *self._picture(scene, wanted, words)]
        for sentence, leads in candidates:
            longer = ([*before, sentence], after) if leads else (before, [*after, sentence])
            if wanted.reads(_joined(longer[0], prompt, longer[1], words)):
                before, after = longer
        return _joined(before, prompt, after, words)

    @staticmethod
    def _sound(scene: str, said: int, wanted: Wanted, words: _Wording) -> list[tuple[str, bool]]:
        if not wanted.sound:
            return []
        found: list[tuple[str, bool]] = []
        if said and wanted.picture and not words.unseen_words.search(scene):
            found.append((words.one_voice if said == 1 else words.voices.format(count=said), False))
        elif said:
            found.append((words.unseen, False))
        if words.silent_words.search(scene):
            return [*found, (words.silence, False)] if said else found
        if wanted.picture:
            found.append((words.heard, False))
        return found if words.music_words.search(scene) else [*found, (words.no_music, False)]

    @staticmethod
    def _picture(scene: str, wanted: Wanted, words: _Wording) -> list[tuple[str, bool]]:
        if not wanted.picture:
            return []
        found = [] if words.camera_words.search(scene) else [(words.shot, True)]
        return found if words.light_words.search(scene) else [*found, (words.light, True)]


def _joined(before: list[str], prompt: str, after: list[str], words: _Wording) -> str:
    """One paragraph, in which the prompt is a sentence of its own."""
    body = prompt[0].upper() + prompt[1:]
    if after and not body.endswith((".", "!", "?", "。", "！", "？", "…")):
        body += "。" if words is _CHINESE else "."
    return words.joint.join([*before, body, *after])


def _is_chinese(text: str) -> bool:
    """Whether most of a text's letters are Chinese characters (and none of them Japanese kana)."""
    names = [unicodedata.name(letter, "") for letter in text if letter.isalpha()]
    if any(name.startswith(("HIRAGANA", "KATAKANA")) for name in names):
        return False
    return sum(name.startswith("CJK") for name in names) * 2 > len(names)
