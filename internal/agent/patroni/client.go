package patroni

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// requestTimeout bounds a request to the Patroni of the same container: one that does not answer in that time is stalled.
const requestTimeout = 900 * time.Millisecond

// switchoverTimeout bounds a switchover, which waits for a checkpoint too.
const switchoverTimeout = time.Minute

// restartTimeout bounds a restart of PostgreSQL, which waits for a checkpoint.
const restartTimeout = 5 * time.Minute

// A Member is what Patroni says about its instance.
type Member struct {
	State            string `json:"state"`
	Role             string `json:"role"`
	ServerVersion    int    `json:"server_version"`
	Timeline         int    `json:"timeline"`
	SystemIdentifier string `json:"database_system_identifier"`
	StoreLastSeen    int64  `json:"dcs_last_seen"`
	FailsafeActive   bool   `json:"failsafe_mode_is_active"`

	// Unlocked says that nobody has the leader lock, or that it has run out.
	Unlocked bool `json:"cluster_unlocked"`

	XLog XLog `json:"xlog"`

	// Replication are the standbys that a primary sends its WAL to.
	Replication []Follower `json:"replication"`
}

// An XLog says where an instance's WAL is, in bytes.
type XLog struct {
	Location uint64 `json:"location"`          // A primary's.
	Received uint64 `json:"received_location"` // A standby's.
	Replayed uint64 `json:"replayed_location"` // A standby's.
}

// Position is how much of the WAL the instance has.
func (x XLog) Position() uint64 { return max(x.Location, x.Received, x.Replayed) }

// A Follower is a standby that a primary sends its WAL to.
type Follower struct {
	Name  string `json:"application_name"`
	State string `json:"state"`
}

// IsPrimary says whether Patroni calls its instance the primary. Patroni 3 has another word for it.
func (m Member) IsPrimary() bool { return m.Role == "primary" || m.Role == "master" }

// IsStandby says whether Patroni lets this instance follow, or replay WAL.
func (m Member) IsStandby() bool { return m.Role == "replica" }

// A Client speaks to the Patroni of an instance: that of the same container, unless At says which.
type Client struct {
	host string
}

// At returns a client of another instance's Patroni.
func At(host string) Client { return Client{host: host} }

// Member asks what Patroni says about its instance. It answers while PostgreSQL is down, too.
func (c Client) Member(ctx context.Context) (Member, error) {
	m := Member{}
	return m, c.do(ctx, http.MethodGet, "/patroni", nil, &m, requestTimeout)
}

// Alive says whether Patroni's loop runs.
func (c Client) Alive(ctx context.Context) bool {
	return c.do(ctx, http.MethodGet, "/liveness", nil, nil, requestTimeout) == nil
}

// DynamicConfig reads what all instances share.
func (c Client) DynamicConfig(ctx context.Context) (map[string]any, error) {
	config := map[string]any{}
	return config, c.do(ctx, http.MethodGet, "/config", nil, &config, requestTimeout)
}

// Patch changes what all instances share.
func (c Client) Patch(ctx context.Context, changes map[string]any) error {
	return c.do(ctx, http.MethodPatch, "/config", changes, nil, 5*time.Second)
}

// Wake makes Patroni look at its cluster at once, and not at the end of its pause: that follows every change of what all
// instances share, one that changes nothing among them.
func (c Client) Wake(ctx context.Context, config instance.Config) error {
	return c.Patch(ctx, map[string]any{"ttl": config.Patroni.TTL})
}

// Restart restarts PostgreSQL in an orderly way.
func (c Client) Restart(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/restart", map[string]any{}, nil, restartTimeout)
}

// Reinitialize replaces a standby's data by a copy of the primary's.
func (c Client) Reinitialize(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/reinitialize", map[string]any{"force": true}, nil, switchoverTimeout)
}

// SwitchOver makes a standby the primary in an orderly way. Patroni refuses one that would lose an acknowledged commit.
func (c Client) SwitchOver(ctx context.Context, primary, candidate string) error {
	return c.do(ctx, http.MethodPost, "/switchover", map[string]any{"leader": primary, "candidate": candidate}, nil, switchoverTimeout)
}

// ErrNotPossible says that Patroni refused a request as things are now.
var ErrNotPossible = errors.New("Patroni refuses") //nolint:staticcheck // A name.

// FailOver makes an instance the primary. Unlike SwitchOver it asks nobody whether that would lose a commit.
func (c Client) FailOver(ctx context.Context, candidate string) error {
	return c.do(ctx, http.MethodPost, "/failover", map[string]any{"candidate": candidate}, nil, switchoverTimeout)
}

// do makes a request with the certificate that is mounted now: it is renewed while the agent runs.
func (c Client) do(ctx context.Context, method, path string, body, answer any, timeout time.Duration) error {
	client, err := c.http(timeout)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	payload := io.Reader(http.NoBody)
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("cannot encode a request to Patroni: %w", err)
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+c.address()+path, payload)
	if err != nil {
		return fmt.Errorf("cannot make a request to Patroni: %w", err)
	}
	rsp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("cannot reach Patroni: %w", err)
	}
	defer rsp.Body.Close() //nolint:errcheck // Nothing more is read from it.
	raw, err := io.ReadAll(io.LimitReader(rsp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("cannot read Patroni's answer: %w", err)
	}
	return decode(rsp, raw, answer)
}

func (c Client) address() string {
	return net.JoinHostPort(cmp.Or(c.host, "localhost"), strconv.Itoa(instance.PortPatroni))
}

// decode takes the answer of a Patroni whose instance is not running as an answer: it has status 503 and says why.
func decode(rsp *http.Response, raw []byte, answer any) error {
	if answer != nil && json.Unmarshal(raw, answer) == nil {
		return nil
	}
	if rsp.StatusCode == http.StatusPreconditionFailed {
		return fmt.Errorf("%w: %s", ErrNotPossible, bytes.TrimSpace(raw))
	}
	if rsp.StatusCode != http.StatusOK {
		return fmt.Errorf("Patroni answers %s: %s", rsp.Status, bytes.TrimSpace(raw)) //nolint:staticcheck // A name.
	}
	if answer != nil {
		return errors.New("cannot parse Patroni's answer")
	}
	return nil
}

func (Client) http(timeout time.Duration) (*http.Client, error) {
	authority, err := os.ReadFile(tlsFile(instance.KeyInternalAuthority))
	if err != nil {
		return nil, fmt.Errorf("cannot read the cluster's certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("cannot parse the cluster's certificate authority")
	}
	pair, err := tls.LoadX509KeyPair(tlsFile(instance.KeyInternalCertificate), tlsFile(instance.KeyInternalPrivateKey))
	if err != nil {
		return nil, fmt.Errorf("cannot read the instance's certificate: %w", err)
	}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
		}},
	}, nil
}
