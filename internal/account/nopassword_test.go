package account_test

import (
	"errors"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// An edit is a door like the others: no password is taken for a provider that takes none. The
// controls name a server, change something else, or go elsewhere.
func TestAnEditTakesNoPasswordForAProviderThatTakesNone(t *testing.T) {
	f := setup(t)
	secret := remote.NewSecret("kanarek")
	for name, tc := range map[string]struct {
		patch   account.Patch
		refused bool
	}{
		"with a password": {account.Patch{
			Settings: account.Settings{Provider: ptr("locked")}, Password: &secret,
			SkipTest: true,
		}, true},
		"with the one it has": {
			account.Patch{Settings: account.Settings{Provider: ptr("locked")}, SkipTest: true},
			true,
		},
		"at a server that is named": {account.Patch{Settings: account.Settings{
			Provider: ptr("locked"),
			Host:     ptr("mx.firma.test"),
		}, Password: &secret, SkipTest: true}, false},
		"to another provider": {account.Patch{
			Settings: account.Settings{Provider: ptr("google")}, Password: &secret,
			SkipTest: true,
		}, false},
		"of its name": {account.Patch{Settings: account.Settings{Name: ptr("Inna")}}, false},
	} {
		a := f.add(t, account.Draft{Settings: account.Settings{
			Email: ptr("anna@firma.example"),
			Host:  ptr("mx.firma.test"),
		}, Password: secret, SkipTest: true})
		_, err := f.Update(t.Context(), f.anna, a.ID, tc.patch)
		var bad *account.InvalidError
		refused := errors.As(err, &bad) && bad.Fields[0].Field == "auth" && bad.Fields[0].Code == "not_offered"
		if refused != tc.refused || !refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Delete(t.Context(), f.anna, a.ID, true, nil); err != nil {
			t.Fatal(err)
		}
	}
}
