package run

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
	"github.com/xdbcluster/xdbcluster/internal/agent/restore"
)

func TestInherit(t *testing.T) {
	kept := &restore.Kept{Backups: 1}
	type want struct {
		ask  bool
		does inheritance
	}
	cases := map[string]struct {
		reason string
		l      legacy
		want   want
	}{
		"NoPlan": {
			reason: "A cluster without a BackupPlan waits for nothing.",
			l:      legacy{Policy: v1alpha1.BackupsFail},
			want:   want{does: inheritNothing},
		},
		"PlanNotInForce": {
			reason: "The BackupPlan of the same commit may come into force a moment later.",
			l:      legacy{Policy: v1alpha1.BackupsFail, Awaited: "nightly"},
			want:   want{does: inheritLater},
		},
		"PlanNotInForceAndBackupsIgnored": {
			reason: "Whatever it says, nothing follows from it.",
			l:      legacy{Policy: v1alpha1.BackupsIgnored, Awaited: "nightly"},
			want:   want{does: inheritNothing},
		},
		"SecretNotMounted": {
			reason: "The kubelet takes a moment to mount a Secret that was not there when the Pod started.",
			l:      legacy{Policy: v1alpha1.BackupsRestored, Planned: true},
			want:   want{does: inheritLater},
		},
		"NoBackups": {
			reason: "There is nothing whose place an empty database could take.",
			l:      legacy{Policy: v1alpha1.BackupsFail, Planned: true, Mounted: true},
			want:   want{ask: true, does: inheritNothing},
		},
		"BackupsExist": {
			reason: "An empty database must not take the place of one that can be had back.",
			l:      legacy{Policy: v1alpha1.BackupsFail, Planned: true, Mounted: true, Kept: kept},
			want:   want{ask: true, does: inheritRefused},
		},
		"BackupsExistForAnOlderClaim": {
			reason: "What is not said is as if it were the default.",
			l:      legacy{Planned: true, Mounted: true, Kept: kept},
			want:   want{ask: true, does: inheritRefused},
		},
		"BackupsRestored": {
			reason: "The claim says so.",
			l:      legacy{Policy: v1alpha1.BackupsRestored, Planned: true, Mounted: true, Kept: kept},
			want:   want{ask: true, does: inheritAll},
		},
		"BackupsIgnored": {
			reason: "The claim says so, and the store need not even answer.",
			l:      legacy{Policy: v1alpha1.BackupsIgnored, Planned: true, Mounted: true},
			want:   want{does: inheritNothing},
		},
		"StoreAway": {
			reason: "A store that does not answer may have the only copy.",
			l:      legacy{Policy: v1alpha1.BackupsFail, Planned: true, Mounted: true, Err: errors.New("away")},
			want:   want{ask: true, does: inheritUnknown},
		},
		"StoreAwayAndRestored": {
			reason: "What is to be restored is not there yet.",
			l:      legacy{Policy: v1alpha1.BackupsRestored, Planned: true, Mounted: true, Err: errors.New("away")},
			want:   want{ask: true, does: inheritUnknown},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := want{ask: tc.l.ask(), does: inherit(tc.l)}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("\n%s\ninherit(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestExistMessage shows that the message has what is to be written.
func TestExistMessage(t *testing.T) {
	got := existMessage("orders", restore.Kept{
		Backups: 3, Label: "20261123-020000F", Incarnation: "5f0c9d3a1b2e4f60", Stop: time.Date(2026, time.November, 23, 2, 0, 5, 0, time.UTC),
	})
	for _, part := range []string{
		"3 backups", "20261123-020000F", "5f0c9d3a1b2e4f60", "2026-11-23T02:00:05Z", "ifBackupsExist to Restore",
		"spec.bootstrap {restore: {sourceDBCluster: orders, backupPlanOf: Self}}", "ifBackupsExist to Ignore",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("existMessage() lacks %q: %s", part, got)
		}
	}
}
