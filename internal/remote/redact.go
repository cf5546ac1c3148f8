package remote

import (
	"encoding/base64"
	"html"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// withheld stands where a secret was in somebody else's words.
const withheld = "***"

// Redactor cuts secrets out of what a server says: some repeat what they were
// sent. It knows a secret as it is, escaped as a quoted string, a URL, HTML or
// JSON has it, read as Latin-1, in base64 alone or inside of something longer
// (as SASL sends it), in letters of either case, and any piece of these that is
// long enough to be told from words.
//
// The zero Redactor, and a nil one, know no secret. It is safe for concurrent use. What it has
// to look for is worked out when it is first asked: most servers say nothing.
type Redactor struct {
	mu      sync.Mutex
	secrets []Secret // Of which nothing is worked out yet.
	whole   []string // Forms in lower case, to be found from end to end,
	pieces  map[string]bool
	lengths []int           // … and the lengths of their pieces, in letters.
	short   map[string]bool // Shorter pieces, which count where they can be distinguished from words: see markShort.
}

// Add has a secret cut out from now on: a password, a token, or what was made of
// one, such as the proof of a challenge.
func (r *Redactor) Add(secrets ...Secret) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range secrets {
		if !s.Empty() {
			r.secrets = append(r.secrets, s)
		}
	}
}

// Redact returns text with *** in place of each secret and each piece of one.
func (r *Redactor) Redact(text string) string {
	if r == nil {
		return text
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.learnAll()
	if len(r.whole) == 0 {
		return text
	}
	return r.cut(r.cutCoded(text))
}

// Holds reports whether a name that a server gives is a whole secret, or holds one that differs from words: of six
// letters or more, not letters alone. Pieces do not count, unlike in what is cut out: a folder of the year that is in
// the password too is nothing but a folder.
func (r *Redactor) Holds(name string) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.learnAll()
	for _, text := range append(decoded(name), name) {
		text = lower(text)
		for _, form := range r.whole {
			letters := []rune(form)
			told := len(letters) >= 6 && slices.ContainsFunc(letters, func(c rune) bool { return !unicode.IsLetter(c) })
			if text == form || told && strings.Contains(text, form) {
				return true
			}
		}
	}
	return false
}

// decoded is what a name says that is a run of base64 from end to end.
func decoded(name string) []string {
	run := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(name, "="))
	octets, err := base64.RawStdEncoding.DecodeString(run)
	if err != nil || len(run) < minCoded {
		return nil
	}
	return []string{string(octets)}
}

// learnAll works out what was added since it was last asked.
func (r *Redactor) learnAll() {
	for _, s := range r.secrets {
		r.learn(s.Reveal())
	}
	r.secrets = nil
}

// Redact is Redactor.Redact for one text.
func Redact(text string, secrets ...Secret) string {
	r := &Redactor{}
	r.Add(secrets...)
	return r.Redact(text)
}

// piece is how many letters of a secret of n are a piece of it. A secret of
// less than six is only found whole.
func piece(n int) int {
	if n < 6 {
		return n
	}
	return min(8, max(5, (n+1)/2))
}

// learn adds a secret in each form in which it may come back.
func (r *Redactor) learn(secret string) {
	if r.pieces == nil {
		r.pieces, r.short = map[string]bool{}, map[string]bool{}
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	once := quoted.Replace(secret)
	seen := map[string]bool{}
	for _, form := range []string{
		secret, strings.Join(strings.Fields(secret), " "), once, quoted.Replace(once), strings.ReplaceAll(once, `\\`, `\`),
		url.QueryEscape(secret), url.PathEscape(secret), strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"),
		html.EscapeString(secret), strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;", ">", "&gt;").Replace(secret),
		escapedASCII(secret), asLatin1(secret),
	} {
		if form = lower(form); form == "" || seen[form] {
			continue
		}
		seen[form] = true
		r.whole = append(r.whole, form)
		letters := []rune(form)
		for i := 0; i+shortPiece <= len(letters); i++ {
			r.short[string(letters[i:i+shortPiece])] = true
		}
		n := piece(len(letters))
		if n == len(letters) {
			continue
		}
		known := false
		for _, m := range r.lengths {
			known = known || m == n
		}
		if !known {
			r.lengths = append(r.lengths, n)
		}
		for i := 0; i+n <= len(letters); i++ {
			r.pieces[string(letters[i:i+n])] = true
		}
	}
}

// escapedASCII is how JSON writes what is not ASCII.
func escapedASCII(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for _, c := range s {
		if c < 0x80 || c > 0xffff {
			b.WriteRune(c)
			continue
		}
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(hex[c>>shift&0xf])
		}
	}
	return b.String()
}

// asLatin1 is what becomes of UTF-8 whose octets are taken for letters each.
func asLatin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// lower changes the case letter by letter, so that places stay what they are.
func lower(s string) string { return strings.Map(unicode.ToLower, s) }

// cut replaces secrets and their pieces.
func (r *Redactor) cut(text string) string {
	letters := []rune(text)
	marked := r.mark([]rune(lower(text)))
	var b strings.Builder
	for i, c := range letters {
		switch {
		case !marked[i]:
			b.WriteRune(c)
		case i == 0 || !marked[i-1]:
			b.WriteString(withheld)
		}
	}
	return b.String()
}

// mark finds them in text, which is in lower case.
func (r *Redactor) mark(text []rune) []bool {
	marked := make([]bool, len(text))
	common := commonWords(text)
	for _, n := range r.lengths {
		for i := 0; i+n <= len(text); i++ {
			if r.pieces[string(text[i:i+n])] && !all(common[i:i+n]) {
				fill(marked[i : i+n])
			}
		}
	}
	r.markShort(text, marked, common)
	joined := string(text)
	for _, form := range r.whole {
		rest, at, n := joined, 0, len([]rune(form))
		for {
			before, after, found := strings.Cut(rest, form)
			if !found {
				break
			}
			at += len([]rune(before))
			fill(marked[at : at+n])
			at, rest = at+n, after
		}
	}
	return marked
}

// shortPiece is how many letters of a secret are cut out at the least.
const shortPiece = 4

// markShort marks runs of shortPiece letters of a secret and more that are no part of
// a longer word, or hold more than letters or digits alone.
func (r *Redactor) markShort(text []rune, marked, common []bool) {
	word := func(i int) bool {
		return i >= 0 && i < len(text) && (unicode.IsLetter(text[i]) || unicode.IsDigit(text[i]))
	}
	for i := 0; i+shortPiece <= len(text); {
		end := i
		for j := i + shortPiece; j <= len(text) && r.short[string(text[j-shortPiece:j])]; j++ {
			end = j
		}
		if end == i {
			i++
			continue
		}
		from, to := i, end
		for from < to && unicode.IsSpace(text[from]) {
			from++
		}
		for to > from && unicode.IsSpace(text[to-1]) {
			to--
		}
		alone := !(word(from-1) && word(from)) && !(word(to-1) && word(to))
		if (alone || mixed(text[from:to])) && !all(common[from:to]) {
			fill(marked[from:to])
		}
		i = end
	}
}

// mixed reports whether a run holds letters and digits.
func mixed(run []rune) bool {
	return slices.ContainsFunc(run, unicode.IsLetter) && slices.ContainsFunc(run, unicode.IsDigit)
}

func fill(part []bool) {
	for i := range part {
		part[i] = true
	}
}

func all(part []bool) bool {
	for _, b := range part {
		if !b {
			return false
		}
	}
	return true
}

// loginVocabulary are words of which every refusal is made. That one is a piece of a
// secret shows nothing, and cutting it out would tell that it is.
var loginVocabulary = map[string]bool{
	"account": true, "authentication": true, "authenticate": true, "command": true, "connection": true,
	"credentials": true, "disabled": true, "failed": true, "incorrect": true, "invalid": true, "login": true,
	"mailbox": true, "message": true, "password": true, "server": true, "temporarily": true, "unavailable": true,
	"unknown": true, "username": true, "wrong": true,
	"about": true, "access": true, "again": true, "been": true, "client": true, "code": true, "error": true, "from": true,
	"have": true, "imap": true, "later": true, "line": true, "mail": true, "name": true, "near": true, "please": true,
	"pop3": true, "secure": true, "support": true, "syntax": true, "that": true, "this": true, "user": true, "with": true,
	"your": true, "hasło": true, "haslo": true, "konto": true, "poczta": true, "błąd": true,
}

// commonWords marks the words of loginVocabulary that stand alone.
func commonWords(text []rune) []bool {
	common := make([]bool, len(text))
	for i := 0; i < len(text); {
		j := i
		for j < len(text) && (unicode.IsLetter(text[j]) || unicode.IsDigit(text[j])) {
			j++
		}
		if loginVocabulary[string(text[i:j])] {
			fill(common[i:j])
		}
		i = j + 1
	}
	return common
}

// minCoded is how long a run of base64 is that is looked into.
const minCoded = 6

// cutCoded replaces each run of base64 that holds a secret or a piece of one. A
// run that was cut short, or has something in front, may begin anywhere within four
// letters.
func (r *Redactor) cutCoded(text string) string {
	var b strings.Builder
	for text != "" {
		end := strings.IndexFunc(text, func(c rune) bool { return !isCoded(c) })
		switch {
		case end < 0:
			end = len(text)
		case end == 0:
			next := strings.IndexFunc(text, isCoded)
			if next < 0 {
				next = len(text)
			}
			b.WriteString(text[:next])
			text = text[next:]
			continue
		}
		if run := text[:end]; r.holds(run) {
			b.WriteString(withheld)
		} else {
			b.WriteString(run)
		}
		text = text[end:]
	}
	return b.String()
}

func isCoded(c rune) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("+/-_=", c)
}

// holds reports whether a run of base64 is of something with a secret in it.
func (r *Redactor) holds(run string) bool {
	run = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(run, "="))
	if strings.Contains(run, "=") {
		parts := strings.Split(run, "=") // "password=c2Vr…"; padding in the middle.
		for _, p := range parts {
			if r.holds(p) {
				return true
			}
		}
		return false
	}
	for from := 0; from < 4 && len(run)-from >= minCoded; from++ {
		part := run[from:]
		if len(part)%4 == 1 {
			part = part[:len(part)-1]
		}
		octets, err := base64.RawStdEncoding.DecodeString(part)
		if err != nil {
			continue
		}
		for _, m := range r.mark([]rune(lower(string(octets)))) {
			if m {
				return true
			}
		}
	}
	return false
}
