package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// enum gives words small numbers for their columns: the first is 1. The order
// is for ever; words are added at the end.
type enum[T comparable] []T

func (e enum[T]) code(v T) int16 { return int16(slices.Index(e, v) + 1) }

func (e enum[T]) word(c int16) (v T) {
	if c < 1 || int(c) > len(e) {
		return v
	}
	return e[c-1]
}

var (
	protocols  = enum[remote.Protocol]{remote.IMAP, remote.POP3}
	securities = enum[remote.Security]{remote.TLS, remote.STARTTLS, remote.None}
	auths      = enum[remote.Auth]{remote.Password, remote.OAuth2}
	kinds      = enum[route.Kind]{route.Keep, route.Once}
	states     = enum[account.State](account.States())
)

// accountRow is a row of the table accounts.
type accountRow struct {
	ID              string
	Owner           string
	Email           string
	Name            string
	NameKey         string
	SenderName      string
	Provider        string
	Protocol        int16
	Host            string
	Port            int
	Security        int16
	Username        string
	Auth            int16
	Folder          string
	FolderKey       string
	Rules           string
	StartDays       int
	MaxMessageBytes int64
	PollIntervalMS  int64
	CreatedMS       int64
	UpdatedMS       int64
	SettingsEpoch   int64
}

// TableName is GORM's hook.
func (accountRow) TableName() string { return "accounts" }

func newAccountRow(a account.Account) (accountRow, error) {
	rules, err := json.Marshal(a.Folders)
	if err != nil {
		return accountRow{}, fmt.Errorf("writing folder rules: %w", err)
	}
	return accountRow{
		ID: string(a.ID), Owner: a.Owner.String(), Email: a.Email,
		Name: a.Name, NameKey: strings.ToLower(a.Name), SenderName: a.SenderName, Provider: a.Provider,
		Protocol: protocols.code(a.Protocol), Host: strings.ToLower(a.Server.Host), Port: a.Server.Port,
		Security: securities.code(a.Server.Security), Username: a.Username, Auth: auths.code(a.Auth),
		Folder: a.Folder, FolderKey: strings.ToLower(a.Folder), Rules: string(rules), StartDays: int(a.Start),
		MaxMessageBytes: cmp.Or(a.MaxMessageBytes, route.DefaultMessageBytes),
		PollIntervalMS:  a.PollInterval.Milliseconds(), CreatedMS: toMillis(a.CreatedAt), UpdatedMS: toMillis(a.UpdatedAt),
		SettingsEpoch: a.SettingsEpoch,
	}, nil
}

// settings returns what an edit may change, by column: a map, because GORM
// leaves out a struct's zero values.
func (r accountRow) settings() map[string]any {
	return map[string]any{
		"email": r.Email, "name": r.Name, "name_key": r.NameKey, "sender_name": r.SenderName, "provider": r.Provider,
		"protocol": r.Protocol, "host": r.Host, "port": r.Port, "security": r.Security, "username": r.Username,
		"auth":   r.Auth,
		"folder": r.Folder, "folder_key": r.FolderKey, "rules": r.Rules, "start_days": r.StartDays,
		"max_message_bytes": r.MaxMessageBytes, "poll_interval_ms": r.PollIntervalMS,
		"updated_ms": r.UpdatedMS, "settings_epoch": r.SettingsEpoch,
	}
}

// accountsExported is what a user is given of the table: see exported.
var accountsExported = &exportSection{
	name: "accounts", table: "accounts", where: "owner = ?", key: []exportColumn{{column: "id"}},
	columns: []exportColumn{
		{"id", "id", exText, nil},
		{"email", "email", exText, nil},
		{"name", "name", exText, nil},
		{"sender_name", "sender_name", exText, nil},
		{"provider", "provider", exText, nil},
		{"protocol", "protocol", exWord, wordOf(protocols)},
		{"host", "host", exText, nil},
		{"port", "port", exNumber, nil},
		{"security", "security", exWord, wordOf(securities)},
		{"username", "username", exText, nil},
		{"auth", "auth", exWord, wordOf(auths)},
		{"folder", "folder", exText, nil},
		{"rules", "folders", exRules, nil},
		{"start_days", "start_days", exNumber, nil},
		{"max_message_bytes", "max_message_bytes", exNumber, nil},
		{"poll_interval_ms", "poll_interval_seconds", exSeconds, nil},
		{"created_ms", "created_at", exTime, nil},
		{"updated_ms", "updated_at", exTime, nil},
		{"settings_epoch", "edits", exNumber, nil},
		{"held_bytes", "held_bytes", exNumber, nil},
		{"held_messages", "held_messages", exNumber, nil},
	},
	leftOut: map[string]string{"owner": itIsTheUser, "name_key": saidAlready, "folder_key": saidAlready},
}

// accountView is an account with what the schedule and the journal know of it.
type accountView struct {
	Row            accountRow `gorm:"embedded"` // Named, as GORM sees exported fields only.
	Journal        string
	Capabilities   string
	Enabled        int16
	PausedMS       int64
	PausedBy       int16
	DueAtMS        int64
	HurriedMS      int64
	LeaseOwner     string
	LeaseEpoch     int64
	LeaseUntilMS   int64
	Failures       int
	State          int16
	Code           string
	Detail         string
	SinceMS        int64
	LastAttemptMS  int64
	LastSuccessMS  int64
	Proven         int16
	Slow           int16
	ProgressFolder string
	ProgressDone   int64
	ProgressTotal  int64
	ProgressBytes  int64
	TotalFolders   int64
	TotalMessages  int64
	TotalBytes     int64
	LoginProof     string
	OutOfOrder     int16 // Whether its circuit is, where that was asked for.
}

// claimsNothing says that an account took up the journal of one that was removed, and has not been fetched itself:
// what that one had fetched is not said of it. The journal of no other account has been retired once.
const claimsNothing = "j.lease_epoch > 0 AND p.last_success_ms = 0"

// accountColumns and accountTables select accountViews; conditions follow them.
const accountColumns = `
SELECT a.*, j.uuid AS journal, j.capabilities,
	CASE WHEN ` + claimsNothing + ` THEN 0 ELSE j.messages END AS total_messages,
	CASE WHEN ` + claimsNothing + ` THEN 0 ELSE j.bytes END AS total_bytes,
	CASE WHEN ` + claimsNothing + ` THEN 0 ELSE (SELECT count(*) FROM folders f
		WHERE f.journal_id = p.journal_id AND f.selected = 1) END AS total_folders,
	p.enabled, p.paused_ms, p.paused_by, p.due_at_ms, p.hurried_ms, p.lease_owner, p.lease_epoch, p.lease_until_ms,
	p.failures, p.state,
	p.code, p.detail, p.since_ms, p.last_attempt_ms, p.last_success_ms, p.proven, p.slow,
	p.progress_folder, p.progress_done, p.progress_total, p.progress_bytes, p.login_proof`

// outOfOrderColumn says whether somebody leaves the account's circuit in peace;
// its argument is outageFrom.
const outOfOrderColumn = `, CASE WHEN EXISTS (SELECT 1 FROM host_outages o
	WHERE o.circuit = p.circuit AND o.probe_ms > CAST(? AS BIGINT)) THEN 1 ELSE 0 END AS out_of_order`

const accountTables = `
FROM accounts a
JOIN poll_schedule p ON p.route_id = a.id
JOIN journals j ON j.id = p.journal_id `

// stateOf is an account's state as a number of states, in SQL with arguments.
// It says the same as accountView.state and then schedule.Show: out are the
// circuits that are out of order.
func stateOf(now int64, out []string) (string, []any) {
	held, args := "", []any{now}
	if len(out) > 0 {
		held = " WHEN p.due_at_ms <> CAST(? AS BIGINT) AND (p.last_attempt_ms = 0 OR p.state < 4) AND p.circuit IN " +
			marks(len(out)) + " THEN 4"
		args = append(args, int64(never))
		for _, c := range out {
			args = append(args, c)
		}
	}
	return `(CASE WHEN p.enabled = 0 THEN 7
	WHEN p.lease_owner <> '' AND p.lease_until_ms > CAST(? AS BIGINT) THEN 2` + held + `
	WHEN p.last_attempt_ms = 0 THEN 1
	ELSE p.state END)`, args
}

func (v accountView) state(now int64) account.State {
	switch {
	case v.Enabled == 0:
		return account.Paused
	case v.LeaseOwner != "" && v.LeaseUntilMS > now:
		return account.Fetching
	case v.LastAttemptMS == 0:
		return account.Pending
	}
	return states.word(v.State)
}

// Who switched an account off.
const (
	byUser     = 1
	byOperator = 2
)

func pausedBy(a account.Account) int16 {
	switch {
	case a.Enabled:
		return 0
	case a.Pause.Operator:
		return byOperator
	}
	return byUser
}

// account returns what the row says at a moment.
func (v accountView) account(now int64) (account.Account, error) {
	owner, err := owner.Stored(v.Row.Owner)
	if err != nil {
		return account.Account{}, fmt.Errorf("reading an account: %w", err)
	}
	a := account.Account{
		ID: account.ID(v.Row.ID), Owner: owner, Email: v.Row.Email, Name: v.Row.Name, SenderName: v.Row.SenderName,
		Provider: v.Row.Provider, Protocol: protocols.word(v.Row.Protocol),
		Server:   remote.Server{Host: v.Row.Host, Port: v.Row.Port, Security: securities.word(v.Row.Security)},
		Username: v.Row.Username, Auth: auths.word(v.Row.Auth), Folder: v.Row.Folder,
		Start: route.Start(v.Row.StartDays), MaxMessageBytes: v.Row.MaxMessageBytes,
		PollInterval: time.Duration(v.Row.PollIntervalMS) * time.Millisecond, Enabled: v.Enabled != 0,
		Pause:     account.Pause{At: fromMillis(v.PausedMS), Operator: v.PausedBy == byOperator},
		CreatedAt: fromMillis(v.Row.CreatedMS), UpdatedAt: fromMillis(v.Row.UpdatedMS),
		Journal: v.Journal, Capabilities: v.Capabilities, SettingsEpoch: v.Row.SettingsEpoch, LoginProof: v.LoginProof,
	}
	if err := json.Unmarshal([]byte(v.Row.Rules), &a.Folders); err != nil {
		return account.Account{}, fmt.Errorf("reading the folder rules of account %s: %w", v.Row.ID, err)
	}
	a.Status = v.status(now)
	return a, nil
}

// status is how the account is at a moment, by itself: what delays it is not looked for.
func (v accountView) status(now int64) account.Status {
	st := account.Status{
		State: v.state(now), LastAttemptAt: fromMillis(v.LastAttemptMS), LastSuccessAt: fromMillis(v.LastSuccessMS),
		Failures: v.Failures, Diagnosis: diagnosis(v.Code, v.Detail, v.SinceMS),
		Totals: account.Totals{Folders: v.TotalFolders, Messages: v.TotalMessages, Bytes: v.TotalBytes},
		Proven: v.Proven != 0, Slow: int(v.Slow),
	}
	if st.State == account.Fetching {
		st.Progress = route.Progress{
			Folder: v.ProgressFolder, MessagesDone: v.ProgressDone,
			MessagesTotal: v.ProgressTotal, BytesDone: v.ProgressBytes,
		}
	}
	if v.LeaseOwner == "" || v.LeaseUntilMS <= now { // Between two parts of a long fetch there is a next one, too.
		st.NextPollAt = v.nextPoll()
	}
	return st
}

// nextPoll is when the account is due; zero when it never is by itself.
func (v accountView) nextPoll() time.Time {
	switch v.DueAtMS {
	case never:
		return time.Time{}
	case 0:
		return fromMillis(v.HurriedMS)
	}
	return fromMillis(v.DueAtMS)
}

func diagnosis(code, detail string, since int64) *account.Diagnosis {
	if code == "" {
		return nil
	}
	return &account.Diagnosis{Code: fault.Code(code), Detail: words.Kept(detail), Since: fromMillis(since)}
}

// diagnosisColumns is diagnosis's inverse.
func diagnosisColumns(d *account.Diagnosis) (code, detail string, since int64) {
	if d == nil {
		return "", "", 0
	}
	return string(d.Code), storable(d.Detail.Keep()), toMillis(d.Since)
}

// accounts loads accounts as they are by themselves: see told.
func (s *Store) accounts(db *gorm.DB, conditions string, args ...any) ([]account.Account, error) {
	var vs []accountView
	if err := db.Raw(accountColumns+accountTables+conditions, args...).Scan(&vs).Error; err != nil {
		return nil, err
	}
	return accountsOf(vs, s.now())
}

func accountsOf(vs []accountView, now time.Time) (as []account.Account, err error) {
	as = make([]account.Account, len(vs))
	for i, v := range vs {
		if as[i], err = v.account(now.UnixMilli()); err != nil {
			return nil, err
		}
	}
	return as, nil
}

// isID reports whether id is a UUID as we write it: nothing else can be in the
// database, and PostgreSQL would choke on it.
func isID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}
