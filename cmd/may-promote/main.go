// Command may-promote asks the agent of its container whether the instance may be promoted. Patroni runs it before it promotes one, and
// whoever writes waits for the answer: it is a program of its own because the agent, with all it knows of Kubernetes, takes several
// times as long to start.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// answerWait is how long the agent may take: it asks the API server, and the other instances.
const answerWait = 10 * time.Second

func main() {
	if len(os.Args) != 2 {
		fail(errors.New("usage: may-promote URL-OF-THE-AGENT"))
	}
	if err := ask(context.Background(), os.Args[1]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// ask returns why the agent does not let its instance be promoted.
func ask(ctx context.Context, agent string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, agent, nil) //nolint:gosec // Patroni's configuration says which.
	if err != nil {
		return fmt.Errorf("cannot make a request to the agent: %w", err)
	}
	rsp, err := http.DefaultClient.Do(req) //nolint:gosec // As above.
	if err != nil {
		return fmt.Errorf("cannot ask the agent: %w", err)
	}
	defer rsp.Body.Close() //nolint:errcheck // Nothing more is read from it.
	if rsp.StatusCode == http.StatusOK {
		return nil
	}
	why, err := io.ReadAll(io.LimitReader(rsp.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("cannot read the agent's answer: %w", err)
	}
	if len(why) == 0 {
		return fmt.Errorf("the agent says no: %s", rsp.Status)
	}
	return errors.New(strings.TrimSpace(string(why)))
}
