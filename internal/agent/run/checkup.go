package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
	"github.com/xdbcluster/xdbcluster/internal/agent/health"
	"github.com/xdbcluster/xdbcluster/internal/agent/metrics"
	"github.com/xdbcluster/xdbcluster/internal/agent/patroni"
	"github.com/xdbcluster/xdbcluster/internal/agent/postgres"
	"github.com/xdbcluster/xdbcluster/internal/agent/supervise"
)

// longestCheck is how long PostgreSQL may take to answer a new connection, however seldom it is asked.
const longestCheck = 30 * time.Second

// Codes of the incidents of an instance that is not well.
const (
	incidentSilent = "InstanceDoesNotAnswer"
	incidentAstray = "StandbyDoesNotFollow"
)

// An ailment is what is wrong with an instance, for the loop to report.
type ailment struct {
	Code    string
	Message string
}

// A checkup asks PostgreSQL over a new connection whether it is well, and treats it when it is not.
type checkup struct {
	*Agent

	supervisor *supervise.Supervisor
	patroni    patroni.Client
	judge      health.Judge

	progress string // How far a standby had got when it was last seen to run.
	cause    error  // Why a standby that does not follow is not copied anew.

	found atomic.Pointer[ailment]
}

func newCheckup(a *Agent, s *supervise.Supervisor) *checkup {
	return &checkup{Agent: a, supervisor: s}
}

func (c *checkup) run(ctx context.Context) {
	for {
		rules := c.current().Health
		if rules.PeriodSeconds == 0 {
			return // The function is older than the rules. A newer one replaces the Pod.
		}
		period := time.Duration(rules.PeriodSeconds) * time.Second
		next := time.Now().Add(period)
		sign := c.examine(ctx, min(period, longestCheck))
		if ctx.Err() != nil {
			return
		}
		c.treat(ctx, c.judge.Next(sign, rules))
		c.diagnose(rules)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
	}
}

func (c *checkup) examine(ctx context.Context, patience time.Duration) health.Sign {
	answer := c.postgres.Ask(ctx, patience)
	member, err := c.patroni.Member(ctx)
	sign := health.Sign{Silent: answer == postgres.Silent, Primary: err == nil && member.IsPrimary()}
	switch {
	case sign.Silent && sign.Primary:
		sign.CanFailOver = c.current().Synchronous != synchronyOff && c.standbyAnswers(ctx)
	case sign.Silent || sign.Primary:
	case err == nil, answer == postgres.Busy:
		// A Patroni that waits for a PostgreSQL which starts takes long to answer.
		sign.Astray = c.astray(ctx, answer, member)
	default:
		sign.Unknown = true
	}
	return sign
}

// astray says whether a standby is stuck though it could follow. One that is being copied, or recovers, however slowly, is not.
func (c *checkup) astray(ctx context.Context, answer postgres.Answer, member patroni.Member) bool {
	if c.moved(member.XLog, c.supervisor.Recovery()) || strings.Contains(member.State, "creating") || strings.Contains(member.State, "bootstrap") {
		return false
	}
	if answer == postgres.Answers {
		if streams, err := c.postgres.Streams(ctx); err != nil || streams {
			return false
		}
	}
	primary := c.servingPrimary(ctx)
	if primary == "" {
		return false
	}
	c.cause = c.copyable(ctx, primary)
	return true
}

// moved says whether a standby has got further since the last check at which its PostgreSQL ran. One that does not run does not move.
func (c *checkup) moved(reached patroni.XLog, recovery string) bool {
	if reached == (patroni.XLog{}) && recovery == "" {
		return false
	}
	progress := fmt.Sprint(reached, recovery)
	moved := progress != c.progress
	c.progress = progress
	return moved
}

// silent says whether PostgreSQL is known to answer no new connection, though it may still serve those that it has.
func (c *checkup) silent() bool {
	found := c.found.Load()
	return found != nil && found.Code == incidentSilent
}

// servingPrimary returns another instance that has the leader lock and serves. Empty when there is none.
func (c *checkup) servingPrimary(ctx context.Context) string {
	lock, err := c.kube.Lock(ctx)
	if err != nil || lock.Holder == "" || lock.Holder == c.env.Pod {
		return ""
	}
	primary, err := patroni.At(c.host(lock.Holder)).Member(ctx)
	if err != nil || !primary.IsPrimary() || primary.State != "running" {
		return ""
	}
	return lock.Holder
}

// copyable says why the standby could not be copied from the primary: without that its data is not touched.
func (c *checkup) copyable(ctx context.Context, primary string) error {
	password, err := readSecret(instance.FolderCredentials, instance.KeyReplicationPassword)
	if err != nil {
		return err
	}
	_, err = postgres.Remote{Host: c.host(primary), User: patroni.UserReplication, Password: password}.Timeline(ctx)
	return err
}

func (c *checkup) treat(ctx context.Context, remedy health.Remedy) {
	err := error(nil)
	switch remedy {
	case health.Nothing:
		return
	case health.FailOver:
		c.log.Error("PostgreSQL runs and does not answer; it is killed, so that a standby takes over")
		err = c.supervisor.KillPostgreSQL()
	case health.Restart:
		c.log.Error("PostgreSQL runs and does not answer; it is killed and started again")
		err = c.supervisor.KillPostgreSQL()
	case health.CopyAnew:
		if c.cause != nil {
			c.log.Error("This standby does not follow, and it cannot be copied anew", "error", c.cause.Error())
			return
		}
		c.log.Error("This standby does not follow a primary that serves; its data is replaced by a copy of the primary's")
		err = c.patroni.Reinitialize(ctx)
	}
	if err != nil {
		c.log.Error("Cannot heal the instance; it is tried again", "error", err.Error())
		return
	}
	c.metrics.Count(metrics.EventHealed)
}

// diagnose says what is wrong when it lasts longer than one check.
func (c *checkup) diagnose(rules instance.Health) {
	switch {
	case c.judge.Silent() >= min(rules.FailoverThreshold, rules.HealThreshold):
		c.found.Store(&ailment{incidentSilent, "PostgreSQL runs and answers no new connection. " + c.prospect(rules,
			fmt.Sprintf("Where a standby can take over it does after %d checks, otherwise PostgreSQL is started again after %d.", rules.FailoverThreshold, rules.HealThreshold),
			"Delete the Pod to start it again, or commit a Failover.")})
	case c.judge.Astray() >= rules.HealThreshold/2:
		c.found.Store(&ailment{incidentAstray, "The standby does not follow the primary and makes no progress. " + c.prospect(rules,
			fmt.Sprintf("After %d checks it is copied anew.", rules.HealThreshold),
			"Delete its volume and its Pod to have it copied anew.")})
	default:
		c.found.Store(nil)
	}
}

func (c *checkup) prospect(rules instance.Health, healed, left string) string {
	switch {
	case rules.NoHeal:
		return "availability.enableAutoHeal is false, so it is left as it is. " + left
	case c.cause != nil && c.judge.Astray() > 0:
		return fmt.Sprintf("It cannot be copied anew: %s. Mend that.", errors.Unwrap(c.cause))
	}
	return healed
}
