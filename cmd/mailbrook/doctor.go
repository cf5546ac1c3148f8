package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/vault"
	"github.com/mailbrook/mailbrook/internal/words"
)

type doctorCmd struct {
	JSON bool `name:"json" help:"Print one JSON object per finding."`
}

// How a finding stands.
const (
	well = "ok"
	warn = "warn"
	bad  = "FAIL"
)

// finding is one thing that doctor looked at.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warn or FAIL.
	Says   string `json:"says"`
	Do     string `json:"do"` // Empty where there is nothing to do.
}

// doctor looks at an installation and at what is around it.
type doctor struct {
	cfg      config
	findings []finding
}

func (d *doctor) found(check, status, says, do string) {
	d.findings = append(d.findings, finding{check, status, says, do})
}

// Run looks at everything that can be wrong around an installation, and says what
// to do. It ends with status 1 when something has to be done, and
// where there is no installation as every command that needs one.
func (c doctorCmd) Run(ctx context.Context, t terminal, load loader) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	// What needs no installation is looked at before there is one.
	missing, usage := cfg.mustStand(), usageError{}
	switch {
	case errors.Is(missing, errNoInstallation):
	case errors.As(missing, &usage):
		return missing
	default:
		missing = nil // What is wrong with a part is found below.
	}
	d := &doctor{cfg: cfg}
	d.configuration()
	d.process()
	if missing == nil {
		if err := d.stores(ctx); err != nil {
			return err
		}
	}
	d.roots()
	d.names(ctx)
	d.pages()
	d.signIn(ctx)
	if err := d.redirects(); err != nil {
		return err
	}
	columns := columnsOf(t.out)
	for _, f := range d.findings {
		if c.JSON {
			err = errors.Join(err, t.jsonLine(f))
			continue
		}
		fmt.Fprintf(t.out, "%-4s  %-13s  %s\n", f.Status, f.Check, folded(printable(f.Says), 21, columns))
		if f.Do != "" {
			fmt.Fprintf(t.out, "%21s> %s\n", "", folded(printable(f.Do), 23, columns))
		}
	}
	if missing != nil {
		return errors.Join(err, missing)
	}
	if err == nil && slices.ContainsFunc(d.findings, func(f finding) bool { return f.Status == bad }) {
		err = errQuiet
	}
	return err
}

// configuration was read; who else may read it?
func (d *doctor) configuration() {
	file := d.cfg.Found.File
	if file == "" {
		d.found("configuration", well, "right; no file, environment and command line only", "")
		return
	}
	info, err := os.Stat(file)
	secret := slices.ContainsFunc(allSettings(), func(s setting) bool {
		v := d.cfg.Found.Values[s.Name]
		return s.Secret && v.From == file && !v.Apart
	})
	if err == nil && secret && info.Mode().Perm()&0o004 != 0 {
		d.found("configuration", warn, fmt.Sprintf("%s holds secrets, and everybody on this machine may read it", file),
			"chmod o-r "+file+", or put each secret into a file of its own (KEY_file)")
		return
	}
	d.found("configuration", well, "right: "+file, "")
}

// process looks at what this process may do, as serve would.
func (d *doctor) process() {
	if os.Geteuid() == 0 {
		d.found("process", warn, "running as root", "run it, and this command, as a user of its own that can write the "+
			"mailboxes")
	} else {
		d.found("process", well, fmt.Sprintf("running as user %d", os.Geteuid()), "")
	}
	files := openFiles()
	if n := shareFiles(files, d.cfg.Poll.Workers).visits; n < d.cfg.Poll.Workers {
		d.found("process", warn, fmt.Sprintf("%d files may be open, which is enough for %d of %d visits at a time", files, n,
			d.cfg.Poll.Workers), fmt.Sprintf("set LimitNOFILE (ulimit -n) to %d", filesFor(d.cfg.Poll.Workers)))
	}
}

// stores looks at database, keys and mailboxes, and whether they belong together.
func (d *doctor) stores(ctx context.Context) (err error) {
	n := &installation{cfg: d.cfg, log: slog.New(slog.DiscardHandler)} // What went wrong is found, not logged.
	if n.place, n.boxes, err = d.cfg.openPlace(maildir.Options{Log: n.log, Existing: true}); err != nil {
		return err
	}
	keys, unusable := d.dataDir()
	if n.boxes != nil {
		d.mailboxes(ctx, n.boxes)
	}
	b, err := n.read()
	if err != nil {
		d.refused("installation", err, "give the user of serve the right to read data_dir and the mailboxes")
		return nil
	}
	if err := n.openDatabase(ctx, b, true, nil); err != nil {
		d.refused("database", err, `see that it runs and that its settings keep what is committed; for its address see `+
			`"mailbrook config"`)
		return nil
	}
	defer n.store.Close()
	// As at a start, before the schema: an empty database is a loss, and not an old one.
	if err := n.compare(ctx, b); err != nil {
		d.refused("installation", err, "see that the database runs and answers")
		return nil
	}
	if !d.database(ctx, n.store) {
		return nil
	}
	if belong, err := d.keys(ctx, n, keys, unusable); err != nil || !belong {
		return err
	}
	d.found("installation", well, "database, keys and mailboxes belong together", "")
	return d.rights(ctx, n, keys)
}

// refused is what serve says when it refuses to start, with what it says to do; with
// this where it says nothing of that.
func (d *doctor) refused(check string, err error, do string) {
	if errors.Is(err, store.ErrDamaged) {
		err = refuseDamaged(d.cfg, err)
	}
	says, serves, said := strings.Cut(err.Error(), nothingBegun)
	if said {
		do = serves
	}
	d.found(check, bad, says, do)
}

// keys reports whether the keys are those that the database was begun with. Which of
// them are missing, or why they cannot be used, is what unusable says.
func (d *doctor) keys(ctx context.Context, n *installation, v *vault.Vault, unusable error) (bool, error) {
	switch {
	case errors.Is(unusable, vault.ErrNoKey):
		lost, err := lostKeys(ctx, d.cfg, n.store)
		switch {
		case err != nil:
			return false, err
		case lost != "":
			d.found("keys", bad, fmt.Sprintf("%s (%v)", lost, unusable), findKeys)
			return false, nil
		}
		d.found("keys", warn, "there are none yet in "+filepath.Join(d.cfg.DataDir, "keys"), `"mailbrook init" makes them`)
		return false, nil
	case unusable != nil:
		return false, nil // It is said.
	}
	id, err := n.store.Noted(ctx, store.NoteInstance)
	if err != nil {
		return false, err
	}
	proof, err := n.store.Noted(ctx, store.NoteKeys)
	if err != nil {
		return false, err
	}
	if proof != "" {
		if err := v.CheckProof(id, proof); err != nil {
			d.refused("keys", notOurs(partKeys, err), "")
			return false, nil
		}
	}
	return true, nil
}

// rights looks at the mailboxes of those who have accounts: what is gone, or what
// another program or another user of the system has made, cannot be delivered into.
func (d *doctor) rights(ctx context.Context, n *installation, keys *vault.Vault) error {
	if n.boxes == nil {
		return d.destination(ctx, n, keys)
	}
	service, _ := ownerOfFile(d.cfg.DataDir)
	var shut, foreign, gone []string
	looked, there := map[owner.Owner]bool{}, 0
	for f := (insight.AccountFilter{Limit: 500}); ; {
		page, next, err := n.store.Admin().Accounts(ctx, f)
		if err != nil {
			return err
		}
		for _, a := range page {
			if looked[a.Owner] {
				continue
			}
			looked[a.Owner] = true
			name := a.Owner.String()
			r, err := n.boxes.Rights(ctx, a.Owner)
			was := false
			if err == nil && !r.Exists {
				was, err = n.store.MailboxSeen(ctx, a.Owner)
			}
			switch {
			case err != nil:
				return fmt.Errorf("looking at the mailbox of %s: %w", name, err)
			case was:
				gone = append(gone, name)
				continue
			case !r.Exists:
				continue
			case !r.Writable:
				shut = append(shut, name)
			case os.Geteuid() == 0 && service != 0 && r.UID != service:
				foreign = append(foreign, name)
			}
			there++
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	if len(gone) > 0 {
		d.found("mailboxes", bad, fmt.Sprintf("those of %s were there and are gone, such as that of %s",
			words.Count(int64(len(gone)), "user"), gone[0]), `put them back, or remove the users ("mailbrook user delete"): `+
			"until then nothing is fetched for them")
	}
	if len(shut) > 0 {
		d.found("mailboxes", bad, fmt.Sprintf("those of %s cannot be written, such as that of %s",
			words.Count(int64(len(shut)), "user"), shut[0]), "give the user of serve the right to write there")
	}
	if len(foreign) > 0 {
		d.found("mailboxes", warn, fmt.Sprintf("those of %s do not belong to user %d, as data_dir does, such as that of %s",
			words.Count(int64(len(foreign)), "user"), service, foreign[0]),
			fmt.Sprintf("chown them, unless user %d may write there all the same", service))
	}
	if there > 0 && len(shut) == 0 && len(foreign) == 0 && len(gone) == 0 {
		d.found("mailboxes", well, "those that accounts are fetched into can be written", "")
	}
	return nil
}

// dataDir looks at the rights of the keys, and returns them. Without one of them
// (vault.ErrNoKey) nothing is said yet: what that means only the database knows.
func (d *doctor) dataDir() (*vault.Vault, error) {
	dir := filepath.Join(d.cfg.DataDir, "keys")
	info, err := os.Stat(dir)
	open := err == nil && info.Mode().Perm()&0o077 != 0
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		d.found("keys", bad, err.Error(), "give the user of serve the right to read "+dir)
		return nil, err
	case open:
		d.found("keys", bad, "others than their owner may look into "+dir, "chmod 700 "+dir)
	}
	v, err := vault.Load(d.cfg.DataDir)
	switch {
	case err != nil && !errors.Is(err, vault.ErrNoKey):
		d.found("keys", bad, err.Error(), "put the keys back from a backup, or give the user of serve the right to read them")
	case err == nil && !open:
		d.found("keys", well, dir, "")
	}
	return v, err
}

// database looks at the schema, the file system and the clock; false when nothing
// more can be asked.
func (d *doctor) database(ctx context.Context, s *store.Store) bool {
	err := s.CheckSchema(ctx)
	switch {
	case errors.Is(err, store.ErrSchemaOld) && d.cfg.embedded():
		d.found("database", warn, err.Error(), `the next "mailbrook serve" does it by itself`)
		return false
	case errors.Is(err, store.ErrSchemaOld), errors.Is(err, store.ErrSchemaNew):
		d.found("database", bad, err.Error(), "do what it says before the next start")
		return false
	case err != nil:
		d.found("database", bad, err.Error(), "see that it runs and answers")
		return false
	}
	d.found("database", well, d.cfg.databaseName()+": its schema is this program's, and its settings keep what is "+
		"committed",
		"")
	if d.cfg.embedded() {
		d.fileSystem("database", filepath.Dir(d.cfg.sqliteFile()), true)
	}
	d.clock(s.ClockSkew())
	return true
}

// clock looks at this machine's clock, which is so far ahead of the database's.
func (d *doctor) clock(skew time.Duration) {
	skew = skew.Round(time.Millisecond)
	switch synchronised, known := clockSynchronised(); {
	case skew.Abs() >= 2*time.Second:
		d.found("clock", warn, fmt.Sprintf("this machine's is %v off the database's", skew),
			"have both machines' clocks set (NTP)")
	case known && !synchronised:
		d.found("clock", warn, fmt.Sprintf("%v off the database's, but nothing sets this machine's", skew),
			"have it set (NTP: chrony or systemd-timesyncd); in a container look at the host")
	default:
		d.found("clock", well, fmt.Sprintf("%v off the database's", skew), "")
	}
}

// mailboxes looks at the place of mailboxes.
func (d *doctor) mailboxes(ctx context.Context, boxes *maildir.Store) {
	place := d.cfg.mailboxPlace()
	info, err := os.Stat(place)
	if errors.Is(err, fs.ErrNotExist) {
		d.found("mailboxes", warn, place+" is not there", "mount it; if this is the beginning, the first start makes it")
		return
	}
	if err == nil {
		err = boxes.Check(ctx)
	}
	if err != nil {
		d.found("mailboxes", bad, fmt.Sprintf("%s: %v", place, err), "give the user of serve the right to write there, "+
			"and see "+
			"that there is space")
		return
	}
	if uid, _ := ownerOfFile(place); info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
		d.found("mailboxes", bad, fmt.Sprintf("everybody on this machine may write into %s (of user %d)", place, uid),
			"chmod o-w "+place)
		return
	}
	d.found("mailboxes", well, d.cfg.Mailbox+" can be written", "")
	d.fileSystem("mailboxes", place, false)
}

// mailboxPlace is the fixed part of the template.
func (c config) mailboxPlace() string {
	path := strings.TrimPrefix(c.Mailbox, "maildir:")
	if i := strings.IndexByte(path, '{'); i >= 0 {
		path = path[:strings.LastIndexByte(path[:i], '/')+1]
	}
	return filepath.Clean(path)
}

// fileSystem warns of those that forget, or that lock and sync for themselves
// only.
func (d *doctor) fileSystem(check, dir string, locks bool) {
	kind := fileSystemOf(dir)
	switch kind {
	case "tmpfs", "ramfs", "overlay":
		d.found(check, warn, fmt.Sprintf("%s lies on %s, which is gone with the machine or the container", dir, kind),
			"put it on a volume of its own")
	case "nfs", "smb", "cifs":
		if locks {
			d.found(check, bad, fmt.Sprintf("%s lies on %s, where SQLite cannot lock", dir, kind),
				"put it on a local disk, or use PostgreSQL")
			return
		}
		d.found(check, warn, fmt.Sprintf("%s lies on %s", dir, kind), "mount it so that it fails rather than waits for "+
			"ever, "+
			"and with the server's own durability (NFS: no async export)")
	}
}

// roots looks at whom TLS trusts.
func (d *doctor) roots() {
	pool, err := outbound.LoadRoots(d.cfg.Remote.CAFile)
	switch {
	case err != nil:
		d.found("roots", bad, err.Error(), "correct remote.ca_file, or install the system's certificates (ca-certificates)")
	case pool.Equal(x509.NewCertPool()):
		d.found("roots", bad, "no root certificate is known: no provider's server can be trusted",
			"install the system's certificates (ca-certificates), or set remote.ca_file")
	default:
		d.found("roots", well, "root certificates are there", "")
	}
}

// probeName is asked for to see whether names can be had: the most used of the
// providers' servers.
const probeName = "imap.gmail.com"

// names looks whether the world's names can be had.
func (d *doctor) names(ctx context.Context) {
	if _, err := outbound.New(outbound.Options{}).Resolve(ctx, probeName); err != nil {
		if f := fault.Of(err); f.Err != nil {
			err = f.Err // The resolver's own words say all.
		}
		d.found("dns", warn, fmt.Sprintf("%s cannot be found: %v", probeName, err), "see to /etc/resolv.conf and the "+
			"firewall, "+
			"unless only servers of your own are to be reached")
		return
	}
	d.found("dns", well, probeName+" was found", "")
}

// pages looks at where people see the pages, in whose frames, by which cookie.
func (d *doctor) pages() {
	web := d.cfg.Web
	public, err := d.cfg.publicURL(nil)
	https, at := strings.HasPrefix(public, "https://"), &url.URL{}
	if err == nil {
		at, err = url.Parse(public)
	}
	switch {
	case err != nil:
		d.found("public_url", warn, err.Error(), "set web.public_url to the address that people see")
	case web.PublicURL == "":
		d.found("public_url", warn, "web.public_url is not set: links lead to "+public, "set it to the address that "+
			"people see")
	case !https && !loopback(at.Hostname()):
		d.found("public_url", bad, public+" is not https: passwords and cookies travel in the clear",
			"put TLS in front, and set web.public_url to the https:// address")
	default:
		d.found("public_url", well, public, "")
	}
	policy := "no page may show ours in a frame"
	if len(web.FrameAncestors) > 0 {
		policy = "in frames of " + strings.Join(web.FrameAncestors, ", ")
	}
	switch {
	case len(web.FrameAncestors) > 0 && https:
		d.found("frames", well, policy+"; the cookie is Secure, SameSite=None and Partitioned", "")
	case len(web.FrameAncestors) > 0:
		d.found("frames", warn, policy+"; but over plain http the cookie is SameSite=Lax, which browsers keep from "+
			"frames of "+
			"other sites", "set web.public_url to an https:// address")
	case https:
		d.found("frames", well, policy+"; the cookie is Secure and SameSite=Lax", "")
	default:
		d.found("frames", well, policy+"; the cookie is SameSite=Lax, and not Secure", "")
	}
}

// redirects says which addresses have to be registered with providers.
func (d *doctor) redirects() error {
	catalog, err := provider.New()
	if err != nil {
		return err
	}
	all := d.cfg.oauthProviders(catalog)
	for _, p := range all {
		d.found("oauth", well, fmt.Sprintf("%s sends browsers back to %s", p.Name,
			oauth.RedirectURL(d.cfg.Web.PublicURL, p.ID)), "register exactly this address there")
	}
	if len(all) == 0 {
		d.found("oauth", well, "no registration with a provider is configured", "")
	}
	return nil
}
