// lookedAt says all that is wrong with the page as it is: what axe finds; text that is
// cut off, or leaves its box or the window; words of the other language.
(async () => {
	const faults = [], lang = document.documentElement.lang;
	const name = (e) => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + (e.className?.baseVal ?? e.className ?
		"." + String(e.className?.baseVal ?? e.className).trim().replace(/\s+/g, ".") : "");
	const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
	if (wide > 0) faults.push("overflow: the page is " + wide + " pixels wider than the window");
	for (const e of document.querySelectorAll(".menu, .toast, dialog[open]")) {
		const r = e.getBoundingClientRect();
		if (r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight) faults.push("overflow: " + name(e) +
			" leaves the window");
	}
	// What can be scrolled sideways stays where it is put, whatever it holds.
	for (const e of document.querySelectorAll(".scroll")) {
		const r = e.getBoundingClientRect(), box = e.closest(".panel, .card, dialog")?.getBoundingClientRect();
		if (!box || !e.checkVisibility()) continue;
		if (r.left < box.left || r.right > box.right) faults.push("overflow: " + name(e) + " leaves its card");
	}
	const clipped = (e) => {
		for (let at = e; at; at = at.parentElement) if (getComputedStyle(at).clipPath !== "none") return true;
		return false;
	};
	const seen = (e) => e.checkVisibility({visibilityProperty: true, opacityProperty: true});
	const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const node = walker.currentNode, e = node.parentElement;
		if (node.data.trim() && !["SCRIPT", "STYLE", "OPTION"].includes(e.tagName) && seen(e)) texts.push(node);
	}
	for (const node of texts) {
		const e = node.parentElement;
		if (clipped(e)) continue;
		const range = document.createRange();
		range.selectNodeContents(node);
		const r = range.getBoundingClientRect();
		const tell = (how) => faults.push(how + ": " + node.data.trim().slice(0, 60) + " in " + name(e));
		const box = e.closest("button, .button, .tag, .badge, th, td, summary, .notice, .card, .panel, dialog")
			?.getBoundingClientRect();
		if (box && (r.left < box.left - 1 || r.right > box.right + 1)) tell("text leaves its box");
		const lines = r.height > 2 * parseFloat(getComputedStyle(e).fontSize);
		if (lines) for (const m of node.data.matchAll(/(?<![^\s(„“"])\p{L}{4,}(?![^\s).,:;”"…?!])/gu)) {
			range.setStart(node, m.index);
			range.setEnd(node, m.index + m[0].length);
			if (range.getClientRects().length > 1) tell("a word is broken: " + m[0]);
		}
		let scrolled = false;
		for (let at = e; at && at !== document.body; at = at.parentElement) {
			const css = getComputedStyle(at), b = at.getBoundingClientRect();
			if (["auto", "scroll"].includes(css.overflowX)) { scrolled = true; break; }
			if (!["hidden", "clip"].includes(css.overflowX)) continue;
			const inside = r.left >= b.left - 1 && r.right <= b.right + 1 && r.top >= b.top - 2 && r.bottom <= b.bottom + 2;
			if (!inside) { tell("text cut off"); break; }
		}
		if (!scrolled && (r.left < -1 || r.right > innerWidth + 1)) tell("text leaves the window");
	}
	for (const e of document.querySelectorAll("svg text")) {
		const high = parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a;
		if (seen(e) && high < 10.5) faults.push("text too small: " + e.textContent + " of " + high.toFixed(1) + " pixels");
	}
	const pen = document.createElement("canvas").getContext("2d");
	for (const e of document.querySelectorAll("select")) {
		if (!seen(e)) continue;
		const css = getComputedStyle(e);
		pen.font = css.font;
		const text = e.selectedOptions[0]?.text || "";
		const room = e.clientWidth - parseFloat(css.paddingLeft) - parseFloat(css.paddingRight);
		if (pen.measureText(text).width > room + 1) faults.push("text cut off: " + text + " in " + name(e));
	}
	const said = texts.filter((n) => !n.parentElement.closest("[dir=auto], .folder-name, [translate=no]"))
		.map((n) => [n.data, n.parentElement]);
	for (const e of document.querySelectorAll("[aria-label], [title], [placeholder], [alt], option")) {
		if (e.closest("svg") && !seen(e.closest("svg")) || e.closest("[hidden]")) continue;
		for (const a of ["aria-label", "title", "placeholder", "alt"]) {
			if (e.hasAttribute(a)) said.push([e.getAttribute(a), e]);
		}
		if (e.tagName === "OPTION") said.push([e.text, e]);
	}
	const own = document.querySelector("script[src$='app.js']")?.src.replace(/app\.js$/, "");
	let foreign = new Set();
	if (own) {
		const [en, pl] = (await Promise.all(["en", "pl"].map((l) => import(own + "i18n/" + l + ".js")))).map((m) =>
			new Set(Object.values(m.default).flatMap((v) => (typeof v === "string" ? [v] : Object.values(v)))));
		foreign = lang === "pl" ? en.difference(pl) : pl.difference(en);
	}
	const english = "the|is|are|was|were|and|your|you|not|with|from|this|that|will|password|accounts?|settings|server|" +
		"of|has|have|days?|hours?|minutes?|messages?";
	const polish = "jest|nie|dla|przez|konto|konta|poczta|serwer|na|od|dni|minut|godzin|temu";
	const whole = (words) => "(?<!\\p{L})(" + words + ")(?!\\p{L})";
	const words = new RegExp(lang === "pl" ? whole(english) : "[ąćęłńóśźż]|" + whole(polish), "iu");
	const keys = new RegExp("^(list|card|state|copies|wizard|form|test|edit|delete|account|why|admin|quotas|health|" +
		"error|field|quota|progress|menu|run|code|unit|time|span)\\.[a-z_.]+$");
	// What people have written themselves is in whatever language they like.
	const theirs = [...document.querySelectorAll(".skipped .strong[dir=auto]")]
		.map((e) => e.textContent.replace(/\s+/g, " ").trim())
		.sort((a, b) => b.length - a.length); // The longer first: one may be a part of another.
	for (const [raw, e] of said) {
		const at = e.closest("[lang]")?.lang, text = raw.replace(/\s+/g, " ").trim();
		if (at && at !== lang) continue;
		const bare = theirs.reduce((rest, x) => rest.replaceAll(x, ""), text).replace(
			/\S+@\S+|\S+[._]test|\S*localhost\S*|https?:\S+|Wysłane|Żółć|My Folder|With\s+two spaces/g, "");
		const word = bare.match(words)?.[0];
		if (word || foreign.has(text)) {
			faults.push("language: on a page in " + lang + " it says " + text.slice(0, 90) +
				" (" + (word || "a text of the other") + ")");
		}
		if (keys.test(text)) faults.push("text missing: " + text);
	}
	const got = await axe.run(document, {
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
		resultTypes: ["violations"], preload: false, elementRef: false,
	});
	for (const v of got.violations) for (const n of v.nodes) {
		faults.push("axe " + v.id + ": " + n.html.slice(0, 160) + ": " + n.failureSummary);
	}
	return JSON.stringify([...new Set(faults)]);
})()
