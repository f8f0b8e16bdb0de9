//go:build objectstore

package bucket

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xdbcluster/xdbcluster/apis/objectstore/v1alpha1"
	xdbtls "github.com/xdbcluster/xdbcluster/functions/tls"
	"github.com/xdbcluster/xdbcluster/internal/provider/store"
)

const (
	// programs is where make test-provider builds the servers.
	programs = "../../../.cache/bin"

	// accessKey and secretKey are those that a server begins with.
	accessKey = "tester"
	secretKey = "a-long-secret-key"

	// startLimit is how long a server may take to answer on a machine that is busy.
	startLimit = 30 * time.Second
)

// A product is an S3 server that there is a program of.
type product struct {
	name string

	// command returns what starts it, and what it finds in its environment.
	command func(s *server) (command, environment []string)

	// lacks are the features that it does not have.
	lacks []v1alpha1.Feature
}

func (p product) has(f v1alpha1.Feature) bool { return !slices.Contains(p.lacks, f) }

// products are the S3 servers that STORES names. By default all.
func products(t *testing.T) []product {
	t.Helper()
	all := []product{
		{
			name: "versitygw", lacks: []v1alpha1.Feature{v1alpha1.FeatureLifecycle},
			command: func(s *server) ([]string, []string) {
				return []string{
					"--port", s.address, "--region", "us-east-1", "--cert", s.file("public.crt"), "--key", s.file("private.key"), "--quiet",
					"--iam-dir", s.folder("accounts"), "posix", "--versioning-dir", s.folder("versions"), s.folder("buckets"),
				}, []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + s.secretKey}
			},
		},
		{
			name: "minio",
			command: func(s *server) ([]string, []string) {
				return []string{"server", "--quiet", "--address", s.address, "--certs-dir", s.dir, s.folder("buckets")},
					[]string{"MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + s.secretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME=" + s.dir}
			},
		},
	}
	names, given := os.LookupEnv("STORES")
	if !given {
		return all
	}
	return slices.DeleteFunc(all, func(p product) bool { return !slices.Contains(strings.Fields(names), p.name) })
}

// eachStore runs a test over every S3 server.
func eachStore(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	list := products(t)
	if len(list) == 0 {
		t.Fatal("STORES names no S3 server that there is: set it to versitygw, to minio, or to both")
	}
	for _, p := range list {
		t.Run(p.name, func(t *testing.T) { test(t, start(t, p)) })
	}
}

// A server is a running S3 server of this machine, which speaks TLS. It ends with the test.
type server struct {
	product

	t       *testing.T
	dir     string
	address string

	// authority signed its certificate.
	authority xdbtls.Pair

	// secretKey is what it takes.
	secretKey string

	process *exec.Cmd
}

func start(t *testing.T, p product) *server {
	t.Helper()
	s := &server{product: p, t: t, dir: t.TempDir(), address: freeAddress(t), secretKey: secretKey}
	var err error
	if s.authority, err = xdbtls.NewAuthority("Test", time.Now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	leaf := s.certificate("localhost")
	for name, content := range map[string][]byte{"public.crt": leaf.Certificate, "private.key": leaf.Key} {
		if err := os.WriteFile(s.file(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.stop)
	s.run()
	return s
}

// certificate makes one of the server's authority.
func (s *server) certificate(name string) xdbtls.Pair {
	s.t.Helper()
	leaf, err := xdbtls.NewLeaf(s.authority, name, []string{name}, time.Now(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	return leaf
}

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }

func (s *server) folder(name string) string {
	s.t.Helper()
	folder := filepath.Join(s.dir, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		s.t.Fatal(err)
	}
	return folder
}

// run starts the server and waits until it answers.
func (s *server) run() {
	s.t.Helper()
	command, environment := s.command(s)
	program, err := filepath.Abs(filepath.Join(programs, s.name))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		s.t.Fatalf("%s is not built: run go run ./tools %s", s.name, s.name)
	}
	output, err := os.OpenFile(s.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer output.Close() //nolint:errcheck // The process has a handle of its own.
	s.process = exec.CommandContext(context.WithoutCancel(s.t.Context()), program, command...)
	s.process.Env, s.process.Stdout, s.process.Stderr, s.process.Dir = environment, output, output, s.dir
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("cannot start %s: %v", s.name, err)
	}
	c := s.client()
	defer c.Close()
	for deadline := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		_, err := c.BucketExists(ctx, "nothing")
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(s.file("log"))
			s.t.Fatalf("%s does not answer: %v\n%s", s.name, err, said)
		}
	}
}

// stop ends the server at once.
func (s *server) stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // It says that the process was killed.
	s.process = nil
}

// location is where the server is and how the test itself gets in.
func (s *server) location() store.Location {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	return store.Location{
		Endpoint: "localhost:" + port, Region: "us-east-1", URIStyle: v1alpha1.URIStylePath, Trust: string(s.authority.Certificate),
		Credentials: store.Credentials{AccessKey: accessKey, SecretKey: s.secretKey},
	}
}

// client is the test's own.
func (s *server) client() store.Client {
	s.t.Helper()
	c, err := s.location().Connect()
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// freeAddress returns an address of this machine that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // Only to find a free port.
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // Nobody has connected.
	return l.Addr().String()
}

// A front stands between the provider and a server, and does to requests what it is told.
type front struct {
	address string

	mutex sync.Mutex

	// serve answers requests in place of the server.
	serve fault

	// writes are the requests that would change something.
	writes []string
}

// inFront puts a front before the server, with a certificate for a name.
func (s *server) inFront(name string) *front {
	s.t.Helper()
	f := &front{address: freeAddress(s.t)}
	next := s.proxy()
	leaf := s.certificate(name)
	certificate, err := tls.X509KeyPair(leaf.Certificate, leaf.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", f.address, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		s.t.Fatal(err)
	}
	h := &http.Server{ReadHeaderTimeout: startLimit, ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if serve := f.note(r); serve != nil {
			serve(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})}
	go func() { _ = h.Serve(listener) }() // It ends with the test.
	s.t.Cleanup(func() { _ = h.Close() })
	return f
}

// endpoint is how the provider finds the front.
func (f *front) endpoint() string {
	_, port, _ := net.SplitHostPort(f.address)
	return "localhost:" + port
}

// note remembers a request, and returns what is to be done to it. Nil is nothing.
func (f *front) note(r *http.Request) fault {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		f.writes = append(f.writes, r.Method+" "+r.URL.RequestURI())
	}
	return f.serve
}

// set does something to all requests from now on.
func (f *front) set(serve fault) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.serve = serve
}

// written returns the requests since it was asked last that would change something.
func (f *front) written() []string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	written := f.writes
	f.writes = nil
	return written
}
