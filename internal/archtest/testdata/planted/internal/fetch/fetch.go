// Package fetch imports what it must not.
package fetch

import (
	_ "database/sql"
	_ "log/slog"

	_ "github.com/emersion/go-imap/v2"
	_ "gorm.io/gorm"

	_ "example.test/house/internal/account"
	_ "example.test/house/internal/mailtest"
	_ "example.test/house/internal/source"
)
