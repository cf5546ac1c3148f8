package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/source"
	"github.com/mailbrook/mailbrook/internal/transcript"
)

// What source opens keeps what the engine counts on.
var _ fetch.Session = (*source.Session)(nil)

// sources gives the engine its source. What is said with the servers of some
// accounts is written down.
type sources struct{ app *app }

// Open opens a session, with a transcript where one is wanted. One that cannot be
// written stops no visit.
func (s sources) Open(ctx context.Context, m remote.Mailbox, c remote.Credential) (fetch.Session, error) {
	file, err := s.app.record(m.Secret.Subject)
	if err != nil {
		s.app.log.WarnContext(ctx, "opening a transcript", "account", m.Secret.Subject, "error", err)
	}
	if file == nil {
		session, err := s.app.source.Open(ctx, m, c)
		if err != nil {
			return nil, err
		}
		return session, nil
	}
	file.Line(fmt.Sprintf("-- %s %s:%d %s", m.Protocol, m.Server.Host, m.Server.Port, m.Server.Security))
	session, err := s.app.source.WithTranscript(file.Line).Open(ctx, m, c)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return recorded{session, file}, nil
}

// record returns the transcript of an account's visit; nil: none is wanted.
func (a *app) record(id string) (*transcript.File, error) {
	if a.transcriptDir != "" { // pull --transcript, which says so for every account.
		return transcript.Create(filepath.Join(a.transcriptDir, id+".log"), a.store.Now)
	}
	return a.transcripts.Record(id)
}

// recorded is a session whose transcript ends with it.
type recorded struct {
	*source.Session
	file *transcript.File
}

func (r recorded) Close() error { return errors.Join(r.Session.Close(), r.file.Close()) }

// testTranscribed is Registry.TestExisting with a transcript.
func (a *app) testTranscribed(
	ctx context.Context, acc account.Account, p account.Patch, path string,
) (account.TestReport, error) {
	if path == "" {
		return a.registry.TestExisting(ctx, acc.Owner, acc.ID, p)
	}
	file, err := transcript.Create(path, a.store.Now)
	if err != nil {
		return account.TestReport{}, err
	}
	registry := *a.registry
	registry.Prober = diagnose.NewDoctor(a.source.WithTranscript(file.Line), a.catalog)
	rep, err := registry.TestExisting(ctx, acc.Owner, acc.ID, p)
	return rep, errors.Join(err, file.Close())
}

// makeTranscriptDir makes the directory of pull --transcript.
func makeTranscriptDir(path string) error {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return usageError{fmt.Errorf("--transcript: %w", err)}
	}
	return nil
}

// pruneTranscripts removes those that are old, or whose accounts are gone.
func (a *app) pruneTranscripts(ctx context.Context) error {
	return a.transcripts.Prune(func(id string) (bool, error) {
		_, err := a.store.Accounts().Any(ctx, account.ID(id))
		if errors.Is(err, account.ErrNotFound) {
			return false, nil
		}
		return true, err
	})
}

// transcripts are what administrators see of them.
type transcripts struct{ dir *transcript.Dir }

func (t transcripts) Status(id account.ID) (httpapi.Transcript, error) {
	st, err := t.dir.Status(string(id))
	return httpapi.Transcript(st), err
}

func (t transcripts) SwitchOn(id account.ID) (httpapi.Transcript, error) {
	st, err := t.dir.SwitchOn(string(id))
	return httpapi.Transcript(st), err
}

func (t transcripts) SwitchOff(id account.ID) error { return t.dir.SwitchOff(string(id)) }

func (t transcripts) Read(id account.ID) (string, error) {
	text, err := t.dir.Read(string(id))
	if errors.Is(err, fs.ErrNotExist) {
		return "", account.ErrNotFound
	}
	return text, err
}
