package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// sideFlags are one end of a copy as flags.
type sideFlags struct {
	connectionFlags
	PasswordFile string `help:"Read the password from the first line of a file." type:"existingfile" placeholder:"FILE"`
}

// newCopyFlags are what a copy is made of, as flags.
type newCopyFlags struct {
	User    string            `help:"Whose copy it is: a mailbox address of this provider." required:""`
	Source  sideFlags         `embed:"" prefix:"source-"`
	Target  sideFlags         `embed:"" prefix:"target-"`
	Include []string          `help:"A folder or use (\\Sent) to copy; repeatable. Default: all." sep:"none"`
	Exclude []string          `help:"A folder not to copy; repeatable." sep:"none"`
	Map     map[string]string `help:"Where a folder goes; repeatable." mapsep:"none" placeholder:"FOLDER=NAME"`
	Prefix  string            `help:"A folder of the target below which everything goes."`

	Existing string `help:"What the target has already: ignore it, or skip what is equal." enum:"ignore,skip," default:""`
	Labels   string `help:"A Gmail message's further labels." enum:"first,keywords,copies," default:""`
	Order    string `help:"What is copied first." enum:"oldest_first,newest_first," default:""`
	Verify   string `help:"How many messages are read back." enum:"quick,sample,full," default:""`

	MaxBytes       int64     `help:"The largest message to copy. Default: what the target takes." placeholder:"BYTES"`
	BytesPerSecond int64     `help:"The most to read in a second." placeholder:"BYTES"`
	Since          time.Time `help:"Only messages from this day on." format:"2006-01-02" placeholder:"2026-01-31"`
	Before         time.Time `help:"Only messages before this day." format:"2006-01-02" placeholder:"2026-01-31"`
	Notify         string    `help:"Who gets mail at the end, too." placeholder:"ADDRESS"`
}

// draft makes a copy of the flags, and asks for the passwords.
func (f newCopyFlags) draft(ctx context.Context, t terminal) (owner.Owner, transfer.Draft, error) {
	o, err := parseUser(f.User)
	if err != nil {
		return o, transfer.Draft{}, err
	}
	if f.Source.Email == nil {
		return o, transfer.Draft{}, usageError{errors.New("--source-email is needed: the address of the mailbox to copy")}
	}
	d := transfer.Draft{
		Source: transfer.SideDraft{Settings: f.Source.settings()},
		Target: transfer.SideDraft{Settings: f.Target.settings(), Local: f.Target.Email == nil},
		Options: transfer.OptionsDraft{
			Options: transfer.Options{
				Folders: route.FolderRules{Include: f.Include, Exclude: f.Exclude}, Prefix: f.Prefix,
				Existing: transfer.Existing(f.Existing), Labels: transfer.Labels(f.Labels), Order: transfer.Order(f.Order),
				Verify: transfer.Verify(f.Verify), MaxBytes: f.MaxBytes, BytesPerSec: f.BytesPerSecond, Since: f.Since,
				Before: f.Before, NotifyEmail: f.Notify, Language: "en",
			},
			Map: f.Map,
		},
	}
	if d.Target.Local && (f.Target != sideFlags{}) {
		return o, d, usageError{errors.New("--target-email is needed beside other flags of the target; without any of " +
			"them the copy goes into the user's own mailbox")}
	}
	lines := bufio.NewReader(io.LimitReader(t.in, 2*(account.MaxPassword+2)))
	if d.Source.Password, err = t.sidePassword(ctx, f.Source, lines, "source"); err != nil || d.Target.Local {
		return o, d, err
	}
	d.Target.Password, err = t.sidePassword(ctx, f.Target, lines, "target")
	return o, d, err
}

// sidePassword reads the password of a side: from a file, the next line of the standard input, or what is typed. It is
// never an argument.
func (t terminal) sidePassword(ctx context.Context, f sideFlags, lines *bufio.Reader, side string,
) (remote.Secret, error) {
	if f.PasswordFile != "" && f.PasswordStdin {
		return remote.Secret{}, usageError{fmt.Errorf("--%s-password-file and --%[1]s-password-stdin: choose one", side)}
	}
	if f.PasswordFile == "" && !f.PasswordStdin {
		if _, ok := t.keyboard(); ok {
			return t.password(ctx, false, *f.Email)
		}
		return remote.Secret{}, usageError{fmt.Errorf("a password is needed, and there is no terminal to ask at: use "+
			"--%s-password-stdin or --%[1]s-password-file", side)}
	}
	if f.PasswordFile != "" {
		file, err := os.Open(f.PasswordFile)
		if err != nil {
			return remote.Secret{}, usageError{fmt.Errorf("--%s-password-file: %w", side, err)}
		}
		defer file.Close()
		lines = bufio.NewReader(io.LimitReader(file, account.MaxPassword+2))
	}
	line, err := lines.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return remote.Secret{}, fmt.Errorf("reading the password of the %s: %w", side, err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return remote.Secret{}, usageError{fmt.Errorf("there is no password for the %s: with both sides from the standard "+
			"input, the source's is on the first line and the target's on the second", side)}
	}
	return remote.NewSecret(line), nil
}
