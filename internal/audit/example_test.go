package audit_test

import (
	"context"
	"fmt"

	"github.com/mailbrook/mailbrook/internal/audit"
)

// Who acts is said once, where the request comes in; whatever is done in its context is
// written down under that name.
func ExampleBy() {
	ctx := audit.By(context.Background(), audit.Actor{
		Role: audit.Admin, Name: "root@firma.test", Client: "203.0.113.9",
	})
	who := audit.ActorOf(ctx)
	fmt.Println(who.Role, who.Name, who.Client)
	fmt.Println(audit.ActorOf(context.Background()).Role) // Nobody said: the program itself.
	// Output:
	// admin root@firma.test 203.0.113.9
	// system
}
