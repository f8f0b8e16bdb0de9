package postgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestJudge(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	missing := &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.ENOENT)}
	full := &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EAGAIN)}
	cases := map[string]struct {
		reason string
		err    error
		want   Answer
	}{
		"Connected":      {"A connection is an answer.", nil, Answers},
		"TooManyClients": {"So is a refusal: the primary is alive, and failing over would help nobody.", fmt.Errorf("cannot connect: %w", &pgconn.PgError{Code: "53300"}), Answers},
		"Starting":       {"One that starts or shuts down takes no commit.", &pgconn.PgError{Code: cannotConnectNow}, Busy},
		"NobodyListens":  {"A postmaster that is gone is Patroni's concern.", fmt.Errorf("cannot connect: %w", refused), Absent},
		"NoSocket":       {"As above: it took its socket with it.", missing, Absent},
		"NoAnswerInTime": {"A postmaster that is stopped takes connections, and says nothing.", context.DeadlineExceeded, Silent},
		"QueueIsFull":    {"Connections that nobody takes fill the queue.", full, Silent},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := judge(tc.err); got != tc.want {
				t.Errorf("\n%s\njudge(%v) = %d, want %d", tc.reason, tc.err, got, tc.want)
			}
		})
	}
}
