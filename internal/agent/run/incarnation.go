package run

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/xdbcluster/xdbcluster/functions/instance"
)

// expiryInterval is how often the agent looks whether there is data that is not kept any longer.
const expiryInterval = time.Minute

// parseIncarnation reads what the Pod's template says. Nothing means the incarnation that the cluster was born with.
func parseIncarnation(text string) (*instance.Incarnation, error) {
	if text == "" {
		return nil, nil
	}
	incarnation := &instance.Incarnation{}
	if err := json.Unmarshal([]byte(text), incarnation); err != nil {
		return nil, fmt.Errorf("cannot parse the incarnation in %s: %w", instance.EnvIncarnation, err)
	}
	return incarnation, nil
}

// remindOf lets the cluster's ledger, which was lost or put back, know of an incarnation that a volume was used by.
func (a *Agent) remindOf(ctx context.Context, incarnation *instance.Incarnation) error {
	record, version, err := a.kube.Ledger(ctx)
	if err != nil || record.Incarnation.At() >= incarnation.At() {
		return err
	}
	a.log.Warn("The ledger does not know of the incarnation that was used last; it is told", "incarnation", incarnation.ID)
	return a.kube.WriteLedger(ctx, record.Becoming(incarnation), version)
}

// removeExpired removes the data of earlier incarnations once it is not kept any longer.
func (l *loop) removeExpired(ctx context.Context) {
	for {
		removed, err := l.volume.RemoveExpired(time.Now())
		for _, id := range removed {
			l.log.Info("The data of an incarnation is not kept any longer, and was removed", "incarnation", id)
		}
		if err != nil {
			l.log.Warn("Cannot remove data that is not kept any longer; it is tried again", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(expiryInterval):
		}
	}
}
