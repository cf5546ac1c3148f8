package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/logins"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/source"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/transcript"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/vault"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// app is everything, wired.
type app struct {
	cfg        config
	log        *slog.Logger
	metrics    *prometheus.Registry
	vault      *vault.Vault
	store      *store.Store
	dialer     *outbound.Dialer
	source     *source.Client
	targets    *wire.Connector // To the mailboxes at servers that copies go into.
	mailboxes  mailboxes
	catalog    *provider.Catalog
	logins     *logins.Limiter
	oauth      *oauth.Service
	house      *installation
	registry   *account.Registry
	engine     *fetch.Engine
	runner     *schedule.Runner
	copies     transfer.Service
	copyRunner *schedule.Runner
	copying    *leases                          // Those under which this process copies.
	progress   func(account.ID, route.Progress) // Set by commands that show it.

	transcripts   *transcript.Dir // Those that administrators switch on.
	transcriptDir string          // Where a pull writes one of each account; "": it does not.
}

// loader reads the configuration when a command wants it.
type loader func() (config, error)

// use is what a command may do with an installation.
type use int

const (
	reads    use = iota // Neither make one, nor change the schema of its database.
	upgrades            // Bring an embedded database up to this version's schema.
	founds              // Make one where there is none, too.
)

// withApp wires everything for one command, on an installation that is there as
// it is.
func withApp(ctx context.Context, t terminal, load loader, do func(*app) error) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	if err := cfg.mustStand(); err != nil {
		return err
	}
	return wired(ctx, t, cfg, do)
}

// founding is withApp for the few commands that make an installation where there
// is none.
func founding(ctx context.Context, t terminal, load loader, do func(*app) error) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	if err := cfg.makeDataDir(); err != nil {
		return err
	}
	cfg.May = founds
	return wired(ctx, t, cfg, do)
}

// upgrading is withApp for commands that bring an embedded database up by
// themselves.
func upgrading(ctx context.Context, t terminal, load loader, do func(*app) error) error {
	return withApp(ctx, t, func() (config, error) {
		cfg, err := load()
		cfg.May = upgrades
		return cfg, err
	}, do)
}

func wired(ctx context.Context, t terminal, cfg config, do func(*app) error) error {
	a, err := newApp(ctx, cfg, newLogger(cfg, t.err))
	if err != nil {
		return err
	}
	defer a.close()
	warnOfOwner(ctx, cfg, a.log)
	return do(a)
}

// quietly is withApp for commands that tell by themselves what they do.
func quietly(ctx context.Context, t terminal, load loader, do func(*app) error) error {
	return withApp(ctx, t, hushed(load), do)
}

// hushed has the log say only what went wrong, unless more of it was asked for.
func hushed(load loader) loader {
	return func() (config, error) {
		cfg, err := load()
		if cfg.Log.Level == slog.LevelInfo {
			cfg.Log.Level = slog.LevelWarn
		}
		return cfg, err
	}
}

// newApp wires the parts, from the outside in: keys and database, then the two
// ends, then the engine between them, then who drives it.
func newApp(ctx context.Context, cfg config, log *slog.Logger) (_ *app, err error) {
	a := &app{
		cfg: cfg, log: log, metrics: prometheus.NewRegistry(), progress: func(account.ID, route.Progress) {},
		copying: newLeases(),
	}
	defer func() {
		if errors.Is(err, store.ErrDamaged) {
			err = refuseDamaged(cfg, err)
		}
		if err != nil {
			a.close()
		}
	}()
	roots := loadRoots(cfg.Remote.CAFile)
	if a.catalog, err = provider.New(); err != nil {
		return nil, err
	}
	if a.house, err = openInstallation(ctx, cfg, a.allowed, log); err != nil {
		return nil, err
	}
	a.store = a.house.store
	if err := a.bringUp(ctx); err != nil {
		return nil, err
	}
	if a.vault, err = openVault(ctx, cfg, a.store); err != nil {
		return nil, err
	}
	if err := a.house.settle(ctx, a.vault); err != nil {
		return nil, err
	}
	pool, err := roots()
	if err != nil {
		return nil, usageError{fmt.Errorf("remote.ca_file: %w", err)}
	}
	a.reach(pool)
	budget := newBudget(cfg.Memory, log)
	if a.oauth, err = a.newOAuth(); err != nil {
		return nil, err
	}
	if err := a.openMailboxes(); err != nil {
		return nil, err
	}
	boxes := newDeliveries(a)
	a.engine = fetch.New(fetch.Options{
		Source: sources{a}, Mailbox: boxes, Journal: a.store.Journal(), Quirks: a.visitQuirks,
		Credentials: a.credentials(), TokenKey: a.vault.TokenKey(),
		LocalName: fetch.InFolder(maildir.LocalName), MaxMessageBytes: route.MostMessageBytes, Budget: budget, Log: log,
		Now:        a.store.Now,
		OnProgress: func(l fetch.Lease, p route.Progress) { a.progress(l.Route.ID, p) },
	})
	a.runner = schedule.New(schedule.Options{
		Queue: heldQueue{a.store.Queue(), a.house}, Visitor: visitor{a}, Policy: schedule.Policy{
			Interval: cfg.Poll.Interval,
			Allowed:  a.allowed,
		}, AtHost: a.allowedAt,
		Worker: workerID(), Workers: boundWorkers(ctx, cfg.Poll.Workers, log), Chores: a.chores(), Log: log,
		Registerer: a.metrics,
	})
	a.registry = account.NewRegistry(account.Options{
		Repository: a.store.Accounts(), Sealer: a.vault, Presets: presets{a.catalog, a.dialer},
		Prober: diagnose.NewDoctor(a.source, a.catalog), Tests: tests{a.store.Audit()},
		Remotes: remotes{a.dialer}, Folders: a.mailboxes, Nudger: a.runner, Grants: a.oauth,
		AccountFolder: maildir.AccountFolder,
		Limit:         cfg.Accounts.MaxPerUser, PollInterval: cfg.Poll.Interval, MinInterval: cfg.Poll.MinInterval,
		AllowPlaintext: cfg.Remote.AllowPlaintext, Log: log, Now: a.store.Now,
	})
	a.openCopies(boxes, budget)
	a.registerMetrics(budget)
	return a, nil
}

// reach makes what connects to other servers. pool has the certificates that their names are proved by.
func (a *app) reach(pool *x509.CertPool) {
	cfg, log := a.cfg, a.log
	a.dialer = outbound.New(outbound.Options{
		AllowNetworks: cfg.Remote.AllowNetworks, AllowPorts: cfg.Remote.AllowPorts.List,
		AllowAnyPort:   cfg.Remote.AllowPorts.Any,
		AllowPlaintext: cfg.Remote.AllowPlaintext, OwnHosts: cfg.ownHosts(), RootCAs: pool, Now: a.store.Now,
	})
	a.transcripts = transcript.NewDir(filepath.Join(cfg.DataDir, "transcripts"), a.store.Now)
	a.logins = logins.New(logins.Options{Ledger: a.store.Logins(), Log: log})
	a.source = source.New(source.Options{
		Dialer: a.dialer, Gate: a.logins, MaxMessageBytes: route.MostMessageBytes, TempDir: cfg.DataDir, Log: log,
		Version: version, IDFirst: func(x remote.Mailbox) bool { return a.quirks(x).SendID },
		CloseOnly: func(x remote.Mailbox) bool { return a.quirks(x).CloseInsteadOfQuit },
	})
	a.targets = destinationLink(a.dialer, log)
}

// registerMetrics has the metrics shown that are not registered where they are counted.
func (a *app) registerMetrics(budget *memory.Budget) {
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.metrics.MustRegister(memoryMetrics(budget)...)
	a.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailbrook_refused_commands_total",
		Help: "Commands that the read-only guard refused to send to a remote server. Anything but 0 is a defect.",
	}, func() float64 { return float64(a.source.Refused()) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailbrook_unreadable_answers_total",
		Help: "Answers of remote servers that could not be read and were left out, each with what it is about.",
	}, func() float64 { return float64(a.source.Unreadable()) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailbrook_miscounted_listings_total",
		Help: "Listings of folders that by their server's count hold other messages than it lists.",
	}, func() float64 { return float64(a.engine.Miscounted()) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailbrook_dropped_keywords_total",
		Help: "Keywords of messages that were not kept, as their local folder takes no such keyword.",
	}, func() float64 { return float64(a.mailboxes.DroppedKeywords()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mailbrook_clock_skew_seconds",
		Help: "How far this machine's clock is ahead of the time that the processes share: the database's.",
	}, func() float64 { return a.store.ClockSkew().Seconds() }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailbrook_logins_held_total",
		Help: "Logins that were not made because too many had failed for that user or at that mailbox.",
	}, func() float64 { return float64(a.logins.Held()) }))
}

func (a *app) close() {
	if a.store != nil {
		if err := a.store.Close(); err != nil {
			a.log.Error("closing the database", "error", err)
		}
	}
}

// openStore opens the configured database. existing says that the database cannot be a new one, allowed what
// providers ask.
func openStore(ctx context.Context, cfg config, b partIDs, existing bool, allowed schedule.Allowances,
	log *slog.Logger,
) (*store.Store, error) {
	return store.Open(ctx, cfg.Database, store.Options{
		Log: log, Existing: existing, Instances: b.identities(),
		Allowed: allowed,
	})
}

// bringUp sees to it that the schema is this version's: on the embedded
// database by itself, where the command may; on PostgreSQL only the operator does
// it.
func (a *app) bringUp(ctx context.Context) error {
	if a.cfg.embedded() {
		bring := a.store.Migrate
		if a.cfg.May == reads {
			bring = func(ctx context.Context) error { return checkSchema(a.store.CheckSchema(ctx)) }
		}
		if err := bring(ctx); err != nil {
			return err
		}
		// Its processes are all on this machine: those that were killed need
		// not be waited for.
		ended, err := a.store.Queue().Reap(ctx, gone)
		if ended > 0 {
			a.log.InfoContext(ctx, "took over the visits of a process that is gone", "accounts", ended)
		}
		return err
	}
	return checkSchema(a.store.CheckSchema(ctx))
}

// warnOfShadows logs which users of an earlier version cannot sign in any more.
// What it cannot find out stops nothing.
func (a *app) warnOfShadows(ctx context.Context) error {
	shadows, err := a.store.Shadows(ctx)
	if err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "looking for users who cannot sign in", "error", err)
	}
	for _, x := range shadows {
		a.log.WarnContext(ctx, "a user of an earlier version cannot sign in", "user", x.User, "accounts", x.Accounts,
			"like", x.Like, "reason", x.String())
	}
	return nil
}

// openVault loads the keys in data_dir; a command that founds makes them on the first start. With
// accounts in the database and no keys it refuses: new keys would lock every
// user out, and what is missing is a disk that is not mounted or a backup.
func openVault(ctx context.Context, cfg config, s *store.Store) (*vault.Vault, error) {
	v, err := vault.Load(cfg.DataDir)
	if !errors.Is(err, vault.ErrNoKey) {
		return v, err
	}
	switch lost, lerr := lostKeys(ctx, cfg, s); {
	case lerr != nil:
		return nil, lerr
	case lost != "":
		return nil, fmt.Errorf("data_dir: %s: %s (%w)", lost, findKeys, err)
	case cfg.May != founds:
		return nil, cfg.nothingThere()
	}
	return vault.Open(cfg.DataDir)
}

// findKeys is what to do about keys that are lost.
const findKeys = `mount or restore it; if they are lost for good, "mailbrook installation adopt keys" makes new ones`

// lostKeys says what shows that keys belong to the database, none being in data_dir;
// "": nothing does.
func lostKeys(ctx context.Context, cfg config, s *store.Store) (string, error) {
	sealed, err := s.Secrets().SealedSecrets(ctx, remote.SecretRef{}, 1)
	if err != nil {
		return "", err
	}
	proof, err := s.Noted(ctx, store.NoteKeys)
	switch {
	case err != nil:
		return "", err
	case len(sealed) > 0:
		return "the database has accounts, but their keys are not in " + cfg.DataDir, nil
	case proof != "":
		return "the database was begun with keys that are not in " + cfg.DataDir, nil
	}
	return "", nil
}

func newLogger(cfg config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.Log.Level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// chores are the parts' upkeep.
func (a *app) chores() []schedule.Chore {
	return append(a.destinationChores(), []schedule.Chore{
		{Name: "prune_journals", Every: time.Hour, Run: func(ctx context.Context) error {
			return a.store.Prune(ctx, a.store.Now().AddDate(0, 0, -30))
		}},
		{Name: "prune_audit", Every: time.Hour, Run: a.pruneAudit},
		{Name: "prune_links", Every: time.Hour, Run: a.store.Links().Prune},
		{Name: "prune_sessions", Every: time.Hour, Run: a.store.Sessions().Prune},
		{Name: "prune_endings", Every: 15 * time.Minute, Run: a.store.PruneEndings},
		{Name: "prune_logins", Every: time.Hour, Run: a.store.Logins().Prune},
		{Name: "prune_repeatable", Every: time.Hour, Run: a.store.Repeatable().Prune},
		{Name: "finish_removals", Every: removalsEvery, Run: users{a}.finishRemovals},
		{Name: "prune_transcripts", Every: time.Hour, Run: a.pruneTranscripts},
		{Name: "prune_pending", Every: time.Hour, Run: a.store.Pending().Prune},
		{Name: "spread_limits", Every: time.Minute, Run: a.store.SpreadLimits},
		{Name: "flush_counts", Every: time.Minute, Run: a.store.FlushCounts},
		{Name: "correct_times", Every: store.CorrectEvery, Run: a.store.Queue().CorrectTimes},
		{Name: "erase_copies_secrets", Every: 10 * time.Minute, Run: a.store.Copies().EraseSecrets},
		{Name: "reseal", Every: 24 * time.Hour, Run: a.reseal},
	}...)
}

// pruneAudit forgets the acts that are older than audit.keep.
func (a *app) pruneAudit(ctx context.Context) error {
	if a.cfg.Audit.Keep == forever {
		return nil
	}
	return a.store.Audit().Prune(ctx, a.store.Now().Add(-a.cfg.Audit.Keep))
}

// reseal brings secrets that an older key sealed under the newest one.
func (a *app) reseal(ctx context.Context) error {
	done, err := a.vault.Reseal(ctx, a.store.Secrets())
	if done.Unreadable > 0 {
		a.log.ErrorContext(ctx, "secrets that no key opens", "accounts", done.Unreadable)
	}
	return err
}

// signingKeys are how bearer tokens are verified and made: with the key of
// data_dir, or the operator's own secret in its place; tokens of the JWKS
// address are accepted besides.
func signingKeys(cfg config, v *vault.Vault) httpapi.Keys {
	secret := []byte(cfg.Auth.Secret.Reveal())
	if len(secret) == 0 {
		secret = v.SigningKey()
	}
	return httpapi.Keys{
		Secret: secret, JWKS: cfg.Auth.JWKSURL, Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience,
		UserIDClaim: cfg.Auth.UserIDClaim,
	}
}

// loadRoots begins to read the root certificates, which takes as long as all
// else that a visit needs at its start; what it returns waits for them.
func loadRoots(file string) func() (*x509.CertPool, error) {
	load := sync.OnceValues(func() (*x509.CertPool, error) { return outbound.LoadRoots(file) })
	go load() //nolint:errcheck // Told to who waits.
	return load
}

// credentials has an account's secret ready for one login: unsealed, or an
// access token.
type credentials struct {
	vault *vault.Vault
	rows  store.Accounts
	oauth *oauth.Service
}

func (c credentials) Credential(ctx context.Context, m remote.Mailbox) (remote.Credential, error) {
	if m.Auth == remote.OAuth2 {
		return c.oauth.Credential(ctx, m)
	}
	return c.vault.Credential(ctx, c.rows, m)
}

func (a *app) credentials() credentials { return credentials{a.vault, a.store.Accounts(), a.oauth} }

// remotes checks which servers an account may name.
type remotes struct{ dialer *outbound.Dialer }

func (r remotes) CheckServer(s remote.Server) error {
	return r.dialer.CheckServer(s.Host, s.Port, string(s.Security))
}

func (r remotes) OwnHost(ctx context.Context, host string) bool { return r.dialer.OwnHost(ctx, host) }

// visitor performs visits and keeps what administrators look at up to date.
type visitor struct{ app *app }

func (v visitor) Visit(ctx context.Context, l fetch.Lease) fetch.Report {
	a := v.app
	vctx, done := a.house.guard(ctx)
	defer done()
	rep := a.engine.Visit(vctx, l)
	var f *fault.Error
	if errors.As(rep.Err, &f) {
		rep.Err = diagnose.Refine(a.catalog, l.Route.From.Provider, l.Route.From.Server.Host, f)
	}
	if rep.Messages > 0 {
		if err := a.quotas().Measure(ctx, l.Route.Owner); err != nil {
			a.log.WarnContext(ctx, "measuring a mailbox", "account", l.Route.ID, "error", err)
		}
	}
	return rep
}
