package mailtest

import (
	"net/url"
	"strconv"
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
	name := "copy_" + strconv.FormatInt(clusterDatabase.Add(1), 10)
	if err := cluster.exec("CREATE DATABASE " + name + " TEMPLATE " + strings.TrimPrefix(u.Path, "/")); err != nil {
		tb.Fatalf("copying a database: %v", err)
	}
	tb.Cleanup(func() {
		if err := cluster.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			tb.Errorf("dropping a copied database: %v", err)
		}
	})
	return cluster.dsn(name)
}
