package vault_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/vault"
)

const canary = "c4nary-pa55 \"ż\" {5}"

// childDir makes this test program a process that opens the vault there and
// prints what it found.
const childDir = "MAILBROOK_TEST_VAULT_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

func child(dir string) int {
	if _, err := io.ReadAll(os.Stdin); err != nil { // The parent lets all children go at once.
		return 1
	}
	v, err := vault.Open(dir)
	if err == nil {
		err = v.Rotate()
	}
	var sealed []byte
	if err == nil {
		var anna owner.Owner
		if anna, err = owner.Parse("anna@firma.test"); err == nil {
			sealed, err = v.Seal(named(anna, "1"), remote.NewSecret(canary))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%x %x\n", sha256.Sum256(append(v.TokenKey(), v.SigningKey()...)), sealed)
	return 0
}

func open(t *testing.T, dir string) *vault.Vault {
	t.Helper()
	v, err := vault.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func anOwner(t *testing.T, address string) owner.Owner {
	t.Helper()
	o, err := owner.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sealer is what of a vault is looked at here.
type sealer interface {
	Seal(ref remote.SecretRef, s remote.Secret) ([]byte, error)
	Unseal(ref remote.SecretRef, sealed []byte) (remote.Secret, error)
}

// named names what signs in to a subject's mailbox.
func named(o owner.Owner, subject string) remote.SecretRef {
	return remote.SecretRef{Owner: o, Subject: subject, Field: remote.SignsIn}
}

func seal(t *testing.T, v sealer, o owner.Owner, id string) []byte {
	t.Helper()
	sealed, err := v.Seal(named(o, id), remote.NewSecret(canary))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(canary)) {
		t.Error("sealed in plain sight")
	}
	return sealed
}

func opens(v sealer, o owner.Owner, id string, sealed []byte) error {
	return opensAs(v, named(o, id), sealed)
}

func opensAs(v sealer, ref remote.SecretRef, sealed []byte) error {
	s, err := v.Unseal(ref, sealed)
	if err == nil && s.Reveal() != canary {
		return fmt.Errorf("opened to another secret")
	}
	if err != nil && !s.Empty() {
		return fmt.Errorf("a secret beside the error: %w", err)
	}
	return err
}

func TestASecretOpensOnlyForItsOwnerAndAccount(t *testing.T) {
	for _, bad := range openings(t, open(t, t.TempDir())) {
		t.Error(bad)
	}
}

// openings lists how else a secret opens than for its owner and account, or
// is refused in other words than those for one that cannot be read.
func openings(t *testing.T, v sealer) (bad []string) {
	t.Helper()
	anna, bea := anOwner(t, "anna@firma.test"), anOwner(t, "bea@firma.test")
	sealed := seal(t, v, anna, "11")
	if err := opens(v, anna, "11", sealed); err != nil {
		t.Fatal(err)
	}
	if again := seal(t, v, anna, "11"); bytes.Equal(again, sealed) {
		bad = append(bad, "the same secret seals to the same bytes")
	}
	damaged, later := slices.Clone(sealed), slices.Clone(sealed)
	damaged[len(damaged)-1] ^= 1
	later[0]++
	for name, err := range map[string]error{
		"another owner":              opens(v, bea, "11", sealed),
		"another field":              opensAs(v, remote.SecretRef{Owner: anna, Subject: "11", Field: "to"}, sealed),
		"another account":            opens(v, anna, "12", sealed),
		"no owner":                   opens(v, owner.Owner{}, "11", sealed),
		"owner and account run into": opens(v, anna, "1", sealed),
		"damaged":                    opens(v, anna, "11", damaged),
		"cut":                        opens(v, anna, "11", sealed[:len(sealed)-1]),
		"a later form":               opens(v, anna, "11", later),
		"one byte":                   opens(v, anna, "11", sealed[:1]),
		"nothing":                    opens(v, anna, "11", nil),
		"another vault":              opens(open(t, t.TempDir()), anna, "11", sealed),
	} {
		var f *fault.Error
		if !errors.Is(err, vault.ErrUnreadable) || !errors.As(err, &f) || f.Code != fault.Internal ||
			!strings.Contains(f.Detail.String(), "enter it again") {
			bad = append(bad, fmt.Sprintf("%s: %v", name, err))
		}
	}
	slices.Sort(bad)
	return bad
}

// The controls: sealed secrets that are bound to no account, or to no owner.
func TestASecretThatCanBeMovedIsNoticed(t *testing.T) {
	v, bea := open(t, t.TempDir()), anOwner(t, "bea@firma.test")
	for name, tc := range map[string]struct {
		v    unbound
		says []string
	}{
		"bound to no account": {
			unbound{Vault: v, to: remote.SecretRef{Subject: "1"}},
			[]string{"another account: <nil>", "owner and account run into: <nil>"},
		},
		"bound to no owner": {
			unbound{Vault: v, to: remote.SecretRef{Owner: bea}}, []string{"another owner: <nil>", "no owner: <nil>"},
		},
		"bound to no field": {
			unbound{Vault: v, to: remote.SecretRef{Field: remote.SignsIn}}, []string{"another field: <nil>"},
		},
	} {
		if bad := openings(t, tc.v); !slices.Equal(bad, tc.says) {
			t.Errorf("%s: %q, want %q", name, bad, tc.says)
		}
	}
}

// unbound seals for one owner, subject or field, whoever's the secret is.
type unbound struct {
	*vault.Vault
	to remote.SecretRef
}

func (u unbound) bind(ref remote.SecretRef) remote.SecretRef {
	if !u.to.Owner.IsZero() {
		ref.Owner = u.to.Owner
	}
	ref.Subject, ref.Field = cmp.Or(u.to.Subject, ref.Subject), cmp.Or(u.to.Field, ref.Field)
	return ref
}

func (u unbound) Seal(ref remote.SecretRef, s remote.Secret) ([]byte, error) {
	return u.Vault.Seal(u.bind(ref), s)
}

func (u unbound) Unseal(ref remote.SecretRef, sealed []byte) (remote.Secret, error) {
	return u.Vault.Unseal(u.bind(ref), sealed)
}

func TestKeysSurviveARestart(t *testing.T) {
	dir, anna := t.TempDir(), anOwner(t, "anna@firma.test")
	v := open(t, dir)
	sealed := seal(t, v, anna, "1")
	for name, again := range map[string]func(string) (*vault.Vault, error){"Open": vault.Open, "Load": vault.Load} {
		w, err := again(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := opens(w, anna, "1", sealed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(w.TokenKey(), v.TokenKey()) || !bytes.Equal(w.SigningKey(), v.SigningKey()) {
			t.Errorf("%s: other keys than before", name)
		}
	}
	if len(v.TokenKey()) != 32 || len(v.SigningKey()) != 32 || bytes.Equal(v.TokenKey(), v.SigningKey()) {
		t.Error("the keys are not two of 32 bytes")
	}
	v.TokenKey()[0] ^= 1
	if !bytes.Equal(v.TokenKey(), open(t, dir).TokenKey()) {
		t.Error("a caller can change the key")
	}
}

func TestKeyFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	open(t, dir)
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !e.IsDir() {
			files++
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s was left behind", path)
		}
		return nil
	})
	if err != nil || files != 4 { // The keys, and what they have.
		t.Errorf("%d files: %v", files, err)
	}
}

func TestALostKeyIsToldFromAFirstStart(t *testing.T) {
	if _, err := vault.Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("nothing there: %v", err)
	}
	for _, name := range []string{"sealing-000001.key", "token.key", "signing.key"} {
		dir, anna := t.TempDir(), anOwner(t, "anna@firma.test")
		sealed := seal(t, open(t, dir), anna, "1")
		if err := os.Remove(filepath.Join(dir, "keys", name)); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.Load(dir); !errors.Is(err, vault.ErrNoKey) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		// Opened all the same, it works for whoever enters the password again.
		v := open(t, dir)
		if err := opens(v, anna, "1", sealed); (err == nil) != (name != "sealing-000001.key") {
			t.Errorf("without %s the old secret: %v", name, err)
		}
		if err := opens(v, anna, "1", seal(t, v, anna, "1")); err != nil {
			t.Errorf("without %s a new secret: %v", name, err)
		}
	}
}

func TestABadKeyFileIsAClearErrorAndIsKept(t *testing.T) {
	for _, name := range []string{"sealing-000001.key", "token.key", "signing.key"} {
		other := t.TempDir()
		open(t, other)
		read := func(file string) []byte {
			text, err := os.ReadFile(filepath.Join(other, "keys", file))
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		whole := read(name)
		wrong := "token.key"
		if name == wrong {
			wrong = "signing.key"
		}
		for what, content := range map[string][]byte{
			"empty":         {},
			"cut":           whole[:len(whole)/2],
			"no key file":   []byte("-----BEGIN PRIVATE KEY-----"),
			"another kind":  read(wrong),
			"a later form":  bytes.Replace(whole, []byte(`"version": 1`), []byte(`"version": 2`), 1),
			"unknown field": bytes.Replace(whole, []byte(`"version": 1`), []byte(`"version": 1, "x": 1`), 1),
			"two of them":   append(slices.Clone(whole), whole...),
			"other digest":  bytes.Replace(whole, []byte(`"sha256": "`), []byte(`"sha256": "0`), 1),
		} {
			dir := t.TempDir()
			open(t, dir)
			path := filepath.Join(dir, "keys", name)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := vault.Open(dir)
			if !errors.Is(err, vault.ErrDamaged) || errors.Is(err, vault.ErrNoKey) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if now, readErr := os.ReadFile(path); readErr != nil || !bytes.Equal(now, content) {
				t.Errorf("%s, %s: the file was changed", name, what)
			}
		}
	}
}

// Whatever is where a key should be, or its identity, is damage, and nobody
// waits for who writes into a pipe. The control is TestADiskThatFailsIsNoDamage.
func TestWhatIsNoPlainFileIsDamage(t *testing.T) {
	t.Parallel()
	key := func(name string) func(string) string {
		return func(dir string) string { return filepath.Join(dir, "keys", name) }
	}
	mark := key("installation")
	for what, spoil := range map[string]func(path string) error{
		"a directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"a pipe":      func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) },
		"huge":        func(path string) error { return os.Truncate(path, 1<<33) },
		"a loop":      func(path string) error { return errors.Join(os.Remove(path), os.Symlink(path, path)) },
		"no folder": func(path string) error {
			return errors.Join(os.RemoveAll(filepath.Dir(path)), os.WriteFile(filepath.Dir(path), nil, 0o600))
		},
	} {
		for _, at := range []func(string) string{key("sealing-000001.key"), key("token.key"), key("signing.key"), mark} {
			dir := t.TempDir()
			open(t, dir)
			path := at(dir)
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			_, err := vault.Load(dir)
			if path == mark(dir) {
				_, _, err = vault.Installation(dir)
			}
			if !errors.Is(err, vault.ErrDamaged) {
				t.Errorf("%s instead of %s: %v", what, path, err)
			}
		}
	}
}

func TestAKeyFileOpenToEverybodyIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.Chmod(filepath.Join(dir, "keys", "signing.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
}

func TestRotatedKeysOpenOldSecrets(t *testing.T) {
	dir, anna := t.TempDir(), anOwner(t, "anna@firma.test")
	v, running := open(t, dir), open(t, dir)
	old := seal(t, v, anna, "1")
	if err := v.Rotate(); err != nil {
		t.Fatal(err)
	}
	fresh := seal(t, v, anna, "1")
	if bytes.Equal(old[:6], fresh[:6]) {
		t.Error("sealed by the old key still")
	}
	for name, w := range map[string]*vault.Vault{
		"the rotating process": v, "one that runs": running,
		"one that starts": open(t, dir),
	} {
		if err := errors.Join(opens(w, anna, "1", fresh), opens(w, anna, "1", old)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A secret that opens nowhere is no reason to forget the keys.
	if err := opens(running, anna, "2", fresh); err == nil {
		t.Error("opened for another account")
	}
	if err := opens(running, anna, "1", fresh); err != nil {
		t.Error(err)
	}
}

// archive is an Archive in memory.
type archive struct {
	rows []vault.SealedSecret
	asks int
	fail error
}

func (a *archive) SealedSecrets(_ context.Context, after remote.SecretRef,
	limit int,
) (page []vault.SealedSecret, _ error) {
	a.asks++
	for _, r := range a.rows {
		if r.Ref.Subject > after.Subject && len(page) < limit {
			page = append(page, r)
		}
	}
	return page, a.fail
}

func (a *archive) ReplaceSealed(_ context.Context, ref remote.SecretRef, from, to []byte) error {
	for i, r := range a.rows {
		if r.Ref == ref && bytes.Equal(r.Sealed, from) {
			a.rows[i].Sealed = to
		}
	}
	return nil
}

func TestResealMovesEverythingToThePresentKey(t *testing.T) {
	dir, anna := t.TempDir(), anOwner(t, "anna@firma.test")
	v := open(t, dir)
	a := &archive{}
	const n = 1203
	for i := range n {
		id := fmt.Sprintf("%05d", i)
		a.rows = append(a.rows, vault.SealedSecret{Ref: named(anna, id), Sealed: seal(t, v, anna, id)})
	}
	if done, err := v.Reseal(t.Context(), a); err != nil || done != (vault.Resealed{}) || a.asks != 0 {
		t.Errorf("with one key: %+v, %v, asked %d times", done, err, a.asks)
	}
	lost := seal(t, open(t, t.TempDir()), anna, "x")
	a.rows[7].Sealed = slices.Clone(lost)
	if err := open(t, dir).Rotate(); err != nil { // By another process, as a command does.
		t.Fatal(err)
	}
	if done, err := v.Reseal(t.Context(), a); err != nil || done != (vault.Resealed{Moved: n - 1, Unreadable: 1}) {
		t.Errorf("after a rotation: %+v, %v", done, err)
	}
	if done, err := v.Reseal(t.Context(), a); err != nil || done != (vault.Resealed{Unreadable: 1}) {
		t.Errorf("again: %+v, %v", done, err)
	}
	for i, r := range a.rows {
		if err := opens(v, anna, r.Ref.Subject, r.Sealed); (err == nil) == (i == 7) {
			t.Fatalf("row %d: %v", i, err)
		}
	}
	if !bytes.Equal(a.rows[7].Sealed, lost) {
		t.Error("what cannot be read was overwritten: its key may come back from a backup")
	}
	a.fail = errors.New("database away")
	if _, err := v.Reseal(t.Context(), a); !errors.Is(err, a.fail) {
		t.Errorf("a failing database: %v", err)
	}
}

type rows struct {
	sealed []byte
	err    error
}

func (r rows) SealedSecret(context.Context, remote.SecretRef) ([]byte, error) {
	return r.sealed, r.err
}

// credentials shows that the vault serves the engine with rows bound to it.
type credentials struct {
	*vault.Vault
	rows vault.Rows
}

func (c credentials) Credential(ctx context.Context, a remote.Mailbox) (remote.Credential, error) {
	return c.Vault.Credential(ctx, c.rows, a)
}

var _ fetch.Credentials = credentials{}

func TestCredential(t *testing.T) {
	v, anna := open(t, t.TempDir()), anOwner(t, "anna@firma.test")
	a := remote.Mailbox{Secret: named(anna, "1"), Username: "anna", Auth: remote.Password}
	c, err := v.Credential(t.Context(), rows{sealed: seal(t, v, anna, "1")}, a)
	if err != nil || c.Username != "anna" || c.Auth != remote.Password || c.Secret.Reveal() != canary {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := v.Credential(t.Context(), rows{sealed: seal(t, v, anna, "2")}, a); fault.CodeOf(err) != fault.Internal ||
		!errors.Is(err, vault.ErrUnreadable) {
		t.Errorf("another account's secret: %v", err)
	}
	if _, err := v.Credential(t.Context(), rows{err: account.ErrNotFound}, a); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("an account that is gone: %v", err)
	}
	a.Auth = remote.OAuth2
	if c, err := v.Credential(t.Context(), rows{sealed: seal(t, v, anna, "1")}, a); fault.CodeOf(
		err) != fault.OAuthReauthorizationRequired || !c.Secret.Empty() {
		t.Errorf("a sign-in that is not offered: %v", err)
	}
}

// Six first starts at once, each rotating the keys as well: they agree, and
// each opens what the others sealed.
func TestProcessesThatStartAtOnceAgree(t *testing.T) {
	dir := t.TempDir()
	const n = 6
	in := make([]io.WriteCloser, n)
	out := make([]bytes.Buffer, n)
	cmds := make([]*exec.Cmd, n)
	for i := range n {
		cmds[i] = exec.CommandContext(t.Context(), os.Args[0])
		cmds[i].Env = append(os.Environ(), childDir+"="+dir)
		cmds[i].Stdout, cmds[i].Stderr = &out[i], &out[i]
		var err error
		if in[i], err = cmds[i].StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		in[i].Close()
	}
	v, anna := (*vault.Vault)(nil), anOwner(t, "anna@firma.test")
	var keys string
	for i := range n {
		if err := cmds[i].Wait(); err != nil {
			t.Fatalf("%v: %s", err, out[i].String())
		}
		if v == nil {
			v = open(t, dir)
			keys = fmt.Sprintf("%x", sha256.Sum256(append(v.TokenKey(), v.SigningKey()...)))
		}
		theirs, hexed, _ := strings.Cut(strings.TrimSpace(out[i].String()), " ")
		sealed, err := hex.DecodeString(hexed)
		if err != nil || theirs != keys {
			t.Errorf("process %d has other keys: %v", i, err)
		}
		if err := opens(v, anna, "1", sealed); err != nil {
			t.Errorf("what process %d sealed: %v", i, err)
		}
	}
	if rings, err := filepath.Glob(filepath.Join(dir, "keys", "sealing-*.key")); err != nil || len(rings) != n+1 {
		t.Errorf("%d generations of keys after %d rotations: %v", len(rings), n, err)
	}
}

func TestConcurrentUseWhileKeysRotate(t *testing.T) {
	v, anna := open(t, t.TempDir()), anOwner(t, "anna@firma.test")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 20 {
				sealed, err := v.Seal(named(anna, "1"), remote.NewSecret(canary))
				if err == nil {
					err = opens(v, anna, "1", sealed)
				}
				if err != nil {
					t.Error(err)
				}
			}
			if i == 0 {
				if err := v.Rotate(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// The canary: neither a password nor a key is in anything that can be printed.
func TestNothingSecretIsEverPrinted(t *testing.T) {
	dir, anna := t.TempDir(), anOwner(t, "anna@firma.test")
	v := open(t, dir)
	sealed := seal(t, v, anna, "1")
	m := remote.Mailbox{Secret: named(anna, "1"), Auth: remote.Password}
	c, err := v.Credential(t.Context(), rows{sealed: sealed}, m)
	if err != nil {
		t.Fatal(err)
	}
	_, unreadable := v.Unseal(named(anna, "2"), sealed)
	material, err := os.ReadFile(filepath.Join(dir, "keys", "sealing-000001.key"))
	if err != nil {
		t.Fatal(err)
	}
	var ring struct{ Key []byte }
	if err := json.Unmarshal(material, &ring); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "sealing-000002.key"), material[:len(material)-40],
		0o600); err != nil {
		t.Fatal(err)
	}
	_, corrupt := vault.Open(dir)

	type outer struct {
		Vault *vault.Vault
		inner *vault.Vault
		cred  remote.Credential
	}
	things := []any{v, c, unreadable, corrupt, outer{v, v, c}, &outer{v, v, c}, vault.SealedSecret{
		Ref: named(anna, "1"), Sealed: sealed,
	}}
	for _, bad := range printed(things, map[string][]byte{
		"the password": []byte(canary), "the token key": v.TokenKey(), "the signing key": v.SigningKey(),
		"the sealing keys": ring.Key[len(ring.Key)-24:],
	}) {
		t.Error(bad)
	}
}

// printed lists the secrets that show when these things are printed in any way.
func printed(things []any, secrets map[string][]byte) (bad []string) {
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		for _, x := range things {
			slog.New(h).Info("x", "thing", x)
		}
	}
	for _, x := range things {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&log, verb+"\n", x)
		}
		if text, err := json.Marshal(x); err == nil {
			log.Write(text)
		}
	}
	text := log.String()
	for name, secret := range secrets {
		decimal := strings.Trim(fmt.Sprintf("%d", secret), "[]")
		for _, form := range []string{
			string(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret),
			base64.StdEncoding.EncodeToString(secret), decimal, strings.ReplaceAll(decimal, " ", ", "), fmt.Sprintf(
				"%q", secret),
		} {
			if strings.Contains(text, form) {
				bad = append(bad, name+" was printed")
			}
		}
	}
	return bad
}

// The control: secrets that nothing keeps from being printed.
func TestASecretThatCanBePrintedIsNoticed(t *testing.T) {
	type text struct{ password string }
	type octets struct{ password []byte }
	for name, thing := range map[string]any{
		"text": canary, "octets": []byte(canary), "in an unexported field": text{canary},
		"octets in an unexported field": &octets{[]byte(canary)},
		"as JSON":                       map[string]any{"outer": struct{ Password string }{canary}},
		"in an error":                   fmt.Errorf("logging in with %s", canary),
	} {
		if bad := printed([]any{thing}, map[string][]byte{"the password": []byte(canary)}); len(bad) == 0 {
			t.Errorf("%s: nothing is noticed", name)
		}
	}
}
