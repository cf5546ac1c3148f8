package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// everything stands for all packages of the project but mailtest.
const everything = "*"

// mayImport is the map of the house: what each package may import of the
// project. What is not in it must not be there.
var mayImport = map[string][]string{
	"fault":    {"words"},
	"mail":     {},
	"memory":   {},
	"settings": {},
	"hostname": {},
	"words":    {},
	"owner":    {"words"},
	"remote":   {"words", "owner"},
	"route":    {"words", "owner", "remote"},
	"account":  {"fault", "words", "hostname", "owner", "remote", "route"},
	"transfer": {"account", "fault", "mail", "owner", "remote", "route", "words"},
	"audit":    {"account", "owner"},
	"insight":  {"account", "fault", "owner"},
	"outbound": {"fault", "hostname", "words"},
	"provider": {"account", "owner", "remote", "words"},
	"vault":    {"account", "fault", "remote", "words"},
	"logins":   {"fault", "hostname", "owner", "remote", "words"},
	"oauth":    {"account", "fault", "owner", "remote", "words"},
	"oidc":     {"owner", "remote", "words"},
	"wire":     {"fault", "mail", "outbound", "words", "remote"},
	"source":   {"fault", "mail", "memory", "outbound", "wire", "words", "remote"},
	"disk":     {"fault", "words"},
	"spool":    {"disk", "fault", "mail", "words"},
	"maildir":  {"account", "check", "disk", "fault", "mail", "spool", "words", "owner"},
	"imapbox":  {"check", "fault", "mail", "words", "owner", "remote", "wire"},
	"fetch":    {"fault", "mail", "memory", "words", "owner", "remote", "route"},
	"diagnose": {"account", "fault", "mail", "provider", "words", "remote", "route"},
	"check":    {"account", "fetch", "mail", "owner"},
	"schedule": {"account", "fault", "fetch", "hostname", "owner", "remote", "route", "words"},
	"store": {
		"account", "audit", "check", "fault", "insight", "mail", "fetch", "schedule", "vault", "oauth", "logins",
		"migrations", "words", "owner", "remote", "route", "transfer",
	},
	"httpapi": {
		"account", "audit", "fault", "insight", "diagnose", "oauth", "oidc", "provider", "api", "words", "hostname",
		"owner", "remote", "route", "transfer",
	},
	"webui":      {"words"},
	"demo":       {},
	"transcript": {},
	"mailtest":   {everything},
	"archtest":   {},

	"api":        {},
	"migrations": {},
	"cmd":        {everything},
}

// pure packages import the standard library only, besides what mayImport grants them.
var pure = []string{"fault", "hostname", "mail", "memory", "migrations", "words"}

// confined are packages that not everybody may know, with those who may. A
// name that ends in a slash stands for all that begins with it; "C" is cgo.
var confined = map[string][]string{
	"gorm.io/":                             {"store"},
	"github.com/glebarez/":                 {"store"},
	"modernc.org/":                         {"store"},
	"github.com/jackc/":                    {"store", "mailtest"},
	"database/sql":                         {"store", "mailtest"},
	"github.com/pressly/goose/":            {"store"},
	"github.com/labstack/echo/":            {"httpapi", "webui", "api"},
	"github.com/knadh/go-pop3":             {"wire"},
	"github.com/emersion/go-imap/":         {"wire", "source", "maildir", "mailtest", "demo"},
	"github.com/emersion/go-message":       {"transfer"},
	"github.com/emersion/go-message/":      {"demo"},
	"github.com/tink-crypto/":              {"vault"},
	"github.com/go-jose/":                  {"httpapi"},
	"github.com/golang-jwt/":               {}, // go-jose verifies tokens: decision 6.
	"github.com/coreos/go-oidc/":           {"oidc"},
	"golang.org/x/oauth2":                  {"oidc"},
	"golang.org/x/net/":                    {"account", "owner"},
	"github.com/alecthomas/kong":           {"cmd"},
	"github.com/pelletier/go-toml/":        {"settings", "provider"},
	"github.com/vbauerster/mpb/":           {"cmd"},
	"github.com/prometheus/client_golang/": {"schedule", "httpapi", "cmd"},
	"github.com/chromedp/":                 {},
	"go.uber.org/goleak":                   {},
	"github.com/google/go-cmp/":            {},
	"testing":                              {"mailtest"},
	"os/exec":                              {"mailtest"},
	"net/smtp":                             {},
	"unsafe":                               {"cmd"}, // The kernel is handed a filter of system calls: confine_linux.go.
	"C":                                    {},
}

// dials are the words that open connections, or find addresses to open them
// to. Only outbound may use them; whoever speaks to hosts of our own making
// (test servers, the demo's) may as well.
var dials = map[string][]string{
	"net": {
		"Dial", "DialIP", "DialTCP", "DialTimeout", "DialUDP", "DialUnix", "Dialer", "DefaultResolver", "Resolver",
		"LookupAddr",
		"LookupCNAME", "LookupHost", "LookupIP", "LookupMX", "LookupNS", "LookupPort", "LookupSRV", "LookupTXT",
		"ResolveTCPAddr",
		"ResolveUDPAddr", "ResolveIPAddr",
	},
	"crypto/tls": {"Client", "Dial", "DialWithDialer", "Dialer"},
	"net/http":   {"DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm", "Transport"},
	"github.com/emersion/go-imap/v2/imapclient": {"DialInsecure", "DialStartTLS", "DialTLS"},
	"net/smtp": {"Dial", "SendMail"},
}

var mayDial = []string{"outbound", "mailtest", "demo"}

// writes are the names in package wire by which mail is put into mailboxes, and mayWrite who may
// use them: what reads a remote server must not hold a connection that can change anything.
var (
	writes   = []string{"Writer", "NewWriter", "Permission", "Message"}
	mayWrite = []string{"wire", "imapbox", "cmd", "mailtest"}
)

// beginsContext are the functions that begin a context which nothing above them ends,
// with the reason. Everybody else is handed one: a wait that no context ends outlives
// the visit, the request or the process that it was for.
var beginsContext = map[string]string{
	"cmd/mailbrook/main.go main":     "the process's own, which signals end",
	"internal/store/store.go beside": "of the store, which outlives visits and requests: Close ends it and waits",
	"internal/store/store.go Close":  "who closes has ended all other contexts; it has a deadline",
}

// forbiddenNames say nothing of what is in a package.
var forbiddenNames = []string{
	"base", "common", "config", "constants", "core", "helper", "helpers", "interfaces", "lib", "manager", "misc", "model",
	"models",
	"shared", "type", "types", "util", "utils",
}

// longest is how many lines a function may have.
const longest = 120

// checkImports compares the imports within the project with the map.
func checkImports(module string, files []file) (vs []violation) {
	for _, f := range files {
		from := part(f.dir)
		allowed, known := mayImport[from]
		if !known {
			vs = append(vs, violation{f.path, fmt.Sprintf("package %s is not on the map of internal/archtest", from)})
			continue
		}
		for _, imported := range slices.Sorted(maps.Keys(f.imports)) {
			rel, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			to := part(rel)
			switch {
			case to == from:
			case to == "cmd":
				vs = append(vs, violation{f.path, "nobody imports cmd"})
			case to == "mailtest":
				vs = append(vs, violation{f.path, from + " imports mailtest, which is for tests only"})
			case !slices.Contains(allowed, to) && !slices.Contains(allowed, everything):
				vs = append(vs, violation{f.path, fmt.Sprintf("%s must not import %s", from, to)})
			}
		}
	}
	return vs
}

// checkGrants finds imports that the map allows and nobody makes: a door left open.
func checkGrants(module string, files []file, grants map[string][]string) (vs []violation) {
	made := map[string]bool{}
	for _, f := range files {
		for imported := range f.imports {
			if rel, ours := strings.CutPrefix(imported, module+"/"); ours {
				made[part(f.dir)+" "+part(rel)] = true
			}
		}
	}
	for from, allowed := range grants {
		for _, to := range allowed {
			if to != everything && !made[from+" "+to] {
				vs = append(vs, violation{"internal/archtest", fmt.Sprintf("%s may import %s and does not: take the grant away",
					from, to)})
			}
		}
	}
	return vs
}

// checkMap compares the map with the table of ARCHITECTURE.md: "| `internal/x` | what
// it is for | fault mail |".
func checkMap(document string, grants map[string][]string) (vs []violation) {
	rows := map[string]string{}
	for line := range strings.Lines(document) {
		if cells := strings.Split(line, " | "); len(cells) == 3 && strings.HasPrefix(line, "| `internal/") {
			name := strings.TrimSuffix(strings.TrimPrefix(cells[0], "| `internal/"), "`")
			rows[name] = strings.TrimSuffix(strings.TrimSpace(cells[2]), " |")
		}
	}
	for from, allowed := range grants {
		want := strings.Join(slices.Sorted(slices.Values(allowed)), " ")
		told, listed := rows[from]
		words := slices.DeleteFunc(strings.Fields(told), func(w string) bool { return w == "nothing" || w == "–" })
		slices.Sort(words)
		switch {
		case slices.Contains([]string{"cmd", "api", "migrations", "mailtest", "archtest"}, from):
		case !listed:
			vs = append(vs, violation{"docs/ARCHITECTURE.md", "has no row for internal/" + from})
		case strings.Join(words, " ") != want:
			vs = append(vs, violation{"docs/ARCHITECTURE.md", fmt.Sprintf("%s may import %q, not %q", from, want, told)})
		}
	}
	return vs
}

// checkConfined finds third parties outside of the packages that may know them.
func checkConfined(module string, files []file) (vs []violation) {
	for _, f := range files {
		from := part(f.dir)
		for _, imported := range slices.Sorted(maps.Keys(f.imports)) {
			ours := strings.HasPrefix(imported, module+"/")
			if slices.Contains(pure, from) && !ours && strings.Contains(strings.Split(imported, "/")[0], ".") {
				vs = append(vs, violation{f.path, fmt.Sprintf("%s imports the standard library only, not %s", from, imported)})
				continue
			}
			for prefix, where := range confined {
				inside := imported == prefix || (strings.HasSuffix(prefix, "/") && strings.HasPrefix(imported, prefix))
				if inside && !slices.Contains(where, from) {
					vs = append(vs, violation{f.path, fmt.Sprintf("%s must not import %s", from, imported)})
				}
			}
		}
	}
	return vs
}

// checkDials finds who opens connections past outbound.
func checkDials(files []file) (vs []violation) {
	for _, f := range files {
		if slices.Contains(mayDial, part(f.dir)) {
			continue
		}
		names := map[string][]string{}
		for imported, words := range dials {
			if name, ok := f.imports[imported]; ok {
				names[name] = words
				if name == "." {
					vs = append(vs, violation{f.path, "imports " + imported + " without its name"})
				}
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && slices.Contains(names[pkg.Name], sel.Sel.Name) {
				vs = append(vs, violation{f.at(sel.Pos()), fmt.Sprintf("%s.%s is for package outbound alone", pkg.Name,
					sel.Sel.Name)})
			}
			return true
		})
	}
	return vs
}

// checkWrites finds who holds a connection that can change a mailbox.
func checkWrites(module string, files []file) (vs []violation) {
	for _, f := range files {
		if slices.Contains(mayWrite, part(f.dir)) {
			continue
		}
		names := map[string]bool{}
		for _, i := range f.syntax.Imports {
			if imported, _ := strconv.Unquote(i.Path.Value); imported != module+"/internal/wire" {
				continue
			}
			name := "wire"
			if i.Name != nil {
				name = i.Name.Name
			}
			if names[name] = true; name == "." {
				vs = append(vs, violation{f.path, "imports wire without its name"})
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && names[pkg.Name] && slices.Contains(writes, sel.Sel.Name) {
				vs = append(vs, violation{f.at(sel.Pos()), fmt.Sprintf("wire.%s is for package imapbox alone", sel.Sel.Name)})
			}
			return true
		})
	}
	return vs
}

// checkContexts finds who begins a context with no end, and reasons that nobody needs any
// more.
func checkContexts(files []file, reasons map[string]string) (vs []violation) {
	used := map[string]bool{}
	for _, f := range files {
		name, ok := f.imports["context"]
		if !ok || part(f.dir) == "mailtest" {
			continue
		}
		if name == "." {
			vs = append(vs, violation{f.path, "imports context without its name"})
		}
		for _, d := range f.syntax.Decls {
			where := f.path
			if fn, ok := d.(*ast.FuncDecl); ok {
				where += " " + fn.Name.Name
			}
			ast.Inspect(d, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok || sel.Sel.Name != "Background" && sel.Sel.Name != "TODO" {
					return true
				}
				if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != name {
					return true
				}
				if used[where] = true; reasons[where] == "" {
					vs = append(vs, violation{
						f.at(sel.Pos()),
						"context." + sel.Sel.Name + " is for main and tests: take a context from the caller",
					})
				}
				return true
			})
		}
	}
	for where := range reasons {
		if !used[where] {
			vs = append(vs, violation{"internal/archtest", where + " begins no context: take its reason away"})
		}
	}
	return vs
}

// checkNames finds packages that are named after nothing.
func checkNames(files []file) (vs []violation) {
	seen := map[string]bool{}
	for _, f := range files {
		if seen[f.dir] {
			continue
		}
		seen[f.dir] = true
		for _, name := range []string{path.Base(f.dir), f.syntax.Name.Name} {
			if slices.Contains(forbiddenNames, name) {
				vs = append(vs, violation{f.dir, "a package called " + name + " says nothing of what is in it"})
				break
			}
		}
	}
	return vs
}

// checkDocs finds packages and exported names that do not say what they are,
// and functions that are too long to be read.
func checkDocs(files []file) (vs []violation) {
	documented := map[string]string{}
	for _, f := range files {
		if d := f.syntax.Doc.Text(); d != "" {
			documented[f.dir] = d
		}
	}
	asked := map[string]bool{}
	for _, f := range files {
		if name := f.syntax.Name.Name; !asked[f.dir] && !f.generated() {
			asked[f.dir] = true
			want := "Package " + name + " "
			if name == "main" {
				want = "Command " + path.Base(f.dir) + " "
			}
			if !strings.HasPrefix(documented[f.dir], want) {
				vs = append(vs, violation{f.dir, "no file has a package comment that begins with " + strings.TrimSpace(want)})
			}
		}
		if f.generated() {
			continue
		}
		for _, d := range f.syntax.Decls {
			vs = append(vs, checkDecl(f, d)...)
		}
	}
	return vs
}

func checkDecl(f file, d ast.Decl) (vs []violation) {
	missing := func(n ast.Node, name string) {
		vs = append(vs, violation{f.at(n.Pos()), "exported " + name + " has no comment"})
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d))) {
			missing(d, d.Name.Name)
		}
		if lines := f.fset.Position(d.End()).Line - f.fset.Position(d.Pos()).Line + 1; lines > longest {
			vs = append(vs, violation{f.at(d.Pos()), fmt.Sprintf("%s has %d lines, more than %d", d.Name.Name, lines, longest)})
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					missing(s, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						missing(s, n.Name)
					}
				}
			}
		}
	}
	return vs
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
