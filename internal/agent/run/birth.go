package run

import (
	"context"
	"fmt"
	"time"

	"github.com/xdbcluster/xdbcluster/internal/agent/kube"
	"github.com/xdbcluster/xdbcluster/internal/agent/volume"
)

// birthRetry is how often the agent asks again what Patroni knows of the cluster.
const birthRetry = 200 * time.Millisecond

// A beginning is how an instance on a volume where no database was ever seen to answer begins.
type beginning int

const (
	// beginAsItIs leaves the volume and Patroni's state as they are.
	beginAsItIs beginning = iota

	// beginAnew removes what an interrupted birth, or an earlier cluster of the same name, left. Patroni would wait for ever
	// for the instance that it takes to be at it.
	beginAnew

	// beginNever starts nothing: the cluster's database was born, and an empty one must not take its place.
	beginNever
)

// begin decides by what Patroni wrote down of the cluster. It marks a birth that is going on with an empty identifier, and
// replaces that before anybody can log in.
func begin(hasData bool, state kube.PatroniState) beginning {
	interrupted := state.Initialized && state.SystemIdentifier == ""
	switch {
	case hasData && interrupted:
		return beginAnew
	case hasData:
		return beginAsItIs
	case state.Ours && state.SystemIdentifier != "":
		return beginNever
	}
	return beginAnew
}

// awaitBeginning returns when Patroni can start on a volume. It asks the API server about one without a database only: the
// others start while the API server is away.
func (a *Agent) awaitBeginning(ctx context.Context, vol *volume.Volume) error {
	if vol.Identity().SystemIdentifier != "" {
		return nil
	}
	stop := a.alive.keep(ctx)
	defer stop()
	for pause := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		state, err := a.kube.PatroniState(ctx, a.current().Owner)
		if err != nil {
			a.log.Warn("Cannot tell yet whether the cluster's database was born", "error", err.Error())
			pause = birthRetry
			continue
		}
		hasData, err := vol.HasData()
		if err != nil {
			return err
		}
		switch begin(hasData, state) {
		case beginAsItIs:
			return nil
		case beginAnew:
			return a.beginAnew(ctx, vol)
		case beginNever:
			a.reportWaiting(ctx, "DataVolumeEmpty", fmt.Sprintf("The instance does not start: the cluster's database %s was born, and its data volume is empty. Put the volume's content back; or, if the data is to be given up, delete the DBCluster and create it again.", state.SystemIdentifier))
			pause = refusedRetry
		}
	}
}

func (a *Agent) beginAnew(ctx context.Context, vol *volume.Volume) error {
	if err := vol.Clear(); err != nil {
		return err
	}
	forgotten, err := a.kube.ForgetPatroniState(ctx)
	if err != nil {
		return err
	}
	if len(forgotten) > 0 {
		a.log.Info("Removed what Patroni knew of a database that is not there", "configMaps", forgotten)
	}
	return nil
}
