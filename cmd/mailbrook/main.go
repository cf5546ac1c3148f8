// Command mailbrook fetches users' external mailboxes into their own. See the
// README for a tour and docs/ARCHITECTURE.md for the map.
//
// This package alone knows all others: it reads the configuration, wires the
// parts together and runs the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit statuses of all commands.
const (
	exitOK     = 0
	exitFailed = 1 // What was asked for did not (all) succeed.
	exitUsage  = 2 // Bad usage or configuration: nothing was begun.

	exitInterrupted = 130 // Ctrl-C, as shells report it.
)

// cli is the command line. Each field's help is its documentation.
type cli struct {
	Config string `help:"TOML file; else $MAILBROOK_CONFIG, ./ or /etc/mailbrook/mailbrook.toml." placeholder:"FILE"`

	keyFlags `embed:"" group:"Configuration"`

	Serve        serveCmd        `cmd:"" help:"REST API, web pages and poller in one process."`
	Demo         demoCmd         `cmd:"" help:"Try it out: a scratch server, a small mail provider, two accounts."`
	Init         initCmd         `cmd:"" help:"Make a new installation: data directory, keys and database."`
	Pull         pullCmd         `cmd:"" help:"Visit accounts once, now."`
	Account      accountCmd      `cmd:"" help:"Add, list, show, test, edit and delete external accounts."`
	Copy         copyCmd         `cmd:"" help:"Copy whole mailboxes: plan, start, watch, verify, report."`
	Providers    providersCmd    `cmd:"" help:"List the providers whose settings are known."`
	Check        checkCmd        `cmd:"" help:"Compare journals, spools and mailboxes; explain one message."`
	Token        tokenCmd        `cmd:"" help:"Print a bearer token for the REST API."`
	Link         linkCmd         `cmd:"" help:"Print a one-time address that opens the web pages signed in."`
	User         userCmd         `cmd:"" help:"Remove a user, or export what is stored about one."`
	Sessions     sessionsCmd     `cmd:"" help:"End sessions of the web pages."`
	Doctor       doctorCmd       `cmd:"" help:"Find what is wrong around an installation, and say what to do."`
	Configured   configCmd       `cmd:"" name:"config" help:"Show keys, values and where they come from, or check them."`
	Migrate      migrateCmd      `cmd:"" help:"Bring the database schema up or down, or show where it is."`
	MoveOver     moveOverCmd     `cmd:"" name:"migrate-destination" help:"Continue accounts at an IMAP server."`
	Installation installationCmd `cmd:"" help:"Show or mend what holds database, keys and mailboxes together."`
	Completion   completionCmd   `cmd:"" help:"Print what makes a shell complete commands, flags and values."`
	Man          manCmd          `cmd:"" help:"Print the manual page."`
	Version      versionCmd      `cmd:"" help:"Print version, commit and Go version."`
}

// keyFlags are the configuration keys that the command line may override; the
// empty string leaves a key as file and environment have it.
type keyFlags struct {
	Listen               string `help:"Address of the REST API and the web pages." placeholder:"ADDR"`
	DataDir              string `help:"Where database, keys and local mailboxes lie." placeholder:"DIR"`
	Database             string `help:"sqlite:FILE or postgres://..." placeholder:"URL"`
	Mailbox              string `help:"Maildir++ roots, maildir:/path/{domain}/{local}, or imap." placeholder:"TEMPLATE"`
	RemoteAllowNetworks  string `help:"Networks allowed although not public." placeholder:"CIDR,..."`
	RemoteAllowPorts     string `help:"Ports an account may name; * for all." placeholder:"PORT,..."`
	RemoteOwnHosts       string `help:"Hosts of users' own mailboxes." placeholder:"HOST,..."`
	RemoteCAFile         string `name:"remote-ca-file" help:"Further roots for remote TLS." placeholder:"FILE"`
	RemoteAllowPlaintext string `help:"Whether unencrypted accounts are accepted." placeholder:"BOOL"`
	PollInterval         string `name:"default-poll-interval" help:"Between polls of one account." placeholder:"5m"`
	PollMinInterval      string `help:"The least interval a user may ask for." placeholder:"1m"`
	AccountsMaxPerUser   string `help:"Accounts per user." placeholder:"4"`
	LogLevel             string `help:"debug, info, warn or error." placeholder:"LEVEL"`
	LogFormat            string `help:"text or json." placeholder:"FORMAT"`
}

// overrides returns what the command line says, by configuration key.
func (s keyFlags) overrides() map[string]string {
	out := map[string]string{}
	for key, value := range map[string]string{
		"listen": s.Listen, "data_dir": s.DataDir, "database": s.Database, "mailbox": s.Mailbox,
		"remote.allow_networks": s.RemoteAllowNetworks, "remote.allow_ports": s.RemoteAllowPorts,
		"remote.own_hosts": s.RemoteOwnHosts, "remote.ca_file": s.RemoteCAFile,
		"remote.allow_plaintext": s.RemoteAllowPlaintext,
		"poll.interval":          s.PollInterval, "poll.min_interval": s.PollMinInterval,
		"accounts.max_per_user": s.AccountsMaxPerUser, "log.level": s.LogLevel, "log.format": s.LogFormat,
	} {
		if value != "" {
			out[key] = value
		}
	}
	return out
}

// terminal is the world outside as a command sees it.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
}

// usageError is a mistake in what was asked for, as against a failure in doing it.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errQuiet ends a command with status 1 after it has said why itself.
var errQuiet = errors.New("failed")

// statusError ends a command with a status of its own; it says why unless that is errQuiet.
type statusError struct {
	status int
	error
}

func (e statusError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	status := run(ctx, terminal{os.Stdin, os.Stdout, os.Stderr, os.Environ()}, os.Args[1:])
	stop()
	os.Exit(status)
}

// run performs one command. One whose output could not be written has not succeeded, whatever it did.
func run(ctx context.Context, t terminal, args []string) int {
	out := &output{w: t.out}
	t.out = out
	status, err := perform(ctx, t, args)
	if lost := out.failure(); lost != nil {
		if !errors.Is(err, lost) {
			t.complain("the output could not be written: " + lost.Error())
		}
		if status == exitOK {
			status = exitFailed
		}
	}
	return status
}

// perform parses the arguments and performs one command. It returns the error that it has complained of, if any.
func perform(ctx context.Context, t terminal, args []string) (status int, err error) {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("mailbrook"),
		kong.Description("External mail accounts for a webmail: fetched by POP3 and IMAP, changed never."),
		kong.Writers(t.out, t.err),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(atTheTerminal(ctx), (*context.Context)(nil)),
		kong.UsageOnError(),
		kong.Help(help),
	)
	if err != nil {
		t.complain(err.Error())
		return exitFailed, err
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help was asked for and answered.
		return exited, nil
	}
	if at := unfinished(err); at != nil {
		parser.Stdout = t.err
		herr := kong.DefaultHelpPrinter(kong.HelpOptions{
			Compact: true, NoExpandSubcommands: true, ValueFormatter: kong.DefaultHelpValueFormatter,
		}, at)
		if herr == nil {
			fmt.Fprintln(t.err, "\nmailbrook: no command was given: it is one of those above.")
			return exitUsage, nil
		}
	}
	if err != nil {
		t.complain(plainly(err.Error()))
		fmt.Fprintln(t.err, `Run "mailbrook --help" for what there is.`)
		return exitUsage, err
	}
	load := loader(func() (config, error) {
		cfg, err := loadConfig(ctx, c.Config, t.environ, c.overrides())
		switch {
		case err == nil:
			return cfg, nil
		case errors.Is(err, ctx.Err()): // It waited for who writes into a pipe.
			return config{}, errInterrupted
		}
		return config{}, usageError{err}
	})
	err = k.Run(t, load)
	var usage usageError
	var special statusError
	switch {
	case err == nil:
		return exitOK, nil
	case errors.As(err, &special):
		if !errors.Is(err, errQuiet) {
			t.complain(err.Error())
		}
		return special.status, err
	case errors.As(err, &usage):
		t.complain(err.Error())
		return exitUsage, err
	case errors.Is(err, errQuiet):
		return exitFailed, err
	case errors.Is(err, errInterrupted), ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted, err
	}
	t.complain(err.Error())
	return exitFailed, err
}

// plainly says in plain words what the parser says of a flag's value.
func plainly(text string) string {
	text = noValue.ReplaceAllString(text, "$1: its value is missing")
	return noNumber.ReplaceAllString(text, "$1: $2 is no whole number")
}

var (
	noValue  = regexp.MustCompile(`^(\S+): expected .* but got "EOL" \(<EOL>\)$`)
	noNumber = regexp.MustCompile(`^(\S+): expected a valid \d+ bit u?int but got (".*")$`)
)

// unfinished returns where a command line ends that is right as far as it goes, but names
// no command, or only a group of them; else nil.
func unfinished(err error) *kong.Context {
	var bad *kong.ParseError
	if !errors.As(err, &bad) || bad.Context == nil || bad.Context.Error != nil {
		return nil
	}
	at := bad.Context.Selected()
	if at == nil || len(at.Children) > 0 && at.DefaultCmd == nil {
		return bad.Context
	}
	return nil
}
