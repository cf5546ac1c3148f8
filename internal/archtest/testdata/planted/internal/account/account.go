// Package account imports the command.
package account

import _ "example.test/house/cmd/house"
