package instance

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdbcluster/xdbcluster/apis/v1alpha1"
)

// TestGiven shows that a target is the same after it was read from a claim and is written into another.
func TestGiven(t *testing.T) {
	for name, want := range map[string]v1alpha1.RestoreTarget{
		"End":          {},
		"Backup":       {Backup: "20261123-020000F"},
		"Time":         {PointInTime: "2026-11-23T14:59:59.123456Z", Incarnation: "0123456789abcdef"},
		"Position":     {LSN: "0/3000028"},
		"Transaction":  {XID: 742, Backup: "20261123-020000F"},
		"Name":         {Name: "before the migration"},
		"NewestBackup": {Immediate: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := RestoreOf("shop", "orders", want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, r.Given()); diff != "" {
				t.Errorf("Given(): -want, +got:\n%s", diff)
			}
		})
	}
}
