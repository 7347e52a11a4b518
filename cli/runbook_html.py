"""A page of the runbook as one HTML file that needs nothing else, made for A4."""

from __future__ import annotations

import html
from typing import Final

from markdown_it import MarkdownIt

STYLE: Final = """
@page { size: A4; margin: 14mm 13mm; }
body { font: 9.5pt/1.35 "DejaVu Sans", Verdana, Arial, sans-serif; max-width: 184mm; margin: 1em auto; color: #000; }
h1 { font-size: 15pt; margin: 0 0 .3em; border-bottom: 1.5pt solid #000; }
h2 { font-size: 11pt; margin: .9em 0 .2em; break-after: avoid; }
h3 { font-size: 9.5pt; margin: .7em 0 .2em; break-after: avoid; }
p, ul, ol { margin: .3em 0; }
ul, ol { padding-left: 1.5em; }
li:has(> .box) { list-style: none; margin-left: -1.3em; }
.box { display: inline-block; width: .8em; height: .8em; border: 1pt solid #000; margin-right: .4em; }
table { border-collapse: collapse; width: 100%; margin: .3em 0; }
th, td { border: .5pt solid #666; padding: .15em .4em; text-align: left; vertical-align: top; }
th { background: #eee; }
tr, pre { break-inside: avoid; }
code { font-family: "DejaVu Sans Mono", "Liberation Mono", monospace; font-size: 8pt; overflow-wrap: anywhere; }
pre { border: .5pt solid #666; background: #f6f6f6; padding: .35em .5em; margin: .3em 0; white-space: pre-wrap; }
""".strip()


def printable_page(markdown: str) -> str:
    """The page with its style inside; HTML in the Markdown is shown, never obeyed."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = parser.render(markdown).replace("<li>[ ] ", '<li><span class="box"></span>')
    title = markdown.split("\n", 1)[0].lstrip("# ")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
