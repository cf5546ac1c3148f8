package account_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// TestEachSettingIsMergedAndNamed sets each field of Settings alone: one that Merge or Changed does not know is found.
func TestEachSettingIsMergedAndNamed(t *testing.T) {
	sample := map[reflect.Kind]any{reflect.String: "x", reflect.Int: 7, reflect.Int64: int64(7), reflect.Bool: true}
	before := account.Settings{}.Merge(account.Account{})
	fields := reflect.TypeFor[account.Settings]()
	for i := range fields.NumField() {
		f := fields.Field(i)
		said := reflect.New(f.Type.Elem())
		if v, ok := sample[f.Type.Elem().Kind()]; ok {
			said.Elem().Set(reflect.ValueOf(v).Convert(f.Type.Elem()))
		} else {
			said.Elem().Set(reflect.ValueOf([]string{"x"}))
		}
		var s account.Settings
		reflect.ValueOf(&s).Elem().Field(i).Set(said)
		names := s.Merge(account.Account{}).Changed(before, false)
		if f.Name == "Security" { // The port is that of the encryption.
			if diff := cmp.Diff([]string{"server.port", "server.security"}, names); diff != "" {
				t.Errorf("%s (-want +got):\n%s", f.Name, diff)
			}
			continue
		}
		if len(names) != 1 {
			t.Errorf("of %s these change: %v", f.Name, names)
		}
	}
	if names := before.Changed(before, false); len(names) > 0 { // The control.
		t.Errorf("of nothing these change: %v", names)
	}
}

func TestWhatIsNotSaidStays(t *testing.T) {
	a := saved()
	if diff := cmp.Diff(a, account.Settings{}.Merge(a), cmpopts.EquateComparable(owner.Owner{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
