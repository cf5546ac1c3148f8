package webui_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// longest is how many lines a function of the pages may have, with the functions in it.
const longest = 70

// TestFunctionsOfThePagesAreShort: a function can be read without scrolling far. A page has one that mounts it, and its
// state is an object that other functions are given.
func TestFunctionsOfThePagesAreShort(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("assets", "*.js"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no scripts: %v", err)
	}
	n := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range functionsOf(string(text)) {
			n++
			if f.lines > longest {
				t.Errorf("%s:%d: %s has %d lines, want at most %d", name, f.at, f.name, f.lines, longest)
			}
		}
	}
	if n < 500 {
		t.Errorf("only %d functions were found", n)
	}
}

// The control: functions of every form are counted, and nothing else that has braces.
func TestFunctionsOfAScriptAreCounted(t *testing.T) {
	const script = `
export async function page(a, { b } = {}) {
  if (a) {
    return b;
  } // }
  const re = /[{/]\/{/, text = "{", tpl = ` + "`{${[1].map((x) => {\n    return x;\n  })}{`" + `;
  for (const c of b) {
  }
}
const f = (a) => {
};
const g = {
  run(x) {
    while (x / 2 > 1) {
      x /= 2;
    }
  },
  get y() { return 1; },
};
const h = (a) =>
  g.run(a,
    1);
`
	var got []string
	for _, f := range functionsOf(script) {
		got = append(got, f.name+strings.Repeat("|", f.lines))
	}
	const want = "=>||| page|||||||||| =>|| run||||| y| =>|||"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("found %s, want %s", s, want)
	}
}

// function is a function of a script.
type function struct {
	name      string
	at, lines int
}

// token is a word or a sign of a script. Strings and regular expressions are one token.
type token struct {
	text string
	line int
}

// notFunctions are the words with parentheses before a block that is no function.
var notFunctions = map[string]bool{"if": true, "for": true, "while": true, "switch": true, "catch": true}

// functionsOf finds the functions of a script, those in others first.
func functionsOf(script string) []function {
	var found []function
	tokens := tokensOf(script)
	var open []int                 // Where brackets were opened.
	closedBy := map[int]int{}      // By a closing parenthesis, its opening one.
	arrows := map[int][]token{}    // By depth, the arrows whose expressions have not ended.
	end := func(depth, last int) { // The expressions of arrows end with what is around them.
		for _, a := range arrows[depth] {
			found = append(found, function{name: "=>", at: a.line, lines: last - a.line + 1})
		}
		delete(arrows, depth)
	}
	for i, tok := range tokens {
		switch tok.text {
		case "(", "[", "{":
			open = append(open, i)
		case ")", "]", "}":
			if len(open) == 0 {
				return found
			}
			end(len(open), tokens[i-1].line)
			o := open[len(open)-1]
			open = open[:len(open)-1]
			closedBy[i] = o
			if tok.text == "}" {
				if name := nameOf(tokens, closedBy, o); name != "" {
					found = append(found, function{name: name, at: tokens[o].line, lines: tok.line - tokens[o].line + 1})
				}
			}
		case ",", ";":
			end(len(open), tokens[i-1].line)
		case "=>":
			if i+1 < len(tokens) && tokens[i+1].text != "{" {
				arrows[len(open)] = append(arrows[len(open)], tok)
			}
		}
	}
	return found
}

// nameOf is the name of the function whose body opens with the token o, "=>" for one without a name, "" where the
// braces are none's.
func nameOf(tokens []token, closedBy map[int]int, o int) string {
	if o == 0 {
		return ""
	}
	switch tokens[o-1].text {
	case "=>":
		return "=>"
	case ")":
		before := closedBy[o-1] - 1
		if before >= 0 && !notFunctions[tokens[before].text] {
			return tokens[before].text
		}
	}
	return ""
}

var (
	spaces    = regexp.MustCompile(`^(?:\s|//[^\n]*|/\*(?s:.*?)\*/)+`)
	aString   = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')`)
	pattern   = regexp.MustCompile(`^/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\]|\\.)*\])+/[a-z]*`)
	templated = regexp.MustCompile("^[`}](?:[^`\\\\$]|\\\\(?s:.)|\\$[^{])*(?:`|\\$\\{)")
	word      = regexp.MustCompile(`^(?:[\w$]+|=>|.)`)
	value     = regexp.MustCompile(`[\w$)\]}"'` + "`" + `]$`)
	keyword   = regexp.MustCompile(`^(?:return|typeof|case|in|of)$`)
)

// tokensOf cuts a script into tokens.
func tokensOf(script string) []token {
	var tokens []token
	line, depth := 1, 0
	var templates []int // The depths at which expressions of templates stand.
	for script != "" {
		last := ""
		if len(tokens) > 0 {
			last = tokens[len(tokens)-1].text
		}
		inTemplate := len(templates) > 0 && templates[len(templates)-1] == depth
		var m string
		switch {
		case spaces.MatchString(script):
			m = spaces.FindString(script)
		case aString.MatchString(script):
			m = aString.FindString(script)
			tokens = append(tokens, token{text: `""`, line: line})
		case script[0] == '`', script[0] == '}' && inTemplate:
			m = templated.FindString(script)
			if script[0] == '}' {
				templates = templates[:len(templates)-1]
			}
			if strings.HasSuffix(m, "${") {
				templates = append(templates, depth)
				tokens = append(tokens, token{text: "+", line: line})
			} else {
				tokens = append(tokens, token{text: `""`, line: line})
			}
		case script[0] == '/' && (!value.MatchString(last) || keyword.MatchString(last)) && pattern.MatchString(script):
			m = pattern.FindString(script)
			tokens = append(tokens, token{text: `""`, line: line})
		default:
			m = word.FindString(script)
			switch m {
			case "(", "[", "{":
				depth++
			case ")", "]", "}":
				depth--
			}
			tokens = append(tokens, token{text: m, line: line})
		}
		line += strings.Count(m, "\n")
		script = script[len(m):]
	}
	return tokens
}
