// Package pgtest answers: where is a PostgreSQL server for a test?
//
// It starts one of its own, with the programs that Debian's postgresql package
// brings, in a folder of the test, as the user postgres when the test is root's.
// Only tests import it.
package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Server is a server that runs.
type Server struct {
	Dir  string // its data
	Port int

	bin    string
	socket string
	as     *syscall.Credential
	cmd    *exec.Cmd
	log    string
	ended  chan struct{}
}

// Options of a server.
type Options struct {
	Settings map[string]string // of postgresql.conf
	// Of makes it a streaming standby of another server.
	Of *Server
}

// find is the folder of the programs, the newest version of several.
func find() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	found = slices.Insert(found, 0, "/usr/local/bin/initdb")
	for _, path := range slices.Backward(found) {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(real), "postgres")); err == nil {
				return filepath.Dir(real), nil
			}
		}
	}
	return "", os.ErrNotExist
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// Start starts a server in a folder that it makes and that is gone when tb has
// ended. Where there is no PostgreSQL the test is skipped, or fails when
// CHECKPOINT_NO_SKIP=1 forbids that.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, stop, err := Launch(o)
	if os.IsNotExist(err) {
		const text = "PostgreSQL is missing: install Debian's package postgresql"
		if os.Getenv("CHECKPOINT_NO_SKIP") == "1" {
			tb.Fatal(text + ", skipping is forbidden")
		}
		tb.Skip(text)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(stop)
	return s
}

// Launch is Start without a test, for a TestMain: os.ErrNotExist when there is
// no PostgreSQL. stop ends the server and takes its folder away.
func Launch(o Options) (s *Server, stop func(), err error) {
	bin, err := find()
	if err != nil {
		return nil, nil, err
	}
	root, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, nil, err
	}
	s = &Server{Dir: filepath.Join(root, "data"), bin: bin, socket: filepath.Join(root, "run"), log: filepath.Join(root, "log")}
	stop = func() {
		s.Kill()
		os.RemoveAll(root)
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	if err := s.prepare(root); err != nil {
		return nil, nil, err
	}
	if o.Of == nil {
		err = s.run("initdb", "-D", s.Dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	} else {
		err = s.run("pg_basebackup", "-D", s.Dir, "-R", "-X", "stream", "-c", "fast", "--no-sync",
			"-d", "host="+o.Of.socket+" port="+strconv.Itoa(o.Of.Port)+" user=postgres application_name=standby")
	}
	if err != nil {
		return nil, nil, err
	}
	if s.Port, err = freePort(); err != nil {
		return nil, nil, err
	}
	var conf bytes.Buffer
	for name, value := range map[string]string{"listen_addresses": "127.0.0.1", "port": strconv.Itoa(s.Port), "unix_socket_directories": s.socket,
		"shared_buffers": "128MB", "max_connections": "60", "max_wal_size": "1GB", "lc_messages": "C"} {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, value)
	}
	for name, value := range o.Settings {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, value)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "postgresql.auto.conf.test"), conf.Bytes(), 0o644); err != nil {
		return nil, nil, err
	}
	return s, stop, s.Run()
}

// prepare makes the folders, as the user who may run a server.
func (s *Server) prepare(root string) error {
	for _, dir := range []string{s.Dir, s.socket} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres") // a server refuses to run as root
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, dir := range []string{root, s.Dir, s.socket} {
		if err := os.Chown(dir, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

func (s *Server) run(name string, args ...string) error {
	out, err := s.command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// Run starts the server, again after Kill or Stop, and waits until it answers.
func (s *Server) Run() error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	// The settings are given by a file of their own, so that a standby's copy of
	// its primary's is not in their way.
	conf, err := os.ReadFile(filepath.Join(s.Dir, "postgresql.auto.conf.test"))
	if err != nil {
		return err
	}
	args := []string{"-D", s.Dir}
	for line := range bytes.Lines(conf) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" = "))
		args = append(args, "-c", string(name)+"="+string(bytes.Trim(value, "'")))
	}
	s.cmd = s.command("postgres", args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	ended, cmd := make(chan struct{}), s.cmd
	s.ended = ended
	go func() { // ends with the server
		_ = cmd.Wait()
		close(ended)
	}()
	return s.wait()
}

func (s *Server) wait() error {
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if s.run("pg_isready", "-q", "-h", s.socket, "-p", strconv.Itoa(s.Port)) == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the server ended:\n%s", s.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("the server does not answer:\n%s", s.Log())
}

// Log is what the server has said.
func (s *Server) Log() string {
	b, _ := os.ReadFile(s.log)
	return string(b[max(0, len(b)-4000):])
}

// Kill kills the server as a power cut would: all its processes, with SIGKILL.
func (s *Server) Kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // the group is ours
	<-s.ended
	// Its children left the group; they end when they find it gone.
	_ = os.Remove(filepath.Join(s.Dir, "postmaster.pid"))
	s.cmd = nil
}

// Freeze stops the server where it stands; Thaw lets it go on.
func (s *Server) Freeze() error { return s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

// signal sends a signal to the server and the processes that it has begun.
func (s *Server) signal(sig syscall.Signal) error {
	pids := []int{s.cmd.Process.Pid}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pids[0], pids[0]))
	if err != nil {
		return err
	}
	for field := range bytes.FieldsSeq(children) {
		if pid, err := strconv.Atoi(string(field)); err == nil {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil {
			return err
		}
	}
	return nil
}

// Promote makes a standby the primary.
func (s *Server) Promote() error {
	return s.run("pg_ctl", "-D", s.Dir, "-w", "promote")
}

// URL is the address of a database.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), Path: "/" + database}
	u.RawQuery = "sslmode=disable"
	return u.String()
}

// SQL runs statements in a database.
func (s *Server) SQL(ctx context.Context, database, text string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", "postgres", "-d", database, "-c", text)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", text, err, out)
	}
	return string(bytes.TrimSpace(out)), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
