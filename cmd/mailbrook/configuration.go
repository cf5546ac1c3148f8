package main

import (
	"fmt"
	"strconv"
	"strings"
)

type configCmd struct {
	Show  configShowCmd  `cmd:"" default:"withargs" help:"Print every key, its value, and where it came from."`
	Check configCheckCmd `cmd:"" help:"Say whether the configuration is right, and nothing else."`
}

type (
	configShowCmd struct {
		JSON bool `name:"json" help:"Print JSON: an object for each key."`
	}
	configCheckCmd struct{}
)

// keyShown is what config --json prints of a key.
type keyShown struct {
	Key      string `json:"key"`
	Value    string `json:"value"` // Secrets are redacted.
	From     string `json:"from"`
	Variable string `json:"variable"`
}

// Run prints the configuration as it holds. It opens nothing.
func (c configShowCmd) Run(t terminal, load loader) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	all, keys := []keyShown{}, schema()
	for _, s := range keys.Keys {
		all = append(all, keyShown{s.Name, cfg.shown(s), cfg.Found.from(s.Name), keys.Variable(s)})
	}
	if c.JSON {
		return t.json(all)
	}
	tab := newTable("key", "value", "from").unbroken("key").keeping("value", "from")
	for _, k := range all {
		tab.add(k.Key, k.Value, k.From)
	}
	return tab.write(t.page())
}

// Run ends with status 0 when the configuration is right; what is wrong with it
// is the error of every other command, too.
func (configCheckCmd) Run(t terminal, load loader) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	if _, err := loadRoots(cfg.Remote.CAFile)(); err != nil {
		return usageError{fmt.Errorf("remote.ca_file: %w", err)}
	}
	if _, err := loadRoots(cfg.SignIn.IMAP.CAFile)(); err != nil {
		return usageError{fmt.Errorf("signin.imap.ca_file: %w", err)}
	}
	if _, err := loadRoots(cfg.IMAP.CAFile)(); err != nil {
		return usageError{fmt.Errorf("imap.ca_file: %w", err)}
	}
	file := cfg.Found.File
	if file == "" {
		file = "no file, environment and command line only"
	}
	fmt.Fprintf(t.out, "The configuration is right (%s).\n", printable(file))
	return nil
}

// redacted stands for a secret.
const redacted = "[redacted]"

// shown is a key's value for people: as it was given, or the default. No secret
// is in it.
func (c config) shown(s setting) string {
	switch given, ok := c.Found.Values[s.Name]; {
	case s.Name == "database":
		return c.databaseName()
	case !ok:
		return c.byDefault(s)
	case s.Secret && given.Text != "":
		return redacted
	default:
		return given.Text
	}
}

// byDefault is the text of a key that nobody gave: what setting it to that text
// changes nothing of.
func (c config) byDefault(s setting) string {
	switch s.Name {
	case "listen":
		return c.Listen
	case "data_dir":
		return c.DataDir
	case "mailbox":
		return c.Mailbox
	case "create_mailboxes":
		return strconv.FormatBool(c.CreateMailboxes)
	case "remote.allow_ports":
		ports := make([]string, len(c.Remote.AllowPorts.List))
		for i, p := range c.Remote.AllowPorts.List {
			ports[i] = strconv.Itoa(p)
		}
		return strings.Join(ports, ",")
	case "remote.allow_plaintext":
		return strconv.FormatBool(c.Remote.AllowPlaintext)
	case "poll.interval":
		return c.Poll.Interval.String()
	case "poll.min_interval":
		return c.Poll.MinInterval.String()
	case "poll.workers":
		return strconv.Itoa(c.Poll.Workers)
	case "accounts.max_per_user":
		return strconv.Itoa(c.Accounts.MaxPerUser)
	case "copies.enabled":
		return strconv.FormatBool(c.Copies.Enabled)
	case "copies.max_per_user":
		return strconv.Itoa(c.Copies.MaxPerUser)
	case "copies.workers":
		return strconv.Itoa(c.Copies.Workers)
	case "copies.any_target":
		return strconv.FormatBool(c.Copies.AnyTarget)
	case "copies.keep_credentials":
		return c.Copies.Keep.String()
	case "copies.report_subjects":
		return strconv.FormatBool(c.Copies.Subjects)
	case "audit.keep":
		return "1y" // As the manual has it: see parseKeep.
	case "log.level":
		return strings.ToLower(c.Log.Level.String())
	case "log.format":
		return c.Log.Format
	}
	if rest, ok := strings.CutPrefix(s.Name, "imap."); ok {
		return c.imapByDefault("imap." + rest)
	}
	return c.signInByDefault(s.Name)
}
