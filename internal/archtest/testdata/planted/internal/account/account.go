// Package account imports the command, and a package without its name.
package account

import (
	. "context"

	_ "example.test/house/cmd/house"
)

var forever = Background()
