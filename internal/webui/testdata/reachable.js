// reachable counts what must be reachable with the Tab key, or with arrows in a menu, and
// watches what is reached, and whether the focus can be seen there.
(() => {
	const menu = document.querySelector("[role=menu]");
	const root = menu || [...document.querySelectorAll("dialog[open]")].at(-1) || document;
	const key = (e) => [e.tagName, e.id && !/-\d+$/.test(e.id) ? e.id : "", e.name || "", e.type || "",
		e.getAttribute("aria-label") || e.textContent.trim().slice(0, 60)].join("|");
	const stops = "a[href], button, input, select, textarea, summary, [tabindex='0'], [role=menuitem]";
	const wanted = [...root.querySelectorAll(stops)].filter((e) => {
		if (e.disabled || e.type === "hidden" || e.tabIndex < 0 && !menu) return false;
		if (!e.checkVisibility({visibilityProperty: true})) return false;
		if (e.type !== "radio") return true;
		const group = [...root.querySelectorAll("input[type=radio]")].filter((x) => x.name === e.name && x.form === e.form);
		return (group.find((x) => x.checked) || group[0]) === e;
	});
	window.keyboard = {wanted: wanted.map(key), got: new Set(), faults: []};
	document.addEventListener("focusin", ({target: e}) => {
		if (keyboard.got.has(key(e))) return;
		keyboard.got.add(key(e));
		const css = getComputedStyle(e), r = e.getBoundingClientRect();
		if (!e.matches(":focus-visible") || css.outlineStyle === "none" || parseFloat(css.outlineWidth) < 1) {
			keyboard.faults.push("keyboard: the focus cannot be seen on " + key(e));
		}
		const above = !e.classList.contains("skip") && r.bottom < 0;
		if (above || r.top > innerHeight || r.right < 0 || r.left > innerWidth) {
			keyboard.faults.push("keyboard: out of sight is " + key(e));
		}
	});
	if (menu) keyboard.got.add(key(document.activeElement)); // It has the focus since the menu is open.
	// A date has a stop for each of its parts.
	return wanted.length + 4 * wanted.filter((e) => e.type === "date").length +
		8 * wanted.filter((e) => e.type === "datetime-local").length;
})()
