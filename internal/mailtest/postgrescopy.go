package mailtest

import (
	"net/url"
	"strings"
	"testing"
)

// CopyPostgres returns the address of a copy of a database that StartPostgres
// made, as it is now: a backup. Nobody may be connected to the original
// meanwhile. The copy goes with its test.
func CopyPostgres(tb testing.TB, dsn string) string {
	tb.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		tb.Fatalf("copying a database: %v", err)
	}
	cluster, err := startCluster()
	if err != nil {
		tb.Fatalf("starting a private PostgreSQL: %v", err)
	}
	return cluster.copyOf(tb, strings.TrimPrefix(u.Path, "/"))
}
