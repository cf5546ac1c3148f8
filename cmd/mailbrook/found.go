package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/settings"
	"github.com/mailbrook/mailbrook/internal/store"
)

// found is where a configuration came from.
type found struct {
	File   string          // The file that was read; "": there was none.
	Values settings.Values // By key, but for the defaults.
}

// from says where a key's value came from.
func (f found) from(key string) string { return cmp.Or(f.Values[key].From, "the default") }

// standardFiles are read when no file is named: the first that there is.
func standardFiles() []string { return []string{"mailbrook.toml", "/etc/mailbrook/mailbrook.toml"} }

// fileVariable names the file instead of the flag --config.
const fileVariable = "MAILBROOK_CONFIG"

// findFile returns which configuration file is to be read: the one that the
// command line names, else the one that the environment names, else the first of
// the standard ones that there is, else "". One that was named must be there.
func findFile(named string, environ, standard []string) (string, error) {
	by := "--config"
	if named == "" {
		for _, e := range environ {
			if value, ok := strings.CutPrefix(e, fileVariable+"="); ok {
				named, by = value, fileVariable
			}
		}
	}
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("reading the configuration (%s): %w", by, err)
		}
		return named, nil
	}
	for _, name := range standard {
		_, err := os.Stat(name)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("looking for a configuration file: %w", err)
		}
	}
	return "", nil
}

// mustStand refuses to continue where there is no installation: a command that reads
// makes none.
func (c config) mustStand() error {
	stands, err := c.stands()
	if err != nil {
		return err
	}
	if !stands {
		return c.nothingThere()
	}
	return nil
}

// stands reports whether there is anything of an installation. Whether its parts
// belong together is for installation to say.
func (c config) stands() (bool, error) {
	if c.embedded() {
		if _, err := os.Stat(c.sqliteFile()); !errors.Is(err, fs.ErrNotExist) {
			return true, nil // What else is wrong with it is said when it is opened.
		}
	}
	n := &installation{cfg: c}
	var err error
	if n.place, _, err = c.openPlace(maildir.Options{Existing: true}); err != nil {
		return false, err
	}
	b, err := n.read()
	if err != nil {
		return false, err
	}
	return b.any() || !c.embedded() && b.anyKeys, nil
}

// sqliteFile is the file of an embedded database.
func (c config) sqliteFile() string {
	file, _ := store.SQLiteFile(c.Database)
	return file
}

var errNoInstallation = errors.New("there is no installation")

// nothingThere says where an installation was looked for, and how to make one or
// to look elsewhere.
func (c config) nothingThere() error {
	var at []string
	for _, dir := range []string{c.DataDir, c.sqliteFile()} {
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
		at = append(at, dir)
	}
	text := fmt.Sprintf("looked for keys in %s (data_dir, from %s)", at[0],
		c.Found.from("data_dir"))
	first := `"mailbrook init" makes one there`
	if c.embedded() {
		text += fmt.Sprintf(" and for the database %s (from %s)", at[1], c.Found.from("database"))
	} else {
		first = `"mailbrook migrate up" and "mailbrook init" make one there`
	}
	file := "configuration file: " + c.Found.File
	if c.Found.File == "" {
		file = "no configuration file: there is neither " + strings.Join(standardFiles(), " nor ")
	}
	return usageError{fmt.Errorf("%w: %s; %s. %s; --config FILE or %s names another file, --data-dir or "+
		"MAILBROOK_DATA_DIR another directory", errNoInstallation, text, file, first, fileVariable)}
}

// makeDataDir makes the data directory, for the commands that may.
func (c config) makeDataDir() error {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return nil
}

type initCmd struct{}

// Run makes an installation, or says that there is one. Nothing in one that is
// there is changed but for what every start changes.
func (initCmd) Run(ctx context.Context, t terminal, load loader) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	there, err := cfg.stands()
	if err != nil {
		return err
	}
	return founding(ctx, t, hushed(load), func(a *app) error {
		warnOfRoot(ctx, a.log)
		said := "Made a new installation."
		if there {
			said = "The installation was there already."
		}
		fmt.Fprintln(t.out, said)
		tab := newTable("part", "where").keeping("where")
		for _, row := range [][]string{
			{partDatabase, a.cfg.databaseName()},
			{partKeys, filepath.Join(a.cfg.DataDir, "keys")},
			{partMailboxes, a.cfg.mailboxesAt()},
		} {
			tab.add(row...)
		}
		return tab.write(t.page())
	})
}
