// Command probe is what the cluster's own tests run in Pods: a server, its client, and questions to a volume.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: probe serve | get URL | write FILE TEXT | read FILE | size FOLDER | fill FOLDER")
	}
	switch {
	case args[0] == "serve":
		return serve()
	case args[0] == "get" && len(args) == 2:
		return get(args[1], out)
	case args[0] == "write" && len(args) == 3:
		return os.WriteFile(args[1], []byte(args[2]), 0o600) //nolint:gosec // The test says where.
	case args[0] == "read" && len(args) == 2:
		content, err := os.ReadFile(args[1]) //nolint:gosec // The test says where.
		if err != nil {
			return err
		}
		_, err = out.Write(content)
		return err
	case args[0] == "size" && len(args) == 2:
		return size(args[1], out)
	case args[0] == "fill" && len(args) == 2:
		return fill(args[1])
	default:
		return fmt.Errorf("unknown command %q", args)
	}
}

// serve answers with its host's name until it is told to end.
func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{
		Addr:              ":8080",
		ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			name, _ := os.Hostname()
			_, _ = fmt.Fprint(w, name)
		}),
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func get(url string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) //nolint:gosec // The test says whom to ask.
	if err != nil {
		return err
	}
	rsp, err := http.DefaultClient.Do(req) //nolint:gosec // The test says whom to ask.
	if err != nil {
		return err
	}
	defer rsp.Body.Close() //nolint:errcheck // It was only read.
	_, err = io.Copy(out, rsp.Body)
	return err
}

// size writes how many bytes a folder's file system has.
func size(folder string, out io.Writer) error {
	fs := syscall.Statfs_t{}
	if err := syscall.Statfs(folder, &fs); err != nil {
		return err
	}
	_, err := fmt.Fprint(out, fs.Blocks*uint64(fs.Bsize)) //nolint:gosec // A block's size is positive.
	return err
}

// fill writes into a folder until there is no room, and makes room again. It is an error when room does not end.
func fill(folder string) error {
	const limit = 1 << 30
	file := filepath.Join(folder, "filling")
	defer os.Remove(file)     //nolint:errcheck // The test sees whether there is room again.
	f, err := os.Create(file) //nolint:gosec // The test says where.
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // Nothing of it is kept.
	block := make([]byte, 1<<20)
	for range limit / len(block) {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return fmt.Errorf("there is room for more than %d bytes in %q", limit, folder)
}
