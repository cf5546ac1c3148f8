package source

import (
	"net/url"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// namespaces are what the server says of whose folders are whose (RFC 2342).
type namespaces struct {
	personal, shared []namespace // Shared: those of other users, too.
	guessed          bool        // The server does not say, and never did.
}

// namespace is what the names of folders begin with that belong together.
type namespace struct {
	prefix string
	delim  string
}

// strip takes the prefix of the first personal namespace off.
func (n namespaces) strip(raw string) string {
	if len(n.personal) == 0 {
		return raw
	}
	if own := n.personal[0]; own.prefix != "" && own.begins(raw) > 0 && len(raw) > len(own.prefix) {
		return raw[len(own.prefix):]
	}
	return raw
}

// others reports whether a folder is another user's, or shared: not the account's
// own. The longest prefix decides, and between two that are alike the personal
// one. INBOX is always the account's own, and so is what no prefix fits.
func (n namespaces) others(raw string) bool {
	longest := func(of []namespace) int {
		most := -1
		for _, ns := range of {
			most = max(most, ns.begins(raw))
		}
		return most
	}
	own := longest(n.personal)
	if raw == "INBOX" {
		return false
	}
	for _, ns := range n.shared {
		// All else is shared only where something is said to be personal.
		if l := ns.begins(raw); l > own && (l > 0 || len(n.personal) > 0) {
			return true
		}
	}
	return false
}

// begins returns how much of a name is the namespace's prefix; -1: it is not in
// the namespace. INBOX as a prefix has no case. A prefix that ends like a word,
// as some servers send it ("#Public"), is followed by a separator.
func (n namespace) begins(raw string) int {
	if len(raw) < len(n.prefix) {
		return -1
	}
	head, rest := raw[:len(n.prefix)], raw[len(n.prefix):]
	if head != n.prefix && !(strings.EqualFold(head, n.prefix) &&
		strings.EqualFold(strings.TrimSuffix(n.prefix, n.delim), "INBOX")) {
		return -1
	}
	if n.prefix != "" && rest != "" && n.delim != "" && isWordEnd(n.prefix[len(n.prefix)-1]) &&
		!strings.HasPrefix(rest, n.delim) {
		return -1
	}
	return len(n.prefix)
}

func isWordEnd(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c >= 0x80
}

// namespaceQuestion is NAMESPACE under way.
type namespaceQuestion struct {
	command *imapclient.NamespaceCommand
	sent    *wire.IMAPCommand
}

func (c *imapConn) askNamespaces() *namespaceQuestion {
	return &namespaceQuestion{command: c.client.Namespace(), sent: c.wire.Newest()}
}

// answer waits for what the server says; it is empty where that is nothing. whole
// says that all of it could be read.
func (q *namespaceQuestion) answer() (ns namespaces, whole bool) {
	if q == nil {
		return ns, false
	}
	data, err := q.command.Wait()
	if err != nil {
		return ns, false
	}
	read := func(told []imap.NamespaceDescriptor) (of []namespace) {
		for _, d := range told {
			n := namespace{prefix: d.Prefix}
			if d.Delim != 0 {
				n.delim = string(d.Delim)
			}
			of = append(of, n)
		}
		return of
	}
	ns = namespaces{personal: read(data.Personal), shared: append(read(data.Other), read(data.Shared)...)}
	return ns, q.sent.Unread() == 0 && len(ns.personal)+len(ns.shared) > 0
}

// namespaces returns whose folders are whose, once it is known. One answer that does
// not come, or not whole, makes nobody's folders the account's own: then what was
// said before holds, at this visit or an earlier one, and where nothing was, what
// listed lets suppose.
func (c *imapConn) namespaces(asked *namespaceQuestion, listed []*imap.ListData) namespaces {
	ns, whole := asked.answer()
	if whole {
		c.quirks.namespaces.Store(&ns)
		return ns
	}
	known := c.quirks.namespaces.Load()
	if known == nil {
		known = &namespaces{guessed: true}
		if asked != nil {
			known.shared = supposedShared(listed)
		}
	}
	if len(ns.personal) == 0 {
		return *known
	}
	return namespaces{
		personal: ns.personal, shared: slices.Concat(ns.shared, known.shared), guessed: known.guessed,
	}
}

// usuallyShared are the names below which servers show what belongs to others:
// those of RFC 2342's examples, and what Dovecot, Cyrus, Stalwart, Courier, hMailServer
// and Exchange come with or recommend to their operators.
var usuallyShared = []string{
	"Other Users", "Shared Folders", "Public Folders", "Shared", "Public", "user", "#shared", "#public", "#users",
}

// supposedShared returns the namespaces of others that a list of folders shows
// where the server has namespaces and does not list them: the usual names, as long
// as they hold no mail of their own, as a user's folder of such a name does.
func supposedShared(listed []*imap.ListData) (shared []namespace) {
	own := map[string]bool{}
	for _, data := range listed {
		if raw, _, ok := wire.FromAlias(data.Mailbox); ok && !slices.Contains(data.Attrs, imap.MailboxAttrNoSelect) &&
			!slices.Contains(data.Attrs, imap.MailboxAttrNonExistent) {
			own[raw] = true
		}
	}
	for _, data := range listed {
		raw, _, ok := wire.FromAlias(data.Mailbox)
		if !ok || data.Delim == 0 {
			continue
		}
		top, _, below := strings.Cut(raw, string(data.Delim))
		ns := namespace{prefix: top + string(data.Delim), delim: string(data.Delim)}
		if below && !own[top] && !slices.Contains(shared, ns) && slices.ContainsFunc(usuallyShared, func(name string) bool {
			return strings.EqualFold(name, top)
		}) {
			shared = append(shared, ns)
		}
	}
	return shared
}

const (
	// capNamespaces is our own word among the capabilities that are remembered, with
	// the namespaces after it.
	capNamespaces = "X-NAMESPACES="
	// maxNamespaceWord is the longest that is remembered; with a longer one the marks
	// of single folders have to do.
	maxNamespaceWord = 8000
)

// word is what rememberedNamespaces reads.
func (n namespaces) word() string {
	var parts []string
	add := func(kind string, of []namespace) {
		for _, ns := range of {
			parts = append(parts, kind+url.QueryEscape(ns.delim)+","+url.QueryEscape(ns.prefix))
		}
	}
	add("p", n.personal)
	add("s", n.shared)
	return capNamespaces + strings.Join(parts, ";")
}

// rememberedNamespaces reads what an earlier session learned; nil where that is
// nothing.
func rememberedNamespaces(known imap.CapSet) *namespaces {
	for w := range known {
		told, ok := strings.CutPrefix(string(w), capNamespaces)
		if !ok {
			continue
		}
		ns := &namespaces{}
		for part := range strings.SplitSeq(told, ";") {
			delim, prefix, _ := strings.Cut(part, ",")
			kind, delim := delim[:min(1, len(delim))], delim[min(1, len(delim)):]
			d, err := url.QueryUnescape(delim)
			p, err2 := url.QueryUnescape(prefix)
			switch {
			case err != nil || err2 != nil:
				return nil
			case kind == "p":
				ns.personal = append(ns.personal, namespace{p, d})
			case kind == "s":
				ns.shared = append(ns.shared, namespace{p, d})
			}
		}
		return ns
	}
	return nil
}
