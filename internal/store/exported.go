package store

import (
	"github.com/mailbrook/mailbrook/internal/logins"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// exportSection is a table of an export: which rows of it are a user's, what is
// shown of them, and why the rest is not. TestEveryColumnIsExportedOrNamed holds it
// against the schema.
type exportSection struct {
	name, table string
	under       string // One of parents: where is about one of those; "": about the user.
	where       string
	or          string                    // Further rows, none of which where chooses: read by a key of their own.
	args        func(o owner.Owner) []any // Of where and or; nil: the user's address, for each.
	key         []exportColumn            // By which pages are read; with the condition, no two rows have the same.
	columns     []exportColumn
	leftOut     map[string]string // By column: why.
}

// parents are what other rows hang on.
var parents = map[string]struct {
	id, from, where string
	kind            exportKind
}{
	"account": {"id", "accounts", "owner = ?", exText},
	"journal": {"id", "journals", "owner = ?", exNumber},
	"folder":  {"f.id", "folders f JOIN journals j ON j.id = f.journal_id", "j.owner = ?", exNumber},
}

// Why something is left out.
const (
	itIsTheUser  = "it is the user itself"
	aSecret      = "a secret, or the name of one: whoever has it could use it"
	aDigest      = "a digest by which the same login is known again; it says nothing to anybody"
	notOfTheUser = "which process is at work: nothing of the user"
	saidAlready  = "it is computed from what is here"
	ofNobody     = "it is about no user: "
)

// notExported are the tables of which nothing is in an export.
var notExported = map[string]string{
	"secrets":                "passwords and what was allowed on providers' pages, sealed: they are secrets",
	"meta":                   ofNobody + "of the installation",
	"poll_counts":            ofNobody + "counts over all users",
	"host_outages":           ofNobody + "of servers that are out of order",
	"audit_horizon":          ofNobody + "up to when acts were forgotten",
	"endings":                "it says for an hour that something of the user ended, and not what",
	"default_limits":         ofNobody + "of a domain, or of everybody",
	"default_limits_changed": ofNobody + "which of them changed lately",
}

func wordOf[T ~string](e enum[T]) func(int16) string {
	return func(n int16) string { return string(e.word(n)) }
}

var batchStates = enum[string]{"intended", "staged"}

var pausers = enum[string]{"user", "admin"}

// exported are the sections, in the order of the document.
var exported = []*exportSection{
	{
		name: "limits", table: "owners", where: "owner = ?", key: []exportColumn{{column: "owner"}},
		columns: []exportColumn{
			{"limit_bytes", "limit_bytes", exLimit, nil},
			{"limit_messages", "limit_messages", exLimit, nil},
			{"set_bytes", "set_bytes", exLimit, nil},
			{"set_messages", "set_messages", exLimit, nil},
			{"own_bytes", "own_bytes", exLimit, nil},
			{"own_messages", "own_messages", exLimit, nil},
			{"used_bytes", "used_bytes", exNumber, nil},
			{"used_messages", "used_messages", exNumber, nil},
			{"used_ms", "measured_at", exTime, nil},
			{"mailbox_ms", "mailbox_seen_at", exTime, nil},
			{"set_by", "set_by", exWord, func(n int16) string { return string(setBy(n)) }},
		},
		leftOut: map[string]string{"owner": itIsTheUser, "fill": saidAlready},
	},
	{
		name: "user_ids", table: "user_ids", where: "owner = ?", key: []exportColumn{{column: "user_id"}},
		columns: []exportColumn{{"user_id", "user_id", exText, nil}, {"left_ms", "left_at", exTime, nil}},
		leftOut: map[string]string{"owner": itIsTheUser},
	},
	{
		name: "mailbox_login", table: "mailbox_logins", where: "owner = ?", key: []exportColumn{{column: "owner"}},
		columns: []exportColumn{{"username", "username", exText, nil}},
		leftOut: map[string]string{"owner": itIsTheUser, "sealed": aSecret},
	},
	accountsExported,
	{
		name: "copies", table: "copies", where: "owner = ?", key: []exportColumn{{column: "id"}},
		columns: []exportColumn{
			{"id", "id", exText, nil},
			{"source_email", "source_email", exText, nil},
			{"source_provider", "source_provider", exMaybe, nil},
			{"source_protocol", "source_protocol", exWord, wordOf(protocols)},
			{"source_host", "source_host", exText, nil},
			{"source_port", "source_port", exNumber, nil},
			{"source_security", "source_security", exWord, wordOf(securities)},
			{"source_username", "source_username", exText, nil},
			{"source_auth", "source_auth", exWord, wordOf(auths)},
			{"target_email", "target_email", exMaybe, nil},
			{"target_provider", "target_provider", exMaybe, nil},
			{"target_host", "target_host", exMaybe, nil},
			{"target_port", "target_port", exNumber, nil},
			{"target_security", "target_security", exWord, wordOf(securities)},
			{"target_username", "target_username", exMaybe, nil},
			{"target_auth", "target_auth", exWord, wordOf(auths)},
			{"options", "options", exJSON, nil},
			{"phase", "phase", exWord, wordOf(copyPhases)},
			{"outcome", "outcome", exWord, wordOf(copyStates)},
			{"pass", "pass", exNumber, nil},
			{"created_ms", "created_at", exTime, nil},
			{"started_ms", "started_at", exTime, nil},
			{"ended_ms", "ended_at", exTime, nil},
			{"erase_ms", "passwords_kept_until", exTime, nil},
			{"worked_ms", "worked_seconds", exSeconds, nil},
			{"edits", "edits", exNumber, nil},
			{"already_there", "already_there", exNumber, nil},
			{"ambiguous", "ambiguous", exNumber, nil},
			{"keywords", "keywords_refused", exNumber, nil},
			{"moved", "moved_or_deleted", exNumber, nil},
			{"missing", "missing", exNumber, nil},
			{"altered", "altered", exNumber, nil},
			{"digests", "verified_by_digest", exNumber, nil},
			{"verified_ms", "verified_at", exTime, nil},
			{"verified_how", "verified_by", exWord, wordOf(copyWays)},
			{"rewritten", "rewritten", exTruth, nil},
			{"grade", "grade", exWord, wordOf(copyGrades)},
			{"looked_pass", "compared_pass", exNumber, nil},
			{"looked_folder", "compared_folder", exNumber, nil},
		},
		leftOut: map[string]string{"owner": itIsTheUser, "code": aSecret, "target_key": saidAlready},
	},
	{
		name: "schedule", table: "poll_schedule", where: "owner = ?", key: []exportColumn{{column: "route_id"}},
		columns: []exportColumn{
			{"route_id", "account_id", exText, nil},
			{"kind", "kind", exWord, wordOf(kinds)},
			{"journal_id", "journal", exID, nil},
			{"enabled", "enabled", exTruth, nil},
			{"due_at_ms", "due_at", exTime, nil},
			{"hurried_ms", "asked_for_at", exTime, nil},
			{"lease_epoch", "visits_begun", exNumber, nil},
			{"lease_until_ms", "visit_held_until", exTime, nil},
			{"started_ms", "visit_started_at", exTime, nil},
			{"failures", "consecutive_failures", exNumber, nil},
			{"state", "state", exWord, func(n int16) string { return string(states.word(n)) }},
			{"code", "diagnosis", exMaybe, nil},
			{"detail", "detail", exDetail, nil},
			{"since_ms", "since", exTime, nil},
			{"last_attempt_ms", "last_attempt_at", exTime, nil},
			{"last_success_ms", "last_success_at", exTime, nil},
			{"run_id", "run_id", exMaybe, nil},
			{"run_started_ms", "run_started_at", exTime, nil},
			{"run_finished_ms", "run_finished_at", exTime, nil},
			{"run_ok", "run_ok", exTruth, nil},
			{"run_messages", "run_messages", exNumber, nil},
			{"run_bytes", "run_bytes", exNumber, nil},
			{"run_code", "run_diagnosis", exMaybe, nil},
			{"run_detail", "run_detail", exDetail, nil},
			{"run_since_ms", "run_since", exTime, nil},
			{"progress_folder", "progress_folder", exMaybe, nil},
			{"progress_done", "progress_messages_done", exNumber, nil},
			{"progress_total", "progress_messages_total", exNumber, nil},
			{"progress_bytes", "progress_bytes_done", exNumber, nil},
			{"paused_ms", "paused_at", exTime, nil},
			{"paused_by", "paused_by", exWord, wordOf(pausers)},
			{"pause_ms", "pause_seconds", exSeconds, nil},
			{"aborted", "visits_aborted", exNumber, nil},
			{"lost", "visit_lost", exTruth, nil},
			{"proven", "proven", exTruth, nil},
			{"slow", "slow", exNumber, nil},
		},
		leftOut: map[string]string{
			"owner": itIsTheUser, "host_key": saidAlready, "circuit": saidAlready, "lease_owner": notOfTheUser,
			"lease_ms": notOfTheUser, "login_proof": aDigest, "login_home": aDigest, "changed": notOfTheUser,
		},
	},
	{
		name: "visits", table: "runs", under: "account", where: "account_id = ?",
		key: []exportColumn{{column: "started_ms", kind: exNumber}, {column: "id"}},
		columns: []exportColumn{
			{"account_id", "account_id", exText, nil},
			{"id", "id", exText, nil},
			{"started_ms", "started_at", exTime, nil},
			{"finished_ms", "finished_at", exTime, nil},
			{"ok", "ok", exTruth, nil},
			{"messages", "messages", exNumber, nil},
			{"bytes", "bytes", exNumber, nil},
			{"code", "diagnosis", exMaybe, nil},
			{"detail", "detail", exDetail, nil},
			{"since_ms", "since", exTime, nil},
		},
	},
	{
		name: "journals", table: "journals", where: "owner = ?", key: []exportColumn{{column: "id", kind: exNumber}},
		columns: []exportColumn{
			{"id", "id", exID, nil},
			{"uuid", "name", exText, nil},
			{"protocol", "protocol", exWord, wordOf(protocols)},
			{"host", "host", exText, nil},
			{"port", "port", exNumber, nil},
			{"username", "username", exText, nil},
			{"lease_epoch", "visits_begun", exNumber, nil},
			{"generation", "generation", exNumber, nil},
			{"messages", "messages", exNumber, nil},
			{"bytes", "bytes", exNumber, nil},
			{"retired_ms", "account_removed_at", exTime, nil},
			{"capabilities", "capabilities", exText, nil},
			{"inbox_validity", "inbox_validity", exNumber, nil},
		},
		leftOut: map[string]string{"owner": itIsTheUser},
	},
	{
		name: "remote_folders", table: "folders", under: "journal", where: "journal_id = ?",
		key: []exportColumn{{column: "id", kind: exNumber}},
		columns: []exportColumn{
			{"id", "id", exID, nil},
			{"journal_id", "journal", exID, nil},
			{"wire", "name_as_sent", exOctets, nil},
			{"remote", "remote_name", exText, nil},
			{"local", "local_name", exText, nil},
			{"special_use", "special_use", exMaybe, nil},
			{"selected", "selected", exTruth, nil},
			{"epoch", "epoch", exNumber, nil},
			{"uidvalidity", "uidvalidity", exNumber, nil},
			{"next_uid", "next_uid", exNumber, nil},
			{"counted", "counted", exNumber, nil},
			{"listing", "listing", exDigest, nil},
			{"full_scan_ms", "compared_at", exTime, nil},
			{"remaining", "remaining", exNumber, nil},
			{"fetched", "fetched", exNumber, nil},
			{"bytes", "bytes", exNumber, nil},
			{"since_ms", "start_at", exTime, nil},
			{"first_uid", "first_uid", exNumber, nil},
			{"leads_back", "leads_back", exTruth, nil},
			{"shared", "shared", exTruth, nil},
			{"renumbered_ms", "renumbered_at", exTime, nil},
		},
	},
	{
		name: "messages", table: "messages", under: "folder", where: "folder_id = ?",
		key: messageKey,
		columns: []exportColumn{
			{"folder_id", "folder", exID, nil},
			{"epoch", "epoch", exNumber, nil},
			{"uid", "uid", exNumber, nil},
			{"uidl", "uidl", exOctets, nil},
			{"ordinal", "ordinal", exNumber, nil},
			{"size", "size", exNumber, nil},
			{"digest", "digest", exDigest, nil},
			{"body", "body_digest", exDigest, nil},
			{"header", "header_digest", exDigest, nil},
			{"received_ms", "received_at", exTime, nil},
			{"global", "global_name", exMaybe, nil},
		},
	},
	{
		// Where copied messages lie at the target.
		name: "copied", table: "copied", under: "folder", where: "folder_id = ?",
		key: messageKey,
		columns: []exportColumn{
			{"folder_id", "folder", exID, nil},
			{"epoch", "epoch", exNumber, nil},
			{"uid", "uid", exNumber, nil},
			{"uidl", "uidl", exOctets, nil},
			{"ordinal", "ordinal", exNumber, nil},
			{"target_validity", "target_uidvalidity", exNumber, nil},
			{"target_uid", "target_uid", exNumber, nil},
			{"state", "state", exWord, wordOf(messageStates)},
			{"checked", "compared_in_pass", exNumber, nil},
		},
	},
	{
		name: "passed_over", table: "passed", under: "folder", where: "folder_id = ?",
		key: []exportColumn{
			{column: "epoch", kind: exNumber}, {column: "uidl", kind: exOctets}, {column: "ordinal", kind: exNumber},
		},
		columns: []exportColumn{
			{"folder_id", "folder", exID, nil},
			{"epoch", "epoch", exNumber, nil},
			{"uidl", "uidl", exOctets, nil},
			{"ordinal", "ordinal", exNumber, nil},
		},
	},
	{
		name: "skipped", table: "skipped", under: "folder", where: "folder_id = ?",
		key: messageKey,
		columns: []exportColumn{
			{"sid", "id", exText, nil},
			{"folder_id", "folder", exID, nil},
			{"epoch", "epoch", exNumber, nil},
			{"uid", "uid", exNumber, nil},
			{"uidl", "uidl", exOctets, nil},
			{"ordinal", "ordinal", exNumber, nil},
			{"size", "size", exNumber, nil},
			{"code", "code", exText, nil},
			{"detail", "detail", exDetail, nil},
			{"attempts", "attempts", exNumber, nil},
			{"first_ms", "first_at", exTime, nil},
			{"last_ms", "last_at", exTime, nil},
			{"next_ms", "next_at", exTime, nil},
			{"held", "held", exTruth, nil},
			{"requested", "requested", exTruth, nil},
			{"sender", "sender", exMaybe, nil},
			{"subject", "subject", exMaybe, nil},
			{"sent_ms", "sent_at", exTime, nil},
		},
	},
	{
		name: "batches", table: "batches", under: "journal", where: "journal_id = ?",
		key: []exportColumn{{column: "lease_epoch", kind: exNumber}, {column: "seq", kind: exNumber}},
		columns: []exportColumn{
			{"journal_id", "journal", exID, nil},
			{"lease_epoch", "visit", exNumber, nil},
			{"seq", "number", exNumber, nil},
			{"state", "state", exWord, wordOf(batchStates)},
			{"members", "messages", exMembers, nil},
		},
	},
	{
		name: "sessions", table: "sessions", where: "owner = ?", key: []exportColumn{{column: "hash", kind: exDigest}},
		columns: []exportColumn{{"expires_ms", "expires_at", exTime, nil}},
		leftOut: map[string]string{"owner": itIsTheUser, "hash": aSecret},
	},
	{
		name: "known_browsers", table: "known_browsers", where: "owner = ?",
		key:     []exportColumn{{column: "hash", kind: exDigest}},
		columns: []exportColumn{{"expires_ms", "expires_at", exTime, nil}},
		leftOut: map[string]string{"owner": itIsTheUser, "hash": aSecret},
	},
	{
		name: "links", table: "links", where: "owner = ?", key: []exportColumn{{column: "hash", kind: exDigest}},
		columns: []exportColumn{
			{"admin", "admin", exTruth, nil},
			{"return_to", "return_to", exText, nil},
			{"expires_ms", "expires_at", exTime, nil},
			{"way", "signs_in_by", exMaybe, nil},
		},
		leftOut: map[string]string{"owner": itIsTheUser, "hash": aSecret, "session": aSecret},
	},
	{
		name: "grants", table: "oauth_pending", where: "owner = ?", key: []exportColumn{{column: "hash", kind: exDigest}},
		columns: []exportColumn{{"expires_ms", "expires_at", exTime, nil}},
		leftOut: map[string]string{"owner": itIsTheUser, "hash": aSecret, "sealed": aSecret},
	},
	{
		// At providers, and at our pages, where the user is known by a digest.
		name: "failed_logins", table: "failed_logins", where: "owner IN (?, ?) OR name = ?",
		key: []exportColumn{{column: "id"}}, args: func(o owner.Owner) []any {
			return []any{o.String(), logins.KnownAtPages(o), logins.PagesName(o)}
		},
		columns: []exportColumn{{"pending", "under_way", exTruth, nil}, {"until_ms", "counts_until", exTime, nil}},
		leftOut: map[string]string{"owner": itIsTheUser, "id": aDigest, "name": aDigest, "mailbox": aDigest},
	},
	{
		name: "repeatable_requests", table: "repeatable", where: "owner = ?",
		key: []exportColumn{{column: "hash", kind: exDigest}},
		columns: []exportColumn{
			{"done", "answered", exTruth, nil}, {"made_ms", "made_at", exTime, nil}, {"until_ms", "kept_until", exTime, nil},
		},
		leftOut: map[string]string{"owner": itIsTheUser, "hash": aSecret, "sealed": aSecret, "attempt": notOfTheUser},
	},
	{
		name: "removals", table: "removals", where: "owner = ?", key: []exportColumn{{column: "owner"}},
		columns: []exportColumn{
			{"delete_mail", "delete_mail", exTruth, nil},
			{"folders", "folders", exJSON, nil},
			{"accounts", "accounts", exJSON, nil},
			{"started_ms", "started_at", exTime, nil},
			{"finished_ms", "finished_at", exTime, nil},
		},
		leftOut: map[string]string{"owner": itIsTheUser, "worker": notOfTheUser, "until_ms": notOfTheUser},
	},
	{
		name: "ending_visits", table: "ending_visits", where: "owner = ?", key: []exportColumn{{column: "account_id"}},
		columns: []exportColumn{{"account_id", "account_id", exText, nil}, {"until_ms", "until", exTime, nil}},
		leftOut: map[string]string{"owner": itIsTheUser, "worker": notOfTheUser},
	},
	{
		// What the user did to others, as an administrator, is theirs.
		name: "audit", table: "audit", where: "owner = ?", or: "actor = ? AND owner = ''",
		key: []exportColumn{{column: "at_ms", kind: exNumber}, {column: "id", kind: exNumber}},
		columns: []exportColumn{
			{"id", "id", exID, nil},
			{"at_ms", "at", exTime, nil},
			{"role", "role", exText, nil},
			{"actor", "actor", exMaybe, nil},
			{"client", "client", exMaybe, nil},
			{"action", "action", exText, nil},
			{"owner", "user", exMaybe, nil},
			{"account_id", "account_id", exMaybe, nil},
			{"changed", "changed", exJSON, nil},
			{"details", "details", exJSON, nil},
		},
	},
}

// messageKey distinguishes the messages of a folder.
var messageKey = []exportColumn{
	{column: "epoch", kind: exNumber},
	{column: "uid", kind: exNumber},
	{column: "uidl", kind: exOctets},
	{column: "ordinal", kind: exNumber},
}
