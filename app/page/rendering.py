"""Templates, and the words that pages put times and numbers in."""

import re
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from litestar.plugins.jinja import JinjaTemplateEngine
from markupsafe import Markup

_AFTER = re.compile(r"(?<=[./:-])(?=[^./:-])")
"""Where the name of a host may break."""
_STEPS = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (30 * 86_400, 86_400, "days"))


@cache
def engine() -> JinjaTemplateEngine:
    """The templates: everything is escaped, and a name that is not there is an error."""
    environment = Environment(
        loader=PackageLoader("keycairn.app.page"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["count"] = counted
    environment.filters["plain"] = plain
    environment.filters["host"] = host
    environment.filters["pair"] = lambda text: (text, text)
    return JinjaTemplateEngine(engine_instance=environment)


def rendered(template: str, context: dict[str, Any]) -> str:
    """The text of a template. Raises jinja2.UndefinedError for a name it is not given."""
    return engine().engine.get_template(template).render(context)


def compile_templates() -> None:
    """Have every template compiled, which takes up to 40 ms of each: in a thread, before somebody waits for it."""
    environment = engine().engine
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)


def counted(number: float, one: str = "", many: str = "") -> str:
    """A number with thousands apart, and the word for what is counted: `1 model`, `12,000 models`."""
    text = f"{number:,}"
    word = one if number == 1 else many or f"{one}s"
    return f"{text} {word}" if one else text


def plain(text: str) -> str:
    """A name of the code's in words: `no_permission` is `no permission`."""
    return str(text).replace("_", " ")


def host(name: str) -> Markup:
    """The name of a host, or an address, that breaks after its dots and slashes, and not within words."""
    return Markup("<wbr>").join(_AFTER.split(name))


def moment(at: datetime, now: datetime) -> Markup:
    """A time in words, with the exact one behind it."""
    words = ago(now - at) if at <= now else f"in {span(at - now, nearest=True)}"
    exact = f"{at:%a %d %b %Y, %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), exact, words)


def ago(passed: timedelta) -> str:
    """How long ago something was."""
    return "just now" if passed < timedelta(seconds=10) else f"{span(passed)} ago"


def span(time: timedelta, *, nearest: bool = False) -> str:
    """A span of time in its largest unit, whole ones, or with `nearest` rounded: `3 min`, `2 h`, `12 days`."""
    seconds = max(0, int(time.total_seconds()))
    for below, unit, word in _STEPS:
        number = (seconds + unit // 2 * nearest) // unit
        if number * unit < below:
            return f"{number} {'day' if word == 'days' and number == 1 else word}"
    return f"{(seconds + 43_200 * nearest) // 86_400} days"
