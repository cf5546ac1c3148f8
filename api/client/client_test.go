package client_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/mailbrook/mailbrook/api/client"
)

// TestOnlyWhatIsSetIsSent: newcomer 2. A member left nil is not on the wire, not
// even as null, which would empty what the user had set.
func TestOnlyWhatIsSetIsSent(t *testing.T) {
	for _, request := range []any{
		client.AccountPatch{},
		client.NewAccount{},
		client.ConnectionTestRequest{},
		client.ServerSettings{},
		client.FolderChoice{},
		client.FolderChoicePatch{},
		client.QuotaLimits{},
		client.AdminAccountPatch{},
		client.NewLink{},
		client.OAuthStart{},
	} {
		typ := reflect.TypeOf(request)
		always := members(t, request) // What the document requires.
		for name, value := range always {
			if value == nil {
				t.Errorf("%s sends %s as null though it is not set", typ.Name(), name)
			}
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Type.Kind() != reflect.Pointer {
				continue
			}
			one := reflect.New(typ).Elem()
			one.Field(i).Set(reflect.New(f.Type.Elem()))
			if sent := members(t, one.Interface()); len(sent) != len(always)+1 {
				t.Errorf("%s with %s alone sends %v", typ.Name(), f.Name, sent)
			}
		}
	}
}

func members(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}
