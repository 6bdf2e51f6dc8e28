package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// initdb is the folder of PostgreSQL's programs, as Debian's package postgresql
// brings them; "" when it is not there.
func initdb() string {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// hasPostgres is the condition [postgres]. Where skipping is forbidden it must
// hold.
func hasPostgres() (bool, error) {
	if initdb() == "" && os.Getenv("CHECKPOINT_NO_SKIP") == "1" {
		return false, errors.New("PostgreSQL is missing (Debian's package postgresql), and skipping is forbidden")
	}
	return initdb() != "", nil
}

// postgresServer starts a server of the story's own, with a password that must
// not be shown, and makes the databases that are named. $PG is its address up to
// the database's name, with the password.
func postgresServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: postgres NAME…")
	}
	root, err := os.MkdirTemp("", "hub-pg")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(root) })
	var as *syscall.Credential
	if os.Getuid() == 0 { // a server refuses to run as root
		u, err := user.Lookup("postgres")
		ts.Check(err)
		uid, err := strconv.Atoi(u.Uid)
		ts.Check(err)
		gid, err := strconv.Atoi(u.Gid)
		ts.Check(err)
		as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		ts.Check(os.Chown(root, uid, gid))
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(initdb(), name), args...)
		c.Dir, c.Env = root, []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "PGPASSWORD=" + pgPassword}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGQUIT}
		return c
	}
	secret, data := filepath.Join(root, "password"), filepath.Join(root, "data")
	ts.Check(os.WriteFile(secret, []byte(pgPassword), 0o644))
	if out, err := command("initdb", "-D", data, "-U", "hub", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		ts.Fatalf("initdb: %v\n%s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	ts.Check(ln.Close())
	server := command("postgres", "-D", data, "-p", port, "-k", root, "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB")
	ts.Check(server.Start())
	ts.Defer(func() {
		_ = server.Process.Signal(syscall.SIGINT)
		_ = server.Wait()
	})
	for _, name := range args {
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // until it answers
			out, err := command("psql", "-h", "127.0.0.1", "-p", port, "-U", "hub", "-c", "CREATE DATABASE "+name, "postgres").CombinedOutput()
			if err == nil {
				break
			}
			if time.Since(began) > 20*time.Second {
				ts.Fatalf("create database %s: %v\n%s", name, err, out)
			}
		}
	}
	ts.Setenv("PG", fmt.Sprintf("postgres://hub:%s@127.0.0.1:%s/", pgPassword, port))
}

const pgPassword = "hunter2-never-shown"
