package mailtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // The driver "pgx".
)

// postgresMin is the oldest PostgreSQL that Mailbrook runs on.
const postgresMin = 15

// The cluster that the tests of this process share: making one takes seconds,
// making a database in it a fraction of one.
var (
	startCluster    = sync.OnceValues(newPostgresCluster)
	clusterDatabase atomic.Int64
)

// StartPostgres returns the address of an empty database on a private
// PostgreSQL, which does all that a durable one does, in memory where there is
// room: no test cuts its power. The server is started with the first
// call in a test binary and listens on nothing but a Unix socket. It is stopped
// and its files are removed when the binary ends, however it ends; the database
// goes with its test.
func StartPostgres(tb testing.TB) (dsn string) {
	tb.Helper()
	cluster, err := startCluster()
	if err != nil {
		tb.Fatalf("starting a private PostgreSQL: %v", err)
	}
	return cluster.copyOf(tb, "template0")
}

// copyOf makes a database that is another's copy, and goes with its test. Its files
// are copied: through the log of the server it would take half as long again.
func (c *postgresCluster) copyOf(tb testing.TB, template string) (dsn string) {
	tb.Helper()
	name := "test_" + strconv.FormatInt(clusterDatabase.Add(1), 10)
	if err := c.exec("CREATE DATABASE " + name + " TEMPLATE " + template + " STRATEGY FILE_COPY"); err != nil {
		tb.Fatalf("making a database: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			tb.Errorf("dropping the test's database: %v", err)
		}
	})
	return c.dsn(name)
}

// postgresCluster is a running server.
type postgresCluster struct {
	dir string // Its data, its log and its socket.
	// end keeps the helper waiting. The kernel closes it with this process, so
	// the helper needs nobody to tell it.
	end *os.File

	mu   sync.Mutex
	idle []*pgx.Conn // What databases are made and dropped over.
}

// dsn names a database of the cluster.
func (c *postgresCluster) dsn(database string) string {
	q := url.Values{"host": {c.dir}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: q.Encode()}).String()
}

func (c *postgresCluster) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := c.connection(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, statement); err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, conn)
	return nil
}

// connection is one that nobody uses. It is not a pool's, which would have a
// goroutine that no test ends.
func (c *postgresCluster) connection(ctx context.Context) (*pgx.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.idle); n > 0 {
		conn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return conn, nil
	}
	return pgx.Connect(ctx, c.dsn("postgres"))
}

// The helper makes the cluster, says so, and takes it down again when its
// input ends.
const postgresHelper = `
dir=$1; bin=$2
cd "$dir" || exit 1
trap '' INT TERM HUP
"$bin/initdb" --pgdata="$dir/data" --username=postgres --auth=trust --encoding=UTF8 --no-locale --no-sync \
  --no-instructions >"$dir/log" 2>&1 &&
"$bin/pg_ctl" start --pgdata="$dir/data" --log="$dir/log" --wait --timeout=60 --options="$3" >>"$dir/log" 2>&1 &&
echo ready
cat >/dev/null
"$bin/pg_ctl" stop --pgdata="$dir/data" --mode=immediate --wait >>"$dir/log" 2>&1
cd / && rm -rf "$dir"
`

func newPostgresCluster() (*postgresCluster, error) {
	bin, err := postgresBinaries()
	if err != nil {
		return nil, err
	}
	// The path of a Unix socket has a hundred bytes and some.
	dir, err := os.MkdirTemp(Memory(), "mailtest-pg-")
	if err != nil {
		return nil, err
	}
	who, err := postgresUser(dir)
	if err == nil {
		err = os.Chmod(dir, 0o711) // Its socket is for whoever the program runs as; the data are in a directory of their own.
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	options := "-c listen_addresses='' -c unix_socket_directories='" + dir + "' -c max_connections=200 -c " +
		"shared_buffers=32MB -c jit=off" +
		" -c max_wal_size=256MB -c autovacuum_naptime=5s"
	cmd := exec.Command("/bin/sh", "-c", postgresHelper, "sh", dir, bin, options)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.Dir = "/"
	// A group of its own: Ctrl-C is for the tests; the helper hears of it
	// through the pipe and cleans up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: who}
	in, end, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ready, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close(), end.Close(), os.RemoveAll(dir))
	}
	cmd.Stdin, cmd.Stdout = in, out
	err = cmd.Start()
	if err = errors.Join(err, in.Close(), out.Close()); err != nil {
		return nil, errors.Join(err, ready.Close(), end.Close(), os.RemoveAll(dir))
	}
	c := &postgresCluster{dir: dir, end: end}
	return c, awaitPostgres(c, cmd, ready)
}

// awaitPostgres waits for the helper to say that the server is up.
func awaitPostgres(c *postgresCluster, cmd *exec.Cmd, ready *os.File) error {
	defer ready.Close()
	err := ready.SetReadDeadline(time.Now().Add(2 * patience))
	if err == nil {
		_, err = bufio.NewReader(ready).ReadString('\n')
	}
	if err == nil {
		return cmd.Process.Release()
	}
	said, _ := os.ReadFile(filepath.Join(c.dir, "log"))
	return errors.Join(fmt.Errorf("it did not come up: %w: %s", err, strings.TrimSpace(string(said))), c.end.Close(),
		cmd.Wait())
}

// postgresBinaries finds the newest PostgreSQL of Debian's packages that is
// new enough.
func postgresBinaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	best, newest := "", postgresMin-1
	for _, initdb := range found {
		bin := filepath.Dir(initdb)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && v > newest {
			best, newest = bin, v
		}
	}
	if best == "" {
		return "", fmt.Errorf("PostgreSQL %d or newer is not installed; install it: apt-get install postgresql", postgresMin)
	}
	return best, nil
}

// postgresUser returns whom the server runs as, nil for ourselves, and gives
// them the directory: PostgreSQL refuses to run as root.
func postgresUser(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("finding a user to run PostgreSQL as: %w", err)
		}
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}
